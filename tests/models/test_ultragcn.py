"""UltraGCN's loss and gradient against autograd in float64, and its item graph against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from models.dense import random_graph
from torch.nn.functional import softplus

from ltgnn.models import Batch, create, ultragcn


@pytest.mark.parametrize("neighbors", [0, 3, 100])
@pytest.mark.parametrize("negative_weight", [0.0, 7.0])
def test_a_step_has_the_exact_gradient(neighbors, negative_weight):
    graph = random_graph()
    settings = {"w1": 0.1, "w2": 0.5, "w3": 0.2, "w4": 0.8, "neighbor_weight": 0.3, "l2": 0.4}
    model = create(
        "ultragcn", graph, dim=8, num_negatives=50, neighbors=neighbors, negative_weight=negative_weight,
        **settings,
    )  # fmt: skip
    users, items, seed = torch.tensor([0, 1, 1, 5]), torch.tensor([3, 4, 4, 9]), 11
    negatives = torch.randint(graph.num_items, (50,), generator=torch.Generator().manual_seed(seed))
    e = model.e0.double().clone().requires_grad_()
    u, v = e[: graph.num_users], e[graph.num_users :]
    degrees = graph.degrees.double()
    du, di = degrees[: graph.num_users], degrees[graph.num_users :]
    beta = torch.outer((du + 1).sqrt() / du.clamp(min=1), (di + 1).rsqrt())
    near, omega = ultragcn.nearest_items(graph, neighbors)
    weight = negative_weight or 0.2 * graph.num_items * graph.num_users / graph.num_edges
    value = torch.zeros((), dtype=torch.float64)
    touched = {
        *users.tolist(),
        *(items + graph.num_users).tolist(),
        *(negatives + graph.num_users).tolist(),
    }
    for user, item in zip(users.tolist(), items.tolist(), strict=True):
        value = value + (0.1 + 0.5 * beta[user, item]) * softplus(-(u[user] @ v[item]))
        for j in negatives.tolist():
            term = (0.2 + 0.8 * beta[user, j]) * softplus(u[user] @ v[j])
            value = value + weight * term / 50
        for k, w in zip(near[item].tolist(), omega[item].tolist(), strict=True):
            value = value + 0.3 * w * softplus(-(u[user] @ v[k]))
            touched.add(k + graph.num_users)
    value = value / 4
    rows = torch.tensor(sorted(touched))
    (value + 0.4 / 2 * e[rows].square().sum() / 4).backward()
    step = model.training_step(Batch(users, items, None, seed=seed))
    torch.testing.assert_close(step, value.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model.adam_m.double(), 0.1 * e.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 5, 1000])
@pytest.mark.parametrize("block", [1, 10**9])
def test_nearest_items(count, block, monkeypatch):
    monkeypatch.setattr(ultragcn, "BLOCK_ENTRIES", block)
    graph = random_graph(3)
    near, omega = ultragcn.nearest_items(graph, count)
    r = graph.to_scipy().toarray().astype(np.float64)
    g = r.T @ r
    total = g.sum(1)
    want = g * (np.sqrt(total + 1) / np.maximum(total, 1))[:, None] / np.sqrt(total + 1)
    k = min(count, graph.num_items)
    assert near.shape == omega.shape == (graph.num_items, k)
    best = -np.sort(-want, axis=1)[:, :k]
    np.testing.assert_allclose(omega.numpy(), best, rtol=1e-5)
    there = omega.numpy() > 0
    rows = np.arange(graph.num_items)[:, None]
    np.testing.assert_allclose(want[rows, near.numpy()][there], best[there], rtol=1e-5)


def test_sum_by_row():
    rows = torch.tensor([5, 2, 5, 2, 9])
    distinct, sums = ultragcn.sum_by_row(rows, torch.arange(10.0).view(5, 2))
    assert distinct.tolist() == [2, 5, 9]
    assert sums.tolist() == [[8, 10], [4, 6], [8, 9]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_negatives": 0}, "num_negatives must be at least 1, got 0"),
        ({"w4": -1.0}, "w4 must be not negative, got -1.0"),
        ({"loss": "bpr"}, "loss must be 'ultragcn', got 'bpr'"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError) as caught:
        create("ultragcn", random_graph(), **settings)
    assert message in str(caught.value)
