"""Sparse random projections: moments, the error of inner products, and FastRP written out on dense matrices."""

from __future__ import annotations

import pytest
import torch
from ops.test_low_rank import heavy_graph
from ops.test_propagate import dense, table

from ltgnn.graph import BipartiteGraph
from ltgnn.ops import project, propagate, random_projection, sparse_projection

F64 = torch.float64


@pytest.mark.parametrize("density", [1.0, 1 / 3, 0.05])
def test_entries_have_their_probabilities(density: float) -> None:
    p = sparse_projection(2000, 50, seed=1, density=density, dtype=F64)
    size = p.max().item()
    assert abs(size - (density * 50) ** -0.5) < 1e-12 and p.dtype == F64
    assert set(p.unique().tolist()) <= {-size, 0.0, size}
    for sign in (-size, size):
        share = (p == sign).double().mean().item()
        assert abs(share - density / 2) < 5 * (density / 2 / p.numel()) ** 0.5


@pytest.mark.parametrize("density", [1.0, 1 / 3, 0.1])
def test_inner_products_have_the_variance_that_is_said(density: float) -> None:
    """Over 3000 projections: no bias, and the variance within a tenth."""
    x, y = table(1, 30)[0], table(1, 30, seed=1)[0]
    y = y + 0.5 * x
    found = []
    for seed in range(3000):
        narrow = project(torch.stack([x, y]), 8, seed=seed, density=density)
        found.append(narrow[0] @ narrow[1])
    errors = torch.stack(found) - x @ y
    squares = (x.square() * y.square()).sum()
    variance = (x @ x) * (y @ y) + (x @ y) ** 2 + (1 / density - 3) * squares
    expected = (variance / 8).item()
    assert abs(errors.mean().item()) < 4 * (expected / 3000) ** 0.5
    assert abs(errors.var().item() / expected - 1) < 0.15


def test_lengths_are_kept_as_the_lemma_says() -> None:
    """400 rows at width 256: all squared lengths within 40 %, where the standard deviation is 9 %."""
    x = table(400, 1000)
    kept = project(x, 256, seed=0).square().sum(1) / x.square().sum(1)
    assert (kept - 1).abs().max() < 0.4
    assert abs(kept.std().item() - (2 / 256) ** 0.5) < 0.02


def test_the_way_back_loses_more_than_there_was() -> None:
    """Why propagate has no such option: half the width, and the error of x P P' is longer than x."""
    x = table(300, 64)
    p = sparse_projection(64, 32, seed=0, dtype=F64)
    error = (x @ p @ p.T - x).norm() / x.norm()
    assert abs(error.item() - 2**0.5) < 0.15


def test_projection_and_propagation_change_places() -> None:
    graph = heavy_graph()
    x = table(graph.num_nodes, 40).requires_grad_()
    left = propagate(graph, project(x, 10, seed=2))
    torch.testing.assert_close(left, project(propagate(graph, x), 10, seed=2))
    assert torch.autograd.gradcheck(
        lambda x: project(x, 3, seed=0), x[:5].detach().requires_grad_()
    )


@pytest.mark.parametrize("unit_rows", [False, True])
@pytest.mark.parametrize("power", [0.0, -0.7])
@pytest.mark.parametrize("weights", [(1.0,), (0.5, 0.0, 2.0), (0.0, 1.0, 1.0, 1.0)])
def test_fastrp_is_its_definition(unit_rows: bool, power: float, weights: tuple[float]) -> None:
    graph = heavy_graph()
    block = dense(graph.to_scipy())
    users, items = block.shape
    a = torch.zeros(users + items, users + items, dtype=F64)
    a[:users, users:], a[users:, :users] = block, block.T
    degrees = a.sum(1)
    walk = torch.where(degrees > 0, 1 / degrees, 0)[:, None] * a
    hop = sparse_projection(len(a), 6, seed=5, dtype=F64)
    if power:
        hop = torch.where(degrees > 0, (degrees / degrees.sum()) ** power, 0)[:, None] * hop
    expected = torch.zeros_like(hop)
    for k, weight in enumerate(weights):
        hop = walk @ hop if k else hop
        length = hop.norm(dim=1, keepdim=True)
        part = torch.where(length > 0, hop / length, 0) if unit_rows else hop
        expected += weight * part
    found = random_projection(
        graph, 6, seed=5, hop_weights=weights, degree_power=power, unit_rows=unit_rows, dtype=F64
    )
    torch.testing.assert_close(found, expected)


def test_the_same_bits_for_any_number_of_threads() -> None:
    graph, results = heavy_graph(4000, 3000, 40_000), []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(random_projection(graph, 33, seed=1, degree_power=-0.5))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])
    assert not torch.equal(results[0], random_projection(graph, 33, seed=2, degree_power=-0.5))


@pytest.mark.parametrize("sizes", [(0, 0), (3, 0), (2, 3)])
def test_graphs_without_edges(sizes: tuple[int, int]) -> None:
    graph = BipartiteGraph.from_edges([], [], num_users=sizes[0], num_items=sizes[1])
    features = random_projection(graph, 4, degree_power=-1.0)
    assert torch.equal(features, torch.zeros(sum(sizes), 4))


def test_errors_name_the_argument() -> None:
    graph = heavy_graph()
    cases = [
        (
            lambda: sparse_projection(3, 2, seed=0, out=torch.empty(5, 7)),
            r"out must be \[3, 2\], got \[5, 7\]",
        ),
        (lambda: random_projection(graph, 0), "dim must be at least 1, got 0"),
        (lambda: random_projection(graph, 4, hop_weights=()), "hop_weights must be at least one"),
        (lambda: random_projection(graph, 4, density=0.0), r"density must be in \(0, 1\], got 0"),
        (lambda: project(torch.ones(3), 2, seed=0), r"x must be \[rows, width\].* got \[3\]"),
        (lambda: project(torch.ones(3, 2).int(), 2, seed=0), "float32 or float64, got .*int32"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="dtype must be floating point, got torch.int64"):
        sparse_projection(3, 2, seed=0, dtype=torch.int64)
