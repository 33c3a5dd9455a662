"""LightGCN's smoothing and its gradient, against autograd through dense linear algebra."""

from __future__ import annotations

import pytest
import torch
from models.dense import dense_adjacency, random_graph

from ltgnn.models import Batch, create


@pytest.mark.parametrize("layers", [0, 1, 3])
@pytest.mark.parametrize("loss", ["softmax", "bpr"])
def test_a_step_has_the_exact_gradient(layers, loss):
    graph = random_graph()
    model = create("lightgcn", graph, dim=8, layers=layers, loss=loss, l2=0.3, allow_bf16=False)
    users, items, negatives = torch.arange(10), torch.arange(10, 20), torch.arange(20, 30)
    a = dense_adjacency(graph, False)
    leaf = model.e0.double().clone().requires_grad_()
    layer = total = leaf
    for _ in range(layers):
        layer = a @ layer
        total = total + layer
    out = total / (layers + 1)
    u, p, n = out[users], out[items + graph.num_users], out[negatives + graph.num_users]
    if loss == "bpr":
        value = torch.nn.functional.softplus((u * n).sum(1) - (u * p).sum(1)).mean()
        rows = torch.cat([users, items + graph.num_users, negatives + graph.num_users])
    else:
        logits = torch.nn.functional.normalize(u, dim=1) @ torch.nn.functional.normalize(p, dim=1).T
        logits = logits / model.config.tau
        mask = torch.eye(10, dtype=torch.bool)
        value = (
            -logits.diagonal()
            + model.config.exponent * logits.masked_fill(mask, -torch.inf).logsumexp(1)
        ).mean()
        rows = torch.cat([users, items + graph.num_users])
    (value + 0.3 / 2 * leaf[rows].square().sum() / 10).backward()
    step = model.training_step(Batch(users, items, negatives if loss == "bpr" else None, seed=0))
    torch.testing.assert_close(step, value.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model.adam_m.double(), 0.1 * leaf.grad, rtol=1e-4, atol=1e-6)
