"""The contract of contract.py, for every registered model and each of its losses."""

from __future__ import annotations

import pytest
import torch
from models.contract import SIDE, checkerboard, same_bits, share_right, state_of, train

from ltgnn.graph import BipartiteGraph
from ltgnn.models import MODELS, Batch, LTGNNConfig, ModelConfig, create

VARIANTS = [
    *((name, {}) for name in MODELS),
    ("ltgnn", {"depth": "fixed_point", "alpha": 0.3}),
    ("ltgnn", {"depth": "fixed_point", "gradient_memory": True, "alpha": 0.5, "c0": 0.2}),
    ("ltgnn_multiscale", {"alphas": (0.2, 0.6), "inference": "stored", "scales_lr": 0.01}),
    ("lightgcn", {"layer_weights": "ppr", "learn_layer_weights": True}),
    ("ltgnn", {"fanout": 3, "refresh_every": 5, "self_loops": True}),
]
WITH_LOSS = [
    pytest.param(name, settings, loss, id="-".join([name, *map(str, settings.values()), loss]))
    for name, settings in VARIANTS
    for loss in MODELS[name].config_type.losses
]
LABELS = ["-".join([name, *map(str, settings.values())]) for name, settings in VARIANTS]


@pytest.mark.parametrize(("name", "settings", "loss"), WITH_LOSS)
def test_learns_the_checkerboard(name, settings, loss):
    graph = checkerboard()
    trained = share_right(train(name, graph, loss=loss, **settings))
    assert trained >= 0.95


@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=LABELS)
def test_same_seed_same_bits_for_any_number_of_threads(name, settings):
    graph = checkerboard()
    threads = torch.get_num_threads()
    states = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            states.append(state_of(train(name, graph, epochs=2, **settings)))
    finally:
        torch.set_num_threads(threads)
    assert same_bits(states[0], states[1])
    assert same_bits(states[0], states[2])
    assert not same_bits(states[0], state_of(train(name, graph, epochs=2, seed=1, **settings)))


@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=LABELS)
def test_state_holds_everything(name, settings):
    """A fresh model with the saved state goes on exactly as the first one does."""
    graph = checkerboard()
    first = train(name, graph, epochs=2, **settings)
    second = create(name, graph, seed=5, **{"dim": 16, "lr": 0.02, **settings})
    second.load_state_dict(first.state_dict())
    ids = torch.arange(20)
    for model in (first, second):
        if model.is_trained:
            negatives = ids + 20 if model.needs_negatives else None
            model.training_step(Batch(ids, ids, negatives, seed=3))
    assert same_bits(first.state_dict(), second.state_dict())
    everyone = torch.arange(SIDE)
    assert torch.equal(first.score_block(everyone), second.score_block(everyone))
    if first.has_embeddings:
        for mine, other in zip(first.embeddings(), second.embeddings(), strict=True):
            assert torch.equal(mine, other)


DEGENERATE = {
    "empty": ([], [], 0, 0),
    "no edges": ([], [], 3, 4),
    "no users": ([], [], 0, 5),
    "one pair": ([0], [0], 1, 1),
    "one user owns all": ([0] * 5, range(5), 1, 5),
    "everyone owns all": ([0, 0, 1, 1], [0, 1, 0, 1], 2, 2),
    "one item": (range(5), [0] * 5, 5, 1),
    "isolated nodes": ([1, 3], [2, 4], 6, 7),
    "duplicates": ([0, 0, 0, 1], [1, 1, 1, 1], 2, 2),
    "hub": ([0] * 300 + [1], [*range(300), 0], 2, 301),
}


@pytest.mark.parametrize("shape", DEGENERATE)
@pytest.mark.parametrize(("name", "settings", "loss"), WITH_LOSS)
def test_degenerate_graphs_stay_finite(shape, name, settings, loss):
    users, items, num_users, num_items = DEGENERATE[shape]
    graph = BipartiteGraph.from_edges(
        list(users), list(items), num_users=num_users, num_items=num_items
    )
    model = train(name, graph, epochs=2, loss=loss, **settings)
    if model.has_embeddings:
        users_out, items_out = model.embeddings()
        assert len(users_out) == num_users
        assert len(items_out) == num_items
        assert users_out.shape[1] == items_out.shape[1] >= 16
        assert torch.isfinite(users_out).all()
        assert torch.isfinite(items_out).all()
    scores = model.score_block(torch.arange(num_users))
    assert scores.shape == (num_users, num_items)
    assert torch.isfinite(scores).all()
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("nothing", {}, "no model named 'nothing'"),
        ("ltgnn", {"depht": 3}, "LTGNNConfig has no setting depht"),
        ("ltgnn", {"alpha": 0.0}, "alpha must be in (0, 1], got 0.0"),
        ("ltgnn", {"fanout": 257}, "fanout must be in [0, 256], got 257"),
        ("ltgnn", {"c0": 0.6, "c1": 0.5}, "c0 + c1 + c2 < 1"),
        ("ltgnn", {"faithful": True}, "faithful must be False unless"),
        ("lightgcn", {"layers": -1}, "layers must be not negative, got -1"),
        (
            "ltgnn_multiscale",
            {"alphas": (0.3, 0.0)},
            "alphas must be numbers in (0, 1], got (0.3, 0.0)",
        ),
        ("ltgnn_multiscale", {"deep_share": 1.0}, "deep_share must be in (0, 1), got 1.0"),
        ("ltgnn_multiscale", {"depth": "fixed_point"}, "depth must be 'one_hop'; alphas are"),
        ("ltgnn_multiscale", {"inference": "solve"}, "inference must be 'sweeps' or 'stored'"),
        ("ltgnn_multiscale", {"c1": 0.1}, "c1 must be 0: the weights are learned, got 0.1"),
        ("lightgcn", {"layer_weights": "sum"}, "layer_weights must be 'mean' or 'ppr', got 'sum'"),
        ("lightgcn", {"ppr_alpha": 0.0}, "ppr_alpha must be in (0, 1], got 0.0"),
        ("chebycf", {"degree": 0}, "degree must be at least 1, got 0"),
        ("chebycf", {"tol": -1.0}, "tol must be not negative, got -1.0"),
        ("chebycf", {"loss": "bpr"}, "loss must be 'none', got 'bpr'"),
        ("mf", {"init": "zeros"}, "'svd' or 'random_projection', got 'zeros'"),
        ("mf", {"init_random": 1.5}, "init_random must be in [0, 1], got 1.5"),
        ("mf", {"dim": 0}, "dim must be at least 1, got 0"),
        ("mf", {"tau": 0.0}, "tau must be positive, got 0.0"),
        ("mf", {"loss": "hinge"}, "loss must be 'softmax' or 'bpr' or 'bce' or 'ccl', got 'hinge'"),
    ],
)
def test_wrong_settings_are_named(name, settings, message):
    with pytest.raises(ValueError) as caught:
        create(name, checkerboard(), **settings)
    assert message in str(caught.value)


def test_config_of_another_model_is_refused():
    with pytest.raises(TypeError, match="ltgnn: config must be LTGNNConfig, got ModelConfig"):
        create("ltgnn", checkerboard(), config=ModelConfig())
    with pytest.raises(TypeError, match="either config or single settings"):
        create("ltgnn", checkerboard(), config=LTGNNConfig(), dim=8)


@pytest.mark.parametrize("name", MODELS)
def test_users_out_of_range_are_named(name):
    model = train(name, checkerboard(), epochs=1)
    with pytest.raises(IndexError, match=rf"{name}: users must be in \[0, {SIDE}\), got 3 to 40"):
        model.score_block(torch.tensor([3, SIDE]))


@pytest.mark.parametrize("field", ["users", "items", "negatives"])
@pytest.mark.parametrize("wrong", [-1, SIDE])
@pytest.mark.parametrize(
    ("name", "settings"),
    [*((name, {}) for name in MODELS if MODELS[name].is_trained), ("ltgnn", {"loss": "bpr"})],
)
def test_batches_out_of_range_are_named(name, settings, wrong, field):
    model = create(name, checkerboard(), dim=8, **settings)
    numbers = {key: torch.tensor([0, 5]) for key in ("users", "items", "negatives")}
    if not model.needs_negatives and field != "negatives":
        numbers["negatives"] = None
    numbers[field] = torch.tensor([3, wrong])
    before = state_of(model)
    with pytest.raises(
        IndexError, match=rf"{name}: the batch's {field} must be in \[0, {SIDE}\), got {wrong}"
    ):
        model.training_step(Batch(**numbers, seed=0))
    assert same_bits(state_of(model), before)


def test_a_table_has_a_row_for_each_node():
    model = create("ltgnn", checkerboard(), dim=8)
    assert model.e0.shape == (2 * SIDE, 8)
