"""A pair scored as if it were not in the graph: its own term is gone, and gradients come back to the right rows."""

from __future__ import annotations

import pytest
import torch
from models.contract import checkerboard, state_of
from models.dense import dense_adjacency, log_sum_of_negatives, random_graph

from ltgnn.models import Batch, create
from ltgnn.models.pair_exclusion import exclude_pairs


def edges_of(graph):
    """All users and items of a graph's pairs."""
    users = torch.repeat_interleave(torch.arange(graph.num_users), graph.degrees[: graph.num_users])
    items = torch.from_numpy(graph.to_scipy().tocsr().indices.astype("int64"))
    return users, items


@pytest.mark.parametrize("self_loops", [False, True])
def test_outputs_are_those_of_the_adjacency_without_the_pair(self_loops):
    graph = random_graph()
    n, offset = graph.num_nodes, graph.num_users
    users, items = edges_of(graph)
    e0 = torch.randn(n, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    a = dense_adjacency(graph, self_loops)
    out = 0.6 * a @ e0 + 0.4 * e0
    nodes = torch.arange(n)
    negatives = nodes[offset:][torch.arange(len(users)) % graph.num_items]
    pairs = exclude_pairs(
        graph, out, nodes, [users, items + offset, negatives], e0, kept=0.6, self_loops=self_loops
    )
    for k, (u, i) in enumerate(zip(users.tolist(), (items + offset).tolist(), strict=True)):
        without = a.clone()
        without[u, i] = without[i, u] = 0
        expected = 0.6 * without @ e0 + 0.4 * e0
        torch.testing.assert_close(pairs.out[pairs.positions[0][k]], expected[u])
        torch.testing.assert_close(pairs.out[pairs.positions[1][k]], expected[i])
    assert torch.equal(pairs.out[pairs.positions[2]], out[negatives])


def test_gradients_are_summed_by_node():
    graph = random_graph()
    users, items = edges_of(graph)
    out = torch.randn(graph.num_nodes, 3, generator=torch.Generator().manual_seed(2))
    positions = [users, items + graph.num_users]
    pairs = exclude_pairs(
        graph, out, torch.arange(graph.num_nodes), positions, out, kept=0.5, self_loops=False
    )
    grad = torch.randn(pairs.out.shape, generator=torch.Generator().manual_seed(3))
    expected = torch.zeros(len(out), 3, dtype=torch.float64)
    expected.index_add_(0, torch.cat(positions), grad.double())
    torch.testing.assert_close(pairs.gradient(grad).double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "settings", [{}, {"depth": "fixed_point", "alpha": 0.3}, {"c0": 0.2, "c1": 0.1}]
)
def test_a_step_does_it_with_the_softmax_only(settings):
    graph = checkerboard()
    users, items = edges_of(graph)
    batch = Batch(users[:64], items[:64], items[64:128], seed=5)
    states = {}
    for loss in ("softmax", "bpr"):
        for exclude in (False, True):
            model = create("ltgnn", graph, dim=8, loss=loss, exclude_pair=exclude, **settings)
            model.training_step(batch)
            states[loss, exclude] = state_of(model)["e0"]
    assert torch.equal(states["bpr", False], states["bpr", True])
    assert not torch.allclose(states["softmax", False], states["softmax", True])


def test_the_step_is_the_gradient_of_the_loss_without_the_pair():
    """One row, exact neighbours, plain gradient descent told from Adam's first moment."""
    graph = checkerboard()
    users, items = edges_of(graph)
    users, items = users[::7], items[::7]
    model = create("ltgnn", graph, dim=8, fanout=64, alpha=0.4, l2=0.0, allow_bf16=False)
    e0 = model.e0.detach().double()
    own = e0.clone().requires_grad_()
    a, offset = dense_adjacency(graph, False), graph.num_users
    out = 0.6 * a @ e0 + 0.4 * own  # neighbours are held fixed: own gradient only
    scale = graph.scale().double()
    w = 0.6 * (scale[users] * scale[items + offset])[:, None]
    u = out[users] - w * e0[items + offset]
    i = out[items + offset] - w * e0[users]
    logits = (
        torch.nn.functional.normalize(u) @ torch.nn.functional.normalize(i).T / model.config.tau
    )
    others = log_sum_of_negatives(logits, graph, users, items)
    loss = (model.config.exponent * others - logits.diagonal()).mean()
    loss.backward()
    got = model.training_step(Batch(users, items, None, seed=1))
    torch.testing.assert_close(got, loss.detach(), rtol=1e-5, atol=1e-6)
    moved = model.adam_m.double() / 0.1  # after one step: the gradient
    torch.testing.assert_close(moved, own.grad, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("c1", [0.0, 0.1])
def test_of_the_fixed_point_it_takes_what_was_summed(c1):
    """With exact neighbours the outputs are a step of the stored Z as it was, over the graph without the pair."""
    graph = random_graph()
    users, items = edges_of(graph)
    users, items = users[:6], items[:6]
    model = create(
        "ltgnn", graph, dim=8, depth="fixed_point", alpha=0.3, c1=c1, fanout=64, allow_bf16=False
    )
    z, e0, offset = model.z.double(), model.e0.detach().double(), graph.num_users
    a = dense_adjacency(graph, False)
    outputs = []
    for u, i in zip(users.tolist(), (items + offset).tolist(), strict=True):
        without = a.clone()
        without[u, i] = without[i, u] = 0
        outputs.append((0.7 * without @ z + 0.3 * e0 - c1 * without @ e0)[[u, i]])
    u, i = torch.nn.functional.normalize(torch.stack(outputs), dim=2).unbind(1)
    logits = u @ i.T / model.config.tau
    others = log_sum_of_negatives(logits, graph, users, items)
    expected = (model.config.exponent * others - logits.diagonal()).mean()
    got = model.training_step(Batch(users, items, None, seed=1))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
