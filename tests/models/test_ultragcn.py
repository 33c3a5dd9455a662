"""UltraGCN's loss and gradient against autograd in float64, and its item graph against brute force."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from models.dense import random_graph
from torch.nn.functional import softplus

from ltgnn.models import Batch, create, nearest_items, shared_negatives, ultragcn
from ltgnn.models.shared_negatives import shared_negatives_loss
from ltgnn.training import TrainConfig, Trainer


@pytest.mark.parametrize("neighbors", [0, 3, 100])
@pytest.mark.parametrize("negative_weight", [0.0, 7.0])
@pytest.mark.parametrize("exponent", [0.0, 0.6])
@pytest.mark.parametrize("tile", [(1, 7), (3, 20), (127, 256)])
def test_a_step_has_the_exact_gradient(neighbors, negative_weight, exponent, tile, monkeypatch):
    monkeypatch.setattr(shared_negatives, "TILE_ROWS", tile[0])
    monkeypatch.setattr(shared_negatives, "TILE_COLUMNS", tile[1])
    graph = random_graph()
    settings = {"w1": 0.1, "w2": 0.5, "w3": 0.2, "w4": 0.8, "neighbor_weight": 0.3, "l2": 0.4}
    model = create(
        "ultragcn", graph, dim=8, num_negatives=50, neighbors=neighbors, negative_weight=negative_weight,
        negative_exponent=exponent, **settings,
    )  # fmt: skip
    users, items, seed = torch.tensor([0, 1, 1, 5]), torch.tensor([3, 4, 4, 9]), 11
    negatives, rarity = model._draw(seed, 4)
    e = model.e0.double().clone().requires_grad_()
    u, v = e[: graph.num_users], e[graph.num_users :]
    degrees = graph.degrees.double()
    du, di = degrees[: graph.num_users], degrees[graph.num_users :]
    beta = torch.outer((du + 1).sqrt() / du.clamp(min=1), (di + 1).rsqrt())
    near, omega = nearest_items.nearest_items(graph, neighbors)
    weight = negative_weight or 0.2 * graph.num_items * graph.num_users / graph.num_edges
    value = torch.zeros((), dtype=torch.float64)
    touched = {
        *users.tolist(),
        *(items + graph.num_users).tolist(),
        *(negatives + graph.num_users).tolist(),
    }
    for user, item in zip(users.tolist(), items.tolist(), strict=True):
        value = value + (0.1 + 0.5 * beta[user, item]) * softplus(-(u[user] @ v[item]))
        for j, rare in zip(negatives.tolist(), rarity.tolist(), strict=True):
            term = rare * (0.2 + 0.8 * beta[user, j]) * softplus(u[user] @ v[j])
            value = value + weight * term / 50
        for k, w in zip(near[item].tolist(), omega[item].tolist(), strict=True):
            value = value + 0.3 * w * softplus(-(u[user] @ v[k]))
            touched.add(k + graph.num_users)
    value = value / 4
    rows = torch.tensor(sorted(touched))
    (value + 0.4 / 2 * (e[rows].square().sum(1) / model._chance(rows, 4)).sum() / 4).backward()
    step = model.training_step(Batch(users, items, None, seed=seed))
    torch.testing.assert_close(step, value.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model.adam_m.double(), 0.1 * e.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 5, 1000])
@pytest.mark.parametrize("block", [1, 10**9])
def test_nearest_items(count, block, monkeypatch):
    monkeypatch.setattr(nearest_items, "BLOCK_ENTRIES", block)
    graph = random_graph(3)
    near, omega = nearest_items.nearest_items(graph, count)
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
    assert (near.numpy() == rows)[~there].all()


def test_sum_by_row():
    rows, columns = torch.tensor([5, 2, 5, 2, 9]), torch.tensor([0, 1, 2, 3, 0])
    weights = torch.tensor([1.0, 1.0, 1.0, 2.0, 3.0])
    distinct, sums = ultragcn.sum_by_row(rows, columns, weights, torch.arange(8.0).view(4, 2))
    assert distinct.tolist() == [2, 5, 9]
    assert sums.tolist() == [[14, 17], [4, 6], [0, 3]]


@pytest.mark.parametrize("exponent", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("count", [1, 7, 40])
def test_the_mean_over_draws_is_that_over_all_items(exponent, count):
    graph = random_graph(5)
    model = create("ultragcn", graph, dim=8, num_negatives=count, negative_exponent=exponent)
    values = torch.rand(graph.num_items)
    means = []
    for seed in range(4000):
        negatives, rarity = model._draw(seed, 3)
        assert len(negatives) == count
        means.append(float((rarity * values[negatives]).mean()))
    error = np.std(means) / len(means) ** 0.5
    assert abs(np.mean(means) - float(values.mean())) <= 5 * error + 1e-6
    assert torch.equal(model._draw(9, 3)[0], model._draw(9, 3)[0])
    assert len(model._draw(9, 0)[0]) == 0


@pytest.mark.parametrize(("exponent", "count"), [(0.0, 3), (0.6, 7), (1.0, 40), (3.0, 12)])
@pytest.mark.parametrize("pairs", [1, 40, None])
def test_a_row_is_in_a_batch_as_often_as_its_l2_assumes(exponent, count, pairs):
    graph = random_graph(5)
    pairs = pairs or graph.num_edges
    model = create(
        "ultragcn", graph, dim=4, num_negatives=count, negative_exponent=exponent, neighbors=2
    )
    users = torch.repeat_interleave(torch.arange(graph.num_users), graph.user_indptr.diff())
    held, trials = torch.zeros(graph.num_nodes, dtype=torch.float64), 3000
    for seed in range(trials):
        chosen = torch.randperm(graph.num_edges, generator=torch.Generator().manual_seed(seed))[
            :pairs
        ]
        items = graph.user_items[chosen].long()
        negatives, _ = model._draw(seed, pairs)
        others = torch.cat([items, model._near[items].flatten(), negatives])
        rows = torch.cat([users[chosen], others + graph.num_users])
        held[rows.unique()] += 1
    known = graph.degrees > 0
    want = model._chance(torch.arange(graph.num_nodes), pairs)
    error = (want * (1 - want) / trials).sqrt() * 5 + 0.01
    off = (held / trials - want).abs()[known]
    assert (off <= error[known]).all(), (off, error[known])


def test_batches_that_its_l2_does_not_know_are_refused():
    model = create("ultragcn", random_graph(5), dim=4)
    with pytest.raises(
        ValueError, match="sampling must be 'interactions' for ultragcn, got 'users'"
    ):
        Trainer(model, TrainConfig(sampling="users"))


def test_a_step_leaves_the_number_of_threads_to_others():
    """torch.set_num_threads also sets what threads that begin later take."""

    def of_a_new_thread():
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(torch.get_num_threads).result()

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        shared_negatives_loss(
            torch.zeros(2, 3), torch.ones(4, 3), torch.ones(2), torch.ones(4), torch.zeros(4)
        )
        assert torch.get_num_threads() == of_a_new_thread() == 3
    finally:
        torch.set_num_threads(threads)


def test_at_the_offsets_the_loss_is_least():
    graph = random_graph(7)
    settings = {"w1": 0.1, "w2": 0.5, "w3": 0.2, "w4": 0.8, "negative_weight": 7.0}
    model = create("ultragcn", graph, dim=8, **settings)
    config = ultragcn.UltraGCNConfig(dim=8, **settings)
    offsets = ultragcn.item_offsets(graph, config, model._user_beta, model._item_beta, 7.0)
    torch.testing.assert_close(model.e0[0, 0] * model.e0[graph.num_users :, 0], offsets.float())
    score = offsets.clone().requires_grad_()
    beta = torch.outer(model._user_beta, model._item_beta).double()
    r = torch.from_numpy(graph.to_scipy().toarray()).double()
    degrees = graph.degrees[: graph.num_users].double()
    negative = degrees[:, None] * (0.2 + 0.8 * beta) * 7.0 / graph.num_items
    positive = r * (0.1 + 0.5 * beta)
    (positive * softplus(-score) + negative * softplus(score)).sum().backward()
    seen = graph.degrees[graph.num_users :] > 0
    torch.testing.assert_close(score.grad[seen], torch.zeros(int(seen.sum()), dtype=torch.float64))
    assert (offsets[~seen] == -10).all()


def test_the_start():
    graph = random_graph(7)
    known = graph.degrees > 0
    model = create("ultragcn", graph, dim=8, start_norm=2.0, offset=False)
    torch.testing.assert_close(model.e0[known].norm(dim=1), torch.full((int(known.sum()),), 2.0))
    plain = create("ultragcn", graph, dim=8, start_norm=0.0, offset=False)
    torch.testing.assert_close(torch.nn.functional.normalize(plain.e0) * 2, model.e0)


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


@pytest.mark.parametrize("zero", [("w1", "w2"), ("w3", "w4"), ("w1", "w2", "w3", "w4")], ids=str)
def test_offsets_are_finite_where_weights_are_zero(zero):
    model = create("ultragcn", random_graph(), dim=8, **dict.fromkeys(zero, 0.0))
    assert model.e0.isfinite().all() and (model.e0[:, 0].abs() <= 101).all()


@pytest.mark.parametrize("name", ["negative_exponent", "start_norm"])
def test_what_shapes_the_start_is_not_negative(name):
    with pytest.raises(ValueError, match=f"{name} must be not negative, got -0.5"):
        create("ultragcn", random_graph(), **{name: -0.5})
