"""LTGNN at several scales, against dense linear algebra, autograd, and LTGNN itself."""

from __future__ import annotations

import pytest
import torch
from models.contract import state_of
from models.dense import dense_adjacency, log_sum_of_negatives, random_graph

from ltgnn.models import Batch, create

ALPHAS = (0.3, 0.7)


def batches(count: int):
    users = torch.arange(20)
    return [Batch(users, (users + k) % 40, None, seed=k) for k in range(count)]


@pytest.mark.parametrize("self_loops", [False, True])
@pytest.mark.parametrize("sweeps", [0, 3])
def test_embeddings_are_the_mixture(sweeps, self_loops):
    model = create("ltgnn_multiscale", random_graph(), dim=8, alphas=ALPHAS, sweeps=sweeps,
                   alpha=0.6, deep_share=0.2, self_loops=self_loops)  # fmt: skip
    torch.testing.assert_close(model.scale_weights, torch.tensor([0.48, 0.32, 0.1, 0.1]))
    a, e0 = dense_adjacency(model.graph, self_loops), model.e0.double()
    expected = 0.48 * e0 + 0.32 * a @ e0
    for alpha in ALPHAS:
        z = e0
        for _ in range(sweeps):
            z = (1 - alpha) * a @ z + alpha * e0
        expected += 0.1 * z
    torch.testing.assert_close(model.node_embeddings().double(), expected, rtol=1e-4, atol=1e-6)


def test_each_memory_approaches_its_fixed_point():
    """With embeddings held still, steps over all nodes solve both."""
    graph = random_graph()
    model = create("ltgnn_multiscale", graph, dim=8, alphas=ALPHAS, start_sweeps=0, lr=0.0, fanout=4,
                   refresh_every=10)  # fmt: skip
    users, items = torch.arange(graph.num_users), torch.arange(graph.num_items)
    for step in range(120):
        model.training_step(Batch(users, items[:30], None, seed=step))
        model.training_step(Batch(users[:10], items[30:], None, seed=1000 + step))
    a, e0 = dense_adjacency(graph, False), model.e0.double()
    for k, alpha in enumerate(ALPHAS):
        exact = alpha * torch.linalg.solve(torch.eye(len(a)).double() - (1 - alpha) * a, e0)
        stored = getattr(model, f"z_{k}").double()
        assert (stored - exact).norm() < 1e-2 * exact.norm()


def test_gradients_equal_autograd():
    """Of a row's E0, with what comes from neighbours held fixed; of the logits, exactly."""
    graph = random_graph()
    model = create("ltgnn_multiscale", graph, dim=8, alphas=ALPHAS, fanout=64, l2=0.2,
                   allow_bf16=False, start_sweeps=4)  # fmt: skip
    users, items = torch.arange(10), torch.arange(10, 20)
    a, e0 = dense_adjacency(graph, False), model.e0.double().clone()
    leaf, logits = e0.clone().requires_grad_(), model.logits[0].double().clone().requires_grad_()
    weights = logits.softmax(0)
    out = weights[0] * leaf + weights[1] * (a @ e0)
    for k, alpha in enumerate(ALPHAS):
        z = getattr(model, f"z_{k}").double()
        out = out + weights[2 + k] * ((1 - alpha) * a @ z + alpha * leaf)
    unit = torch.nn.functional.normalize(out, dim=1)
    cosines = unit[users] @ unit[items + graph.num_users].T / model.config.tau
    others = log_sum_of_negatives(cosines, graph, users, items)
    loss = (-cosines.diagonal() + model.config.exponent * others).mean()
    rows = torch.cat([users, items + graph.num_users])
    (loss + 0.2 / 2 * leaf[rows].square().sum() / 10).backward()
    value = model.training_step(Batch(users, items, None, seed=0))
    torch.testing.assert_close(value, loss.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model.adam_m.double(), 0.1 * leaf.grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(model.logits_m[0].double(), 0.1 * logits.grad, rtol=1e-4, atol=1e-7)


def test_without_fixed_points_and_with_still_weights_it_is_ltgnn():
    settings = {"dim": 8, "alpha": 0.4, "fanout": 3, "lr": 0.01, "refresh_every": 7}
    one_hop = create("ltgnn", random_graph(), exclude_pair=False, **settings)
    mixture = create("ltgnn_multiscale", random_graph(), alphas=(), scales_lr=0.0, **settings)
    for batch in batches(20):
        for model in (one_hop, mixture):
            model.training_step(batch)
    torch.testing.assert_close(mixture.e0, one_hop.e0, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(mixture.delta, one_hop.delta, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(
        mixture.node_embeddings(), one_hop.node_embeddings(), rtol=1e-3, atol=1e-5
    )


def test_weights_are_learned_and_sum_to_one():
    model = create("ltgnn_multiscale", random_graph(), dim=8, alphas=ALPHAS, scales_lr=0.05)
    before = model.scale_weights
    for batch in batches(30):
        model.training_step(batch)
    assert (model.scale_weights - before).abs().max() > 0.05
    torch.testing.assert_close(model.scale_weights.sum(), torch.tensor(1.0))


@pytest.mark.parametrize("table_dtype", ["mixed", "bfloat16"])
def test_bfloat16_tables_follow_float32_ones(table_dtype):
    graph, settings = random_graph(), {"dim": 16, "alphas": ALPHAS, "lr": 0.01}
    exact = create("ltgnn_multiscale", graph, **settings)
    rounded = create("ltgnn_multiscale", graph, table_dtype=table_dtype, **settings)
    assert rounded.z_1.dtype == rounded.delta.dtype == torch.bfloat16
    for batch in batches(10):
        for model in (exact, rounded):
            model.training_step(batch)
    error = rounded.node_embeddings() - exact.node_embeddings()
    assert error.norm() < 0.05 * exact.node_embeddings().norm()


def test_hard_negatives_are_chosen_by_the_mixture():
    graph = random_graph()
    settings = {"dim": 8, "alphas": ALPHAS, "loss": "bpr", "negatives": "dns", "candidates": 5}
    model = create("ltgnn_multiscale", graph, **settings)
    users, candidates = torch.arange(20), torch.arange(100).view(20, 5) % 40
    batch = Batch(users, torch.arange(20), candidates, seed=0)
    outputs = model.scale_weights[0] * model.e0 + model.scale_weights[1] * model.history_sum
    for k in range(2):
        outputs = outputs + model.scale_weights[2 + k] * getattr(model, f"z_{k}")
    scores = (outputs[users, None] * outputs[graph.num_users + candidates]).sum(2)
    expected = candidates.gather(1, scores.argmax(1, keepdim=True))[:, 0]
    assert torch.equal(model.choose_negatives(batch).negatives, expected)


def test_settings_come_back_from_json():
    model = create("ltgnn_multiscale", random_graph(), dim=8, alphas=[0.3, 0.7])
    assert model.config.alphas == (0.3, 0.7)
    assert {"logits", "logits_v", "z_1", "delta_0", "history_sum_1"} <= set(state_of(model))
