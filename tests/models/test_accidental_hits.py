"""Items that a user is known to like are no negatives: none of a batch's other pairs of hers, in any model."""

from __future__ import annotations

import pytest
import torch
from models.contract import checkerboard

from ltgnn.models import Batch, create

# User 0 has items 2, 4 and 6; user 3 has none of those.
USERS, ITEMS = torch.tensor([0, 0, 2, 3]), torch.tensor([2, 4, 6, 5])


def gradient(skips: bool, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
    """What one step of MF finds for the items' embeddings."""
    model = create("mf", checkerboard(), dim=8, remove_accidental_hits=skips)
    model.training_step(Batch(users, items, None, 1))
    return model.adam_m[model.graph.num_users :]


@pytest.mark.parametrize("log_q", [False, True])
def test_a_batch_of_one_users_pairs_has_no_negatives(log_q: bool) -> None:
    users, items = torch.zeros(3, dtype=torch.int64), torch.tensor([2, 4, 6])
    graph = checkerboard()
    assert set(items.tolist()) <= set(graph.to_scipy()[[0]].indices.tolist())
    for skips in (False, True):
        model = create("mf", graph, dim=8, remove_accidental_hits=skips, log_q=log_q, tau=0.5)
        nodes = torch.cat([users, items + graph.num_users])
        cosines = torch.cosine_similarity(model.e0[nodes[:3]], model.e0[nodes[3:]]).double()
        loss = model.training_step(Batch(users, items, None, 1, log_q=torch.zeros(3)))
        alone = -(cosines / 0.5).mean()
        assert (abs(loss - alone) < 1e-5) == skips


def test_items_that_others_have_still_are_negatives() -> None:
    with_hits, without = (gradient(skips, USERS, ITEMS) for skips in (False, True))
    assert not torch.equal(with_hits, without)
    users, items = USERS[2:], ITEMS[2:]  # of these two neither has the other's item
    assert torch.equal(gradient(False, users, items), gradient(True, users, items))
