"""NGCF, GCN and GraphSAGE against dense linear algebra, forward and backward."""

from __future__ import annotations

import pytest
import torch
from models.contract import checkerboard, same_bits, share_right, state_of, train
from models.dense import dense_adjacency, log_sum_of_negatives, random_graph
from torch.nn.functional import leaky_relu, normalize

from ltgnn.graph import BipartiteGraph
from ltgnn.models import Batch, Recommender, create
from ltgnn.models.dense_layer import dense_layer, product_of_columns

USERS, ITEMS, NEGATIVES = torch.arange(10), torch.arange(10, 20), torch.arange(20, 30)


def weights_of(model: Recommender) -> dict[str, torch.Tensor]:
    """Float64 copies of the dense weights, by name, as leaves; biases moved off zero."""
    found = {}
    for name, value in model.named_buffers():
        if name.startswith("weight_") and not name.endswith(("_m", "_v")):
            value.add_(0.01 * torch.arange(value.numel()).view(value.shape).sin())
            found[name.removeprefix("weight_")] = value.double().requires_grad_()
    return found


def ngcf(model, e, w):
    a, parts, x = dense_adjacency(model.graph, False), [e], e
    for k in range(model.config.layers):
        message = a @ x
        total = (message + x) @ w[f"sum{k}"] + w[f"sum{k}_bias"]
        product = (message * x) @ w[f"product{k}"] + w[f"product{k}_bias"]
        x = leaky_relu(total + product, 0.2)
        parts.append(normalize(x, dim=1))
    return torch.cat(parts, 1)


def gcn(model, e, w):
    a, x = dense_adjacency(model.graph, True), e
    for k in range(model.config.layers):
        x = a @ (torch.relu(x) if k else x) @ w[f"layer{k}"]
    return x


def graphsage(model, e, w):
    graph, x = model.graph, e
    a = (dense_adjacency(graph, False) > 0).double()
    a = a / a.sum(1, keepdim=True).clamp(min=1)
    for k in range(model.config.layers):
        x = x @ w[f"self{k}"] + a @ x @ w[f"neighbors{k}"]
        x = torch.relu(x) if k + 1 < model.config.layers else x
    return normalize(x, dim=1)


CASES = [
    ("ngcf", {"layers": 2, "message_dropout": 0.0}, ngcf),
    ("ngcf", {"layers": 2, "message_dropout": 0.0, "start": "xavier"}, ngcf),
    ("ngcf", {"layers": 0}, ngcf),
    ("gcn", {"layers": 2}, gcn),
    ("gcn", {"layers": 1}, gcn),
    ("graphsage", {"layers": 2, "fanout": 64}, graphsage),  # no node has as many neighbours
    ("graphsage", {"layers": 1, "fanout": 64}, graphsage),
    ("graphsage", {"layers": 2, "fanout": 64, "neighbor_sampling": "labor"}, graphsage),
]


@pytest.mark.parametrize(("name", "settings", "dense"), CASES)
@pytest.mark.parametrize("loss", ["softmax", "bpr"])
def test_a_step_has_the_exact_gradient(name, settings, dense, loss):
    graph = random_graph()
    model = create(name, graph, dim=8, loss=loss, l2=0.3, allow_bf16=False, **settings)
    w = weights_of(model)
    e = model.e0.double().clone().requires_grad_()
    out = dense(model, e, w)
    torch.testing.assert_close(model.node_embeddings().double(), out.detach(), rtol=1e-4, atol=1e-6)
    u, p, n = out[USERS], out[ITEMS + graph.num_users], out[NEGATIVES + graph.num_users]
    rows = [USERS, ITEMS + graph.num_users]
    if loss == "bpr":
        value = torch.nn.functional.softplus((u * n).sum(1) - (u * p).sum(1)).mean()
        rows.append(NEGATIVES + graph.num_users)
    else:
        logits = normalize(u, dim=1) @ normalize(p, dim=1).T / model.config.tau
        others = log_sum_of_negatives(logits, graph, USERS, ITEMS)
        value = (model.config.exponent * others - logits.diagonal()).mean()
    (value + 0.3 / 2 * e[torch.cat(rows)].square().sum() / 10).backward()
    batch = Batch(USERS, ITEMS, NEGATIVES if loss == "bpr" else None, seed=0)
    step = model.training_step(batch)
    torch.testing.assert_close(step, value.detach(), rtol=1e-5, atol=1e-6)
    # After one step Adam's first moment is a tenth of the gradient.
    torch.testing.assert_close(model.adam_m.double(), 0.1 * e.grad, rtol=1e-3, atol=1e-6)
    for weight, leaf in w.items():
        moment = getattr(model, f"weight_{weight}_m").double()
        torch.testing.assert_close(moment, 0.1 * leaf.grad, rtol=1e-3, atol=1e-6)


def test_dropout_is_drawn_from_the_seed_and_keeps_the_mean():
    model = create("ngcf", random_graph(), dim=8, message_dropout=0.5)
    weights = model._weights()
    first, again, other = (model._encode(model.e0, weights, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    from ltgnn.models.graph_encoder import dropped

    mean = torch.stack([dropped(torch.ones(50, 8), 0.3, seed) for seed in range(200)]).mean()
    assert mean.item() == pytest.approx(1.0, abs=4 * (0.3 / 0.7 / 80_000) ** 0.5)


@pytest.mark.parametrize(("name", "settings", "dense"), CASES)
def test_some_rows_are_those_of_all(name, settings, dense):
    model = create(name, random_graph(), dim=8, **settings)
    rows = torch.tensor([0, 3, 17])
    torch.testing.assert_close(
        model._encode(model.e0, model._weights(), None, rows), model.node_embeddings()[rows]
    )


@pytest.mark.parametrize("dim", [1, 8])
@pytest.mark.parametrize("name", ["ngcf", "gcn", "graphsage"])
def test_the_identity_start_is_propagation(name, dim):
    graph = random_graph()
    settings = {"negative_slope": 1.0} if name == "ngcf" else {}
    model = create(name, graph, dim=dim, layers=1, **settings)
    assert model.config.start == "identity"
    a, e = dense_adjacency(graph, name == "gcn").float(), model.e0
    if name == "graphsage":
        mean = (a != 0).float() @ e / graph.degrees.clamp(min=1)[:, None]
        expected = normalize(e + mean, dim=1)
    else:
        expected = torch.cat([e, normalize(a @ e + e, dim=1)], 1) if name == "ngcf" else a @ e
    torch.testing.assert_close(model.node_embeddings(), expected)


@pytest.mark.parametrize("name", ["ngcf", "gcn", "graphsage"])
def test_xavier_starts_otherwise_and_other_starts_are_refused(name):
    model = create(name, random_graph(), dim=8, start="xavier")
    weights = model._weights()
    dense = [weight for weight_name, weight in weights.items() if not weight_name.endswith("_bias")]
    assert dense and all(
        0.1 < weight.std() < 1 and weight.diagonal().std() > 0.1 for weight in dense
    )
    with pytest.raises(ValueError, match="start"):
        create(name, random_graph(), dim=8, start="ones")


@pytest.mark.parametrize("name", ["ngcf", "gcn", "graphsage", "ultragcn"])
def test_same_bits_for_any_number_of_threads_on_a_graph_that_threads_share(name):
    generator = torch.Generator().manual_seed(5)
    users = torch.randint(36_000, (60_000,), generator=generator)
    items = torch.randint(40_000, (60_000,), generator=generator)
    graph = BipartiteGraph.from_edges(users, items, num_users=36_000, num_items=40_000)
    batch = Batch(users[:3001], items[:3001], items[5000:8001] if name == "ngcf" else None, seed=3)
    threads, states = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            model = create(name, graph, dim=48)
            model.training_step(batch)
            states.append(state_of(model))
    finally:
        torch.set_num_threads(threads)
    assert same_bits(states[0], states[1])
    assert same_bits(states[0], states[2])


@pytest.mark.parametrize("rows", [0, 3, 512, 1300])
def test_dense_layer(rows):
    shapes = [(1, 5), (rows, 4), (4, 5), (rows, 3), (3, 5)]
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    bias, x, w, y, v = inputs
    out = dense_layer(*inputs)
    want = bias + x @ w + y @ v
    torch.testing.assert_close(out, want)
    torch.testing.assert_close(dense_layer(None, x, w), x @ w)
    grad = torch.randn(rows, 5, dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad(out, inputs, grad), torch.autograd.grad(want, inputs, grad)
    )


@pytest.mark.parametrize(("rows", "columns"), [(100_000, 1), (415, 1), (415, 8), (3000, 8)])
def test_the_gradient_of_a_bias_has_the_same_bits_for_any_number_of_threads(rows, columns):
    grad = torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            bias = torch.zeros(1, columns, requires_grad=True)
            out = dense_layer(bias, torch.ones(len(grad), 4), torch.zeros(4, columns))
            found.append(torch.autograd.grad(out, bias, grad)[0])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    torch.testing.assert_close(found[0], grad.double().sum(0, keepdim=True).float())


@pytest.mark.parametrize("columns", [(1, 8), (8, 1), (1, 1), (5, 7)])
@pytest.mark.parametrize("rows", [415, 1000, 100_000])
def test_products_of_columns_have_the_same_bits_for_any_number_of_threads(rows, columns):
    random = torch.Generator().manual_seed(0)
    x, y = (torch.randn(rows, width, generator=random) for width in columns)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(product_of_columns(x, y))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    torch.testing.assert_close(found[0], (x.double().T @ y.double()).float(), rtol=1e-3, atol=1e-3)


def test_graphsage_touches_only_the_sampled_tree():
    model = create("graphsage", random_graph(), dim=8, layers=1, fanout=2, l2=0.0)
    before = model.e0.clone()
    model.training_step(Batch(USERS[:2], ITEMS[:2], None, seed=0))
    changed = (model.e0 != before).any(1).sum().item()
    assert 4 <= changed <= 4 * 3


def test_graphsage_with_labor_learns_and_gives_the_same_bits_for_any_number_of_threads():
    graph, before, states = checkerboard(), torch.get_num_threads(), []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        model = train("graphsage", graph, neighbor_sampling="labor", fanout=4)
        states.append(state_of(model))
    torch.set_num_threads(before)
    assert share_right(model) > 0.95
    assert all(same_bits(states[0], other) for other in states[1:])


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("ngcf", {"message_dropout": 1.0}, "message_dropout must be in [0, 1), got 1.0"),
        ("ngcf", {"layers": -1}, "layers must be not negative, got -1"),
        ("gcn", {"dropout": -0.1}, "dropout must be in [0, 1), got -0.1"),
        ("graphsage", {"fanout": 0}, "fanout must be in [1, 256], got 0"),
        ("graphsage", {"neighbor_sampling": "x"}, "neighbor_sampling must be 'uniform' or 'labor'"),
    ],
)
def test_wrong_settings_are_named(name, settings, message):
    with pytest.raises(ValueError) as caught:
        create(name, random_graph(), **settings)
    assert message in str(caught.value)
