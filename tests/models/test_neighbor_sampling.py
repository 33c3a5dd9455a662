"""LTGNN's ways of drawing neighbours: the same training, other draws; reproducible, resumable."""

from __future__ import annotations

import pytest
import torch
from models.contract import checkerboard, same_bits, share_right, state_of, train

from ltgnn.graph import BipartiteGraph
from ltgnn.models import Batch, create
from ltgnn.models.memory_need import RunSizes
from ltgnn.models.neighbor_sampling import NEIGHBOR_SAMPLING, _frequency
from ltgnn.ops import ltgnn_forward_, propagate

OTHERS = NEIGHBOR_SAMPLING[1:]


@pytest.fixture(scope="module")
def graph() -> BipartiteGraph:
    """Heavy-tailed, so that rows differ."""
    random = torch.Generator().manual_seed(5)
    users = (300 * torch.rand(8000, generator=random) ** 3).long()
    items = (400 * torch.rand(8000, generator=random) ** 3).long()
    return BipartiteGraph.from_edges(users, items)


def batches(graph: BipartiteGraph, count: int) -> list[Batch]:
    random = torch.Generator().manual_seed(1)
    users = torch.repeat_interleave(torch.arange(graph.num_users), graph.user_indptr.diff())
    made = []
    for seed in range(count):
        picked = torch.randint(len(users), (64,), generator=random)
        negatives = torch.randint(graph.num_items, (64,), generator=random)
        items = graph.user_items[picked].long()
        made.append(Batch(users[picked], items, negatives, seed=seed))
    return made


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("loss", ["softmax", "bpr"])
def test_learns_the_checkerboard(kind, loss):
    model = train("ltgnn", checkerboard(), neighbor_sampling=kind, loss=loss, fanout=3)
    assert share_right(model) > 0.95


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("loss", ["softmax", "bpr"])
def test_same_bits_for_any_number_of_threads(graph, kind, loss):
    before, states = torch.get_num_threads(), []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        model = create("ltgnn", graph, dim=8, loss=loss, neighbor_sampling=kind, refresh_every=3)
        for batch in batches(graph, 8):
            model.training_step(batch)
        states.append(state_of(model))
    torch.set_num_threads(before)
    assert all(same_bits(states[0], other) for other in states[1:])


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("depth", ["one_hop", "fixed_point"])
def test_a_saved_state_goes_on_to_the_same_bits(graph, kind, depth):
    settings = {"dim": 8, "depth": depth, "neighbor_sampling": kind, "refresh_every": 4}
    model, other = (create("ltgnn", graph, seed=seed, **settings) for seed in (0, 1))
    steps = batches(graph, 10)
    for batch in steps[:6]:
        model.training_step(batch)
    other.load_state_dict(state_of(model))
    for batch in steps[6:]:
        model.training_step(batch)
        other.training_step(batch)
    assert same_bits(state_of(model), state_of(other))


@pytest.mark.parametrize("kind", ["adaptive", "adaptive_importance"])
def test_mean_fanout_over_batches_is_within_the_budget(graph, kind):
    model = create("ltgnn", graph, dim=8, neighbor_sampling=kind, fanout=4, refresh_every=20)
    often, by_degree = _frequency(graph), model.sampling.row_fanout.clone()
    for batch in batches(graph, 25):
        model.training_step(batch)
    assert not torch.equal(model.sampling.row_fanout, by_degree)  # movement counts, too
    for fanouts in (by_degree, model.sampling.row_fanout):
        assert (often * fanouts).sum() <= 4.0001 * often.sum()
        assert (often * fanouts).sum() > 3.5 * often.sum()


def test_the_estimate_is_better_where_nodes_move_unevenly(graph):
    """Nodes that go on moving as far as they did before the refresh: the error of every row's aggregate."""
    random = torch.Generator().manual_seed(2)
    length = torch.exp(2 * torch.randn(graph.num_nodes, 1, generator=random))
    first, then = length * torch.randn(2, graph.num_nodes, 8, generator=random)
    rows, errors = torch.arange(graph.num_nodes), {}
    for kind in NEIGHBOR_SAMPLING:
        model = create("ltgnn", graph, dim=8, neighbor_sampling=kind, fanout=4)
        model.delta.copy_(first)
        model.refresh()
        model.delta.copy_(then)
        exact = propagate(graph, then) + model.history_sum
        runs = torch.stack([_forward(model, rows, seed)[0] for seed in range(60)])
        errors[kind] = float((runs - exact).square().mean())
    assert errors["importance"] < 0.7 * errors["uniform"], errors
    assert errors["adaptive"] < 0.8 * errors["uniform"], errors
    assert errors["adaptive_importance"] < 0.6 * errors["uniform"], errors


def _forward(model, rows, seed):
    """A E0 as a step estimates it."""
    return ltgnn_forward_(model.graph, model._tables(), rows, alpha=0.0, seed=seed,
                          **model.sampling.arguments)  # fmt: skip


def test_uniform_adds_nothing_to_the_state(graph):
    model = create("ltgnn", graph, dim=8)
    assert not any(name.startswith("sampling") for name in model.state_dict())
    assert model.sampling.arguments == {"fanout": 4, "row_fanout": None, "edge_starts": None}


def test_dense_graphs_are_exact():
    """A budget that covers every row: no error at all."""
    graph = checkerboard()
    model = create("ltgnn", graph, dim=8, neighbor_sampling="adaptive", fanout=20, lr=0.1)
    model.refresh()
    for seed in range(3):
        model.training_step(Batch(torch.arange(40), torch.arange(40), None, seed=seed))
    out, _ = _forward(model, torch.arange(80), 9)
    torch.testing.assert_close(out, propagate(graph, model.e0.data), rtol=1e-5, atol=1e-6)


def test_nonsense_that_training_left_is_no_error_of_sampling(graph):
    model = create("ltgnn", graph, dim=8, neighbor_sampling="adaptive_importance")
    model.delta[3] = torch.nan
    model.delta[4] = torch.inf
    model.refresh()
    model.training_step(batches(graph, 1)[0])


@pytest.mark.parametrize("kind", NEIGHBOR_SAMPLING)
def test_the_estimate_of_memory_knows_its_buffers(graph, kind):
    model = create("ltgnn", graph, dim=8, neighbor_sampling=kind)
    held = sum(buffer.nbytes for buffer in model.sampling.buffers())
    sizes = RunSizes(graph.num_users, graph.num_items, graph.num_edges, batch=64)
    plain = create("ltgnn", graph, dim=8).config
    extra = (
        model.memory_need(model.config, sizes).training - model.memory_need(plain, sizes).training
    )
    assert held <= extra
    assert (held > 0) == (extra > 0) == (kind != "uniform")


def test_refuses_another_name(graph):
    with pytest.raises(ValueError, match="neighbor_sampling must be 'uniform' or .*, got 'best'"):
        create("ltgnn", graph, neighbor_sampling="best")
