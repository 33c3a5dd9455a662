"""LightGCN's smoothing and its gradient, against autograd through dense linear algebra."""

from __future__ import annotations

import math

import pytest
import torch
from models.dense import dense_adjacency, log_sum_of_negatives, random_graph

from ltgnn.graph import BipartiteGraph
from ltgnn.models import Batch, create
from ltgnn.models.layer_weights import weighted_layers

SETTINGS = {
    "mean": {},
    "ppr": {"layer_weights": "ppr", "ppr_alpha": 0.3},
    "learned": {"learn_layer_weights": True},
    "learned from ppr": {"layer_weights": "ppr", "ppr_alpha": 0.3, "learn_layer_weights": True},
}


def expected_weights(kind, layers):
    if "ppr" in kind:
        return [0.3 * 0.7**k for k in range(layers)] + [0.7**layers]
    return [1 / (layers + 1)] * (layers + 1)


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("layers", [0, 1, 3])
@pytest.mark.parametrize("loss", ["softmax", "bpr"])
def test_a_step_has_the_exact_gradient(kind, layers, loss):
    graph = random_graph()
    model = create(
        "lightgcn", graph, dim=8, layers=layers, loss=loss, l2=0.3, allow_bf16=False, **SETTINGS[kind]
    )  # fmt: skip
    users, items, negatives = torch.arange(10), torch.arange(10, 20), torch.arange(20, 30)
    a = dense_adjacency(graph, False)
    leaf = model.e0.double().clone().requires_grad_()
    weights = torch.tensor(expected_weights(kind, layers), dtype=torch.float64, requires_grad=True)
    layer, out = leaf, weights[0] * leaf
    for k in range(layers):
        layer = a @ layer
        out = out + weights[k + 1] * layer
    torch.testing.assert_close(model.node_embeddings().double(), out.detach(), rtol=1e-4, atol=1e-6)
    u, p, n = out[users], out[items + graph.num_users], out[negatives + graph.num_users]
    if loss == "bpr":
        value = torch.nn.functional.softplus((u * n).sum(1) - (u * p).sum(1)).mean()
        rows = torch.cat([users, items + graph.num_users, negatives + graph.num_users])
    else:
        logits = torch.nn.functional.normalize(u, dim=1) @ torch.nn.functional.normalize(p, dim=1).T
        logits = logits / model.config.tau
        others = log_sum_of_negatives(logits, graph, users, items)
        value = (model.config.exponent * others - logits.diagonal()).mean()
        rows = torch.cat([users, items + graph.num_users])
    (value + 0.3 / 2 * leaf[rows].square().sum() / 10).backward()
    step = model.training_step(Batch(users, items, negatives if loss == "bpr" else None, seed=0))
    torch.testing.assert_close(step, value.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model.adam_m.double(), 0.1 * leaf.grad, rtol=1e-4, atol=1e-6)
    if "learned" in kind:
        torch.testing.assert_close(
            model.weights_m[0].double(), 0.1 * weights.grad, rtol=1e-4, atol=1e-6
        )
    else:
        assert "weights" not in model.state_dict()


def test_learned_weights_move_and_go_on_from_the_state():
    graph = random_graph()
    settings = {"dim": 8, "layer_weights_lr": 0.05, "learn_layer_weights": True}
    first = create("lightgcn", graph, **settings)
    batch = Batch(torch.arange(20), torch.arange(20), None, seed=0)
    for _ in range(5):
        first.training_step(batch)
    assert (first.weights - 0.25).abs().max() > 0.05
    second = create("lightgcn", graph, seed=1, **settings)
    second.load_state_dict(first.state_dict())
    for model in (first, second):
        model.training_step(batch)
    assert torch.equal(first.weights, second.weights)
    assert torch.equal(first.e0, second.e0)


@pytest.mark.parametrize(
    "weights",
    [
        [1.0],
        [0.3],
        [0.25] * 4,
        [0.0, 1.0],
        [1.0, 0.0],
        [0.5, 2.0, 0.7],
        [0.4, -0.3, 0.2],
        [0.0, 0.0],
    ],
    ids=str,
)
def test_weighted_layers_of_any_weights(weights):
    """With a hub that has all items, and a user and an item that have nothing."""
    users = [0] * 9 + [1, 2, 2, 3]
    items = [*range(9), 0, 4, 8, 8]
    graph = BipartiteGraph.from_edges(users, items, num_users=5, num_items=10)
    x = torch.randn(graph.num_nodes, 6, dtype=torch.float64)
    before, layer, want = x.clone(), x, torch.zeros_like(x)
    for weight in weights:
        want += weight * layer
        layer = dense_adjacency(graph, False) @ layer
    torch.testing.assert_close(weighted_layers(graph, x, weights), want)
    assert torch.equal(x, before)
    assert weighted_layers(graph, x, [*weights, math.nan]).isnan().any()


def test_weighted_layers_of_an_empty_graph():
    graph = BipartiteGraph.from_edges([], [], num_users=0, num_items=0)
    assert weighted_layers(graph, torch.zeros(0, 4), [0.25] * 4).shape == (0, 4)


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_layers_in_bfloat16_are_those_of_float32_rounded(layers):
    graph, states = random_graph(), {}
    batch = Batch(torch.arange(10), torch.arange(10, 20), torch.arange(20, 30), seed=0)
    for dtype in ("float32", "bfloat16"):
        model = create("lightgcn", graph, dim=8, layers=layers, loss="bpr", layer_dtype=dtype)
        scored = model.node_embeddings().clone()
        loss = model.training_step(batch)
        assert model.e0.dtype == model.adam_m.dtype == scored.dtype == torch.float32
        states[dtype] = scored, loss, model.adam_m.clone()
    exact, rounded = states["float32"], states["bfloat16"]
    assert torch.equal(exact[0], rounded[0])
    torch.testing.assert_close(rounded[1], exact[1], rtol=2e-3, atol=0)
    assert 0 < (rounded[2] - exact[2]).norm() < 2**-7 * exact[2].norm()


def test_a_bad_layer_dtype_is_refused():
    with pytest.raises(ValueError, match="layer_dtype must be 'float32' or 'bfloat16', got 'int8'"):
        create("lightgcn", random_graph(), dim=8, layer_dtype="int8")
    with pytest.raises(ValueError, match="layer_dtype must be 'float32' where layer weights are"):
        create("lightgcn", random_graph(), layer_dtype="bfloat16", learn_layer_weights=True)
