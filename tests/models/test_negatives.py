"""Sampled negatives of every model: chosen by which scores, with which frequencies, and trained with exactly."""

from __future__ import annotations

import pytest
import torch
from models.contract import checkerboard, same_bits, share_right, state_of, train
from models.dense import random_graph
from ops.chi_square import chi_square, chi_square_limit
from ops.test_sampled_losses import written_out

from ltgnn.graph import BipartiteGraph
from ltgnn.models import Batch, CapturedStep, create
from ltgnn.models.negatives import candidate_scores, choose_negatives, mixing_shares
from ltgnn.training.samplers import PairSampler

MODELS = ["mf", "ltgnn", "lightgcn", "ngcf", "gcn", "graphsage"]
KINDS = ["popularity", "dns", "softmax"]
# Scores are exact in these: so the hardest candidate is known.
VARIANTS = [
    *((name, {}) for name in MODELS if name != "ngcf"),
    ("ngcf", {"message_dropout": 0.0}),
    ("ltgnn", {"c0": 0.2, "c1": 0.1, "c2": 0.1}),
    ("ltgnn", {"depth": "fixed_point", "alpha": 0.3, "inference": "stored"}),
]
LABELS = ["-".join([name, *map(str, settings)]) for name, settings in VARIANTS]


def batch_of(model, batch_size: int = 30) -> Batch:
    c = model.config
    sampler = PairSampler(
        model.graph, batch_size=batch_size, negatives=c.draws_per_pair, sampling="interactions",
        seed=1, popularity=c.negatives == "popularity",
    )  # fmt: skip
    return sampler.batch(1, 0)


def seen_by_loss(model, batch, monkeypatch) -> Batch:
    """The batch as a training step's loss sees it."""
    seen = []
    targets = model._targets

    def listening(batch):
        seen.append(batch)
        return targets(batch)

    monkeypatch.setattr(model, "_targets", listening)
    model.training_step(batch)
    return seen[0]


@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=LABELS)
def test_dns_takes_what_the_model_scores_highest(name, settings, monkeypatch):
    # Two negatives, so that LTGNN's step is not the fused one.
    model = create(name, random_graph(), dim=8, loss="bpr", negatives="dns", candidates=6,
                   num_negatives=2, **settings)  # fmt: skip
    users, items = (part.clone() for part in model.embeddings())
    batch = batch_of(model)
    chosen = seen_by_loss(model, batch, monkeypatch).negatives
    assert chosen.shape == (30, 2)
    scores = (users @ items.T)[batch.users]
    groups = batch.negatives.view(30, 2, 6)
    best = scores[:, None].expand(-1, 2, -1).gather(2, groups).amax(2)
    torch.testing.assert_close(scores.gather(1, chosen), best, rtol=1e-4, atol=1e-6)
    assert (chosen[..., None] == groups).any(2).all()


@pytest.mark.parametrize("dtype", ["mixed", "bfloat16"])
def test_dns_scores_bfloat16_tables(dtype):
    model = create("ltgnn", random_graph(), dim=8, loss="bpr", negatives="dns", table_dtype=dtype)
    batch = batch_of(model)
    chosen = model.choose_negatives(batch).negatives
    users, items = model.embeddings()
    scores = (users @ items.T)[batch.users]
    best = scores.gather(1, batch.negatives).amax(1)
    got = scores.gather(1, chosen[:, None])[:, 0]
    torch.testing.assert_close(got, best, rtol=0.02, atol=0.02 * float(scores.abs().max()))


def test_fused_and_captured_steps_choose_too():
    settings = {"dim": 8, "loss": "bpr", "negatives": "dns", "candidates": 5}
    fused, captured = (create("ltgnn", random_graph(), **settings) for _ in range(2))
    batch = batch_of(fused)
    assert fused.has_fused_step and batch.negatives.shape == (30, 5)
    chosen = fused.choose_negatives(batch)
    plain = create("ltgnn", random_graph(), dim=8, loss="bpr")
    assert fused.training_step(batch) == plain.training_step(chosen)
    assert torch.equal(fused.e0, plain.e0)
    CapturedStep(captured, batch_size=30, seed=batch.seed)(batch)
    assert torch.equal(fused.e0, captured.e0)


def test_graphsage_scores_by_the_start_of_the_epoch(monkeypatch):
    model = create("graphsage", random_graph(), dim=8, loss="bpr", negatives="dns", lr=0.1)
    at_start = model.node_embeddings().clone()
    for _ in range(3):
        model.training_step(batch_of(model))
    assert torch.equal(model.stale_outputs, at_start)
    model.start_epoch(2)
    assert torch.equal(model.stale_outputs, model.node_embeddings())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", [name for name in MODELS if name != "ngcf"]
)  # gcn's step is ngcf's
def test_learns_the_checkerboard_with_chosen_negatives(name, kind):
    graph = checkerboard()
    settings = {"loss": "bpr", "negatives": kind, "candidates": 4, "epochs": 20}
    assert share_right(train(name, graph, **settings)) >= 0.95


@pytest.mark.parametrize("loss", ["bpr", "ccl"])
@pytest.mark.parametrize("name", ["mf", "ltgnn"])
def test_learns_the_checkerboard_with_mixed_negatives(name, loss):
    graph = checkerboard()
    settings = {"loss": loss, "negatives": "dns", "candidates": 4, "positive_mixing": 0.5}
    assert share_right(train(name, graph, **settings)) >= 0.95


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mf", {"loss": "bpr", "negatives": "popularity"}),
        ("mf", {"loss": "ccl", "positive_mixing": 1.0}),
        ("ltgnn", {"loss": "bpr", "negatives": "softmax"}),
        ("ltgnn", {"loss": "bce", "negatives": "dns", "hardest": 3, "candidates": 5}),
        ("graphsage", {"loss": "bpr", "negatives": "dns"}),
        ("mf", {"adaptive_tau": True, "log_q": True}),
    ],
)
def test_same_seed_same_bits_and_the_state_holds_everything(name, settings):
    graph = checkerboard()
    threads, states = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            model = train(name, graph, epochs=2, **settings)
            states.append(state_of(model))
    finally:
        torch.set_num_threads(threads)
    assert same_bits(states[0], states[1]) and same_bits(states[0], states[2])
    other = create(name, graph, seed=5, **{**vars(model.config)})
    other.load_state_dict(model.state_dict())
    sampler = PairSampler(
        graph, batch_size=40, negatives=model.config.draws_per_pair, sampling="interactions",
        seed=3, popularity=model.config.negatives == "popularity", log_q=model.config.log_q,
    )  # fmt: skip
    for going in (model, other):
        going.training_step(sampler.batch(3, 0))
        going.start_epoch(4)
    assert same_bits(model.state_dict(), other.state_dict())


@pytest.mark.parametrize("kind", ["uniform", *KINDS])
def test_who_owns_everything_or_nothing_is_left_out(kind):
    pairs = [(0, i) for i in range(5)] + [(1, 0), (1, 2), (3, 4)]
    users, items = zip(*pairs, strict=True)
    graph = BipartiteGraph.from_edges(users, items, num_users=4, num_items=5)
    model = train("mf", graph, epochs=3, loss="bce", negatives=kind, num_negatives=2, l2=0.0)
    start = create("mf", graph, dim=16)
    assert torch.equal(model.e0[0], start.e0[0]) and torch.equal(model.e0[2], start.e0[2])
    assert not torch.equal(model.e0[1], start.e0[1])
    assert torch.isfinite(model.e0).all()


@pytest.mark.parametrize("loss", ["bpr", "bce", "ccl"])
@pytest.mark.parametrize("mixing", [0.0, 0.7])
def test_a_step_has_the_exact_gradient(loss, mixing):
    """Of the loss and of the L2 term, of which a positive's negatives have one share together."""
    graph = random_graph()
    model = create("mf", graph, dim=8, loss=loss, num_negatives=3, positive_mixing=mixing, l2=0.3,
                   margin=0.1, negative_weight=2.0)  # fmt: skip
    batch = batch_of(model)
    e0 = model.e0.double().clone().requires_grad_()
    offset = graph.num_users
    ids = (batch.users, batch.items + offset, batch.negatives + offset)
    shares = mixing_shares((30, 3), mixing, batch.seed, e0.device) if mixing else None
    value = written_out(e0, *ids, loss, negative_weight=2.0, margin=0.1, mixing=shares)
    lengths = [e0[nodes].square().sum(-1) for nodes in ids]
    l2 = lengths[0].sum() + lengths[1].sum() + lengths[2].sum() / 3
    (value + 0.3 / 2 * l2 / 30).backward()
    step = model.training_step(batch)
    torch.testing.assert_close(step, value.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model.adam_m.double(), 0.1 * e0.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["uniform", *KINDS])
@pytest.mark.parametrize("name", MODELS)
def test_a_batch_in_which_everybody_owns_everything(name, kind):
    graph = BipartiteGraph.from_edges([0, 0, 1, 1], [0, 1, 0, 1])
    for loss, count in (("bpr", 1), ("ccl", 3)):
        model = train(name, graph, epochs=1, loss=loss, negatives=kind, num_negatives=count)
        assert torch.isfinite(model.node_embeddings()).all()


# ---- which candidate ----


def test_softmax_draws_in_proportion_to_the_exponential():
    scores = torch.tensor([0.3, -0.5, 0.9, 0.0]).expand(40_000, 4)
    candidates = torch.arange(4).expand(40_000, 4)
    chosen = choose_negatives(candidates, scores, kind="softmax", rho=0.5, seed=3)
    counts = torch.bincount(chosen, minlength=4)
    expected = 40_000 * (scores[0] / 0.5).softmax(0)
    assert float(((counts - expected) ** 2 / expected).sum()) < chi_square_limit(4)


def test_dns_draws_evenly_from_the_hardest():
    scores = torch.tensor([0.1, 0.9, 0.5, 0.7, 0.3]).expand(30_000, 5)
    candidates = torch.arange(5).expand(30_000, 5)
    chosen = choose_negatives(candidates, scores, kind="dns", hardest=3, seed=3)
    counts = torch.bincount(chosen, minlength=5)
    assert counts[0] == counts[4] == 0
    assert chi_square(counts[1:4]) < chi_square_limit(3)
    assert set(choose_negatives(candidates, scores, kind="dns", seed=3).tolist()) == {1}


def test_candidate_scores_are_inner_products_of_the_weighted_sum():
    random = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 20, 7, generator=random).unbind()
    table = (0.4 * one - 1.5 * other).double()
    for count in (1, 9):  # fewer candidates than items, and more
        users, candidates = torch.arange(6), torch.randint(12, (6, count), generator=random)
        got = candidate_scores([(0.4, one), (-1.5, other)], users, candidates, num_users=8)
        want = (table[:6, None] * table[candidates + 8]).sum(2)
        torch.testing.assert_close(got.double(), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"negatives": "hard"},
            "negatives must be 'uniform' or 'popularity' or 'dns' or 'softmax'",
        ),
        ({"negatives": "dns"}, "negatives must be 'uniform' unless loss is one of bpr, bce, ccl"),
        ({"positive_mixing": 0.5}, "positive_mixing must be in [0, 1], and 0 unless loss is one"),
        ({"loss": "bpr", "positive_mixing": 1.5}, "positive_mixing must be in [0, 1]"),
        ({"loss": "bpr", "num_negatives": -1}, "num_negatives must be not negative, got -1"),
        ({"loss": "bpr", "candidates": 0}, "candidates must be at least 1, got 0"),
        ({"loss": "bpr", "hardest": 33}, "hardest must be in [1, 32], candidates, got 33"),
        ({"loss": "bpr", "rho": 0.0}, "rho must be positive, got 0.0"),
        ({"loss": "ccl", "margin": 1.5}, "margin must be in [-1, 1], got 1.5"),
        ({"loss": "bpr", "log_q": True}, "log_q must be off unless loss is 'softmax', got True"),
        ({"loss": "bce", "adaptive_tau": True}, "adaptive_tau must be off unless loss is"),
        ({"adaptive_beta": 0.0}, "adaptive_beta must be positive, got 0.0"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError) as caught:
        create("mf", random_graph(), **settings)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["mf", "ltgnn", "gcn", "graphsage"])
@pytest.mark.parametrize("kind", ["uniform", "dns"])
def test_batches_with_another_number_of_negatives_are_refused(name, kind):
    model = create(name, random_graph(), dim=8, loss="bce", num_negatives=3, negatives=kind)
    ids = torch.arange(5)
    for negatives, got in ((None, "None"), (ids, "[5]"), (ids[:, None].expand(5, 7), "[5, 7]")):
        with pytest.raises(ValueError) as caught:
            model.training_step(Batch(ids, ids, negatives, seed=0))
        assert f"{name}: the batch's negatives must be [5, 3], got {got}" in str(caught.value)


def test_the_fused_step_takes_negatives_as_all_models_do():
    ids, models = torch.arange(5), []
    for shape in ((5,), (5, 1)):
        models.append(create("ltgnn", random_graph(), dim=8, loss="bpr"))
        assert models[-1].has_fused_step
        models[-1].training_step(Batch(ids, ids, torch.full(shape, 7), seed=0))
    assert torch.equal(models[0].e0, models[1].e0)
    with pytest.raises(ValueError, match=r"ltgnn: the batch's negatives must be \[5\], got None"):
        models[0].training_step(Batch(ids, ids, None, seed=0))


@pytest.mark.parametrize("name", ["mf", "ltgnn", "ltgnn_multiscale", "ultragcn", "graphsage"])
def test_users_and_items_of_a_batch_are_pairs(name):
    model = create(name, random_graph(), dim=8)
    before = {key: value.clone() for key, value in state_of(model).items()}
    for users, items in (
        (torch.arange(3), torch.arange(2)),
        (torch.zeros(2, 2), torch.zeros(2, 2)),
    ):
        with pytest.raises(ValueError, match=f"{name}: the batch's users and items must be"):
            model.training_step(Batch(users.long(), items.long(), None, seed=0))
    assert all(torch.equal(value, before[key]) for key, value in state_of(model).items())


def test_ultragcn_has_negatives_of_its_own():
    with pytest.raises(ValueError, match="negatives must be 'uniform' unless"):
        create("ultragcn", random_graph(), negatives="dns")
