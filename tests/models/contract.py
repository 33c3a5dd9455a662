"""What every registered model must do, on a problem whose right answer is obvious."""

from __future__ import annotations

import torch

from ltgnn.graph import BipartiteGraph
from ltgnn.models import Recommender, create
from ltgnn.training import TrainConfig, Trainer

SIDE = 40

# Half of all items are a user's friends: with few of them, negatives must not outweigh the positive. With the
# softmax's default temperature whether GCN learns all of it is a matter of the seed.
FAST = {
    "softmax": {"tau": 0.2},
    "bce": {"negative_weight": 1.0, "lr": 0.01},
    "ccl": {"negative_weight": 1.0, "num_negatives": 8},
}


def checkerboard() -> BipartiteGraph:
    """User u and item i are friends where u + i is even; every fifth such pair is left out."""
    pairs = [(u, i) for u in range(SIDE) for i in range(SIDE) if (u + i) % 2 == 0]
    kept = [(u, i) for u, i in pairs if (u + 3 * i) % 5]
    users, items = zip(*kept, strict=True)
    return BipartiteGraph.from_edges(users, items, num_users=SIDE, num_items=SIDE)


def train(
    name: str, graph: BipartiteGraph, *, epochs: int = 30, seed: int = 0, **settings: object
) -> Recommender:
    """A model trained for a few epochs with settings that learn fast."""
    fast = FAST.get(str(settings.get("loss")), {})
    model = create(name, graph, seed=seed, **{"dim": 16, "lr": 0.02, **fast, **settings})
    config = TrainConfig(epochs=epochs, batch_size=64, seed=seed)
    Trainer(model, config).fit()
    return model


def share_right(model: Recommender) -> float:
    """Share of the left-out friends among each user's best unseen items."""
    scores = model.score_block(torch.arange(SIDE))
    friends = (torch.arange(SIDE)[:, None] + torch.arange(SIDE)) % 2 == 0
    seen = torch.from_numpy(model.graph.to_scipy().toarray()) > 0
    scores[seen] = -torch.inf
    missing = friends & ~seen
    right = 0
    for user in range(SIDE):
        best = scores[user].topk(int(missing[user].sum())).indices
        right += int(missing[user, best].sum())
    return right / int(missing.sum())


def state_of(model: Recommender) -> dict[str, torch.Tensor]:
    """A copy of all that training changes."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def same_bits(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    """Whether two states are equal to the last bit."""
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)
