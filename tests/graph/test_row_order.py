"""order_rows: the same graph and the same bits, with rows of one community side by side."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ltgnn
from ltgnn.graph import BipartiteGraph, order_rows
from ltgnn.ops import propagate, sample_aggregate


def communities(count=12, users=40, items=20, degree=8, seed=0):
    """Users like items of their own community; neighbours in number are of different ones."""
    random = np.random.default_rng(seed)
    user = np.repeat(np.arange(count * users), degree)
    item = random.integers(items, size=len(user)) * count + user % count
    return BipartiteGraph.from_edges(user, item, num_users=count * users, num_items=count * items)


def random_graph(num_users, num_items, num_edges, seed=0):
    random = np.random.default_rng(seed)
    pairs = random.integers(num_users, size=num_edges), random.integers(num_items, size=num_edges)
    return BipartiteGraph.from_edges(*pairs, num_users=num_users, num_items=num_items)


@pytest.mark.parametrize(
    "sizes", [(1, 1, 1), (3, 40, 9), (400, 1, 80), (700, 300, 9000), (30, 20, 0)]
)
@pytest.mark.parametrize("self_loops", [False, True])
def test_the_same_bits_forward_and_backward(sizes, self_loops, threads):
    graph = random_graph(*sizes)
    ordered = order_rows(graph)
    assert torch.equal(ordered.row_order.sort().values, torch.arange(graph.num_nodes))
    x = torch.randn(graph.num_nodes, 33)
    results = []
    for each in (graph, ordered):
        leaf = x.clone().requires_grad_()
        out = propagate(each, leaf, x0=leaf, alpha=0.2, self_loops=self_loops)
        (gradient,) = torch.autograd.grad(out.square().sum(), leaf)
        results.append((out.detach(), gradient))
    for left, right in zip(*results, strict=True):
        assert torch.equal(left, right)


@pytest.fixture(params=[1, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def test_rows_of_a_community_lie_side_by_side():
    graph = communities()
    ordered = order_rows(graph)
    for side in (ordered.row_order[: graph.num_users], ordered.row_order[graph.num_users :]):
        label = (side if int(side.max()) < graph.num_users else side - graph.num_users) % 12
        changes = int((label.diff() != 0).sum())
        assert changes < len(side) / 8  # 11 at least; 11/12 of them in order of their numbers
    assert (
        int((torch.arange(graph.num_users).remainder(12).diff() != 0).sum()) == graph.num_users - 1
    )


def test_what_has_no_use_for_an_order_does_without():
    graph = random_graph(50, 30, 300)
    ordered = order_rows(graph)
    x = torch.randn(graph.num_nodes, 5)
    weight = torch.rand(2 * graph.num_edges)
    assert torch.equal(propagate(graph, x, weight=weight), propagate(ordered, x, weight=weight))
    rows = torch.arange(graph.num_nodes)
    left, right = (sample_aggregate(g, rows, x, fanout=3, seed=1) for g in (graph, ordered))
    assert torch.equal(left, right)
    csr = ordered.csr(ordered=True)
    with pytest.raises(ValueError, match="sample_aggregate: graph must list its rows in order"):
        sample_aggregate(csr, rows, x, fanout=3, seed=1)
    with pytest.raises(ValueError, match="propagate: graph must list its rows in order here"):
        propagate(csr, x, weight=weight)


def test_an_ordered_graph_is_ordered_once_and_leaves_the_other_alone():
    graph = random_graph(50, 30, 300)
    ordered = order_rows(graph)
    assert order_rows(ordered) is ordered and graph.row_order is None
    assert ordered.indices is graph.indices
    assert ordered.to("cpu") is ordered
    assert ordered.to("meta").row_order.device.type == "meta"


@pytest.mark.parametrize("name", ["lightgcn", "gcn", "ngcf"])
def test_models_that_propagate_all_in_a_step_train_in_the_order(name):
    """With the bits they would have without."""
    data = ltgnn.data.load("synthetic", num_users=60, num_items=40, num_interactions=600)
    graph = BipartiteGraph.from_edges(
        data.train.users, data.train.items, num_users=data.num_users, num_items=data.num_items
    )
    tables = []
    for ordered in (True, False):
        model = ltgnn.models.create(name, graph, dim=16)
        if not ordered:
            model.propagates_all = False
        ltgnn.training.Trainer(model, ltgnn.training.TrainConfig(epochs=2)).fit()
        assert (model.graph.row_order is not None) == ordered
        tables.append(model.e0.detach())
    assert torch.equal(*tables)
