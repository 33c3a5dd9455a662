"""ChebyCF against its definition on dense matrices in float64; blocks, threads, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from models.contract import checkerboard

from ltgnn.graph import BipartiteGraph
from ltgnn.models import Batch, create
from ltgnn.models.spectral import plateau_response, shortest_series
from ltgnn.models.training_free import block_width
from ltgnn.ops.range_finder import Sides, leading_vectors


def random_graph(num_users=150, num_items=120, num_edges=1500, seed=0):
    """Heavy-tailed items; the last user and the last item have nothing."""
    random = np.random.default_rng(seed)
    users = random.integers(num_users - 1, size=num_edges)
    items = ((num_items - 1) * random.random(num_edges) ** 2).astype(np.int64)
    return BipartiteGraph.from_edges(users, items, num_users=num_users, num_items=num_items)


def normalised(graph):
    """R and R~ [num_users, num_items] in float64."""
    r = graph.to_scipy().toarray().astype(np.float64)
    by_user, by_item = (np.maximum(r.sum(axis=axis), 1.0) for axis in (1, 0))
    return r, r / np.sqrt(by_user)[:, None] / np.sqrt(by_item)


def published(graph, v, *, dim=0, degree=8, flatness=1.5, ideal_weight=0.2, degree_power=0.4):
    """The scores by the paper's recurrence, T_k of L~ = I - 2 R~'R~; v [num_items, dim] is the ideal pass's."""
    r, tilde = normalised(graph)
    scaled = np.eye(r.shape[1]) - 2.0 * tilde.T @ tilde
    nodes = np.cos((np.arange(degree + 1) + 0.5) / (degree + 1) * np.pi)
    x = np.cos(np.arange(degree + 1) / degree * np.pi)
    below, above = 0.5 + 0.5 * np.abs(x) ** flatness, 0.5 - 0.5 * np.abs(x) ** flatness
    wanted = np.where(x < 0, below, above)
    terms = [np.eye(len(scaled)), scaled]
    while len(terms) <= degree:
        terms.append(2.0 * scaled @ terms[-1] - terms[-2])
    result = np.zeros_like(scaled)
    for k in range(degree + 1):
        c = (2.0 if k else 1.0) / (degree + 1) * np.sum(wanted * np.cos(k * np.arccos(nodes)))
        result += c * terms[k]
    assert v.shape[1] == min(dim, *r.shape)
    result += ideal_weight * v @ v.T
    degrees = np.maximum(r.sum(axis=0), 1.0)
    return (r / degrees**degree_power) @ result * degrees**degree_power


def fitted(graph, **settings):
    model = create("chebycf", graph, **settings)
    model.fit()
    return model


@pytest.mark.parametrize(
    "settings",
    [
        {"dim": 0},
        {"dim": 0, "degree": 1, "flatness": 1.0},
        {"dim": 20},
        {"dim": 20, "degree": 5, "flatness": 2.0, "ideal_weight": 0.0, "degree_power": 0.0},
        {"dim": 500},
    ],
    ids=str,
)
def test_without_tolerance_scores_are_the_published_ones(settings):
    """With the kept vectors taken out, the rest of the filter has fewer products, and the same result."""
    graph = random_graph()
    model = fitted(graph, tol=0.0, **settings)
    scores = model.score_block(torch.arange(graph.num_users)).double().numpy()
    wanted = published(graph, model.vectors.double().numpy(), **settings)
    assert np.abs(scores - wanted).max() <= 1e-3 * np.abs(wanted).max()


@pytest.mark.parametrize("tol", [0.05, 0.01, 0.001])
def test_the_tolerance_bounds_the_error_and_saves_products(tol):
    graph = random_graph()
    model = fitted(graph, tol=tol, dim=60, degree_power=0.0)
    series, response = model.series(), plateau_response(8, 1.5)
    assert len(series.coefficients) < 9
    s = np.linspace(0, series.edge, 1000)
    assert np.abs(series(s) - response(s)).max() <= 1.01 * tol
    # A row of R is at most as long as the root of its degree: the filter's error is an operator's.
    scores = model.score_block(torch.arange(graph.num_users)).double().numpy()
    wanted = published(graph, model.vectors.double().numpy(), dim=60, degree_power=0.0)
    error = np.linalg.norm(scores - wanted, axis=1)
    degrees = np.maximum(graph.to_scipy().toarray().sum(axis=1), 1)
    assert (error / np.sqrt(degrees)).max() <= 1.2 * tol


def test_leading_vectors_are_those_of_a_full_decomposition():
    graph = random_graph()
    vectors, values = leading_vectors(Sides.of(graph), 40, seed=3)
    _, s, v = np.linalg.svd(normalised(graph)[1])
    assert np.abs(values.numpy() - s[:40] ** 2).max() < 5e-3
    assert np.abs((vectors.T @ vectors - torch.eye(40)).numpy()).max() < 1e-5
    # Singular vectors may turn among near-equal values: compare what they span, where values are well apart.
    share = np.linalg.norm(v[:10] @ vectors.double().numpy(), axis=1)
    assert share.min() > 0.999


@pytest.mark.parametrize("edge", [1e-3, 0.2, 1.0])
def test_the_shortest_series_is_exact_at_full_degree(edge):
    response = plateau_response(8, 1.5)
    series, s = shortest_series(response, edge, 8, 0.0), np.linspace(0, edge, 100)
    assert np.abs(series(s) - response(s)).max() < 1e-12


def test_a_user_scores_alike_alone_and_among_others_and_for_any_number_of_threads():
    graph = random_graph(400, 700, 6000)
    threads, results = torch.get_num_threads(), []
    everyone = torch.arange(graph.num_users)
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(fitted(graph, dim=64).score_block(everyone))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    model = fitted(graph, dim=64)
    for users in ([5], [399, 5, 0], range(100, 250)):
        assert torch.equal(model.score_block(torch.tensor(users)), results[0][list(users)])


def test_powers_of_many_degrees_are_alike_for_any_number_of_threads():
    """More items than torch gives to one thread; where it divides them, the last bits of powers may differ."""
    random = np.random.default_rng(0)
    graph = BipartiteGraph.from_edges(
        random.integers(2000, size=600_000), random.integers(40_981, size=600_000)
    )
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3, 5):
            torch.set_num_threads(count)
            results.append(create("chebycf", graph, dim=3).powers)
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_block_width_depends_on_sizes_alone():
    assert [block_width(n, 10) for n in (0, 10**5, 10**9)] == [128, 64, 8]


def test_what_has_no_training_says_so():
    model = create("chebycf", checkerboard(), dim=4)
    with pytest.raises(RuntimeError, match=r"chebycf: scores need a fitted model; call fit\(\)"):
        model.score_block(torch.tensor([0]))
    with pytest.raises(TypeError, match=r"chebycf has no embeddings.*use score_block"):
        model.embeddings()
    with pytest.raises(TypeError, match=r"chebycf is not trained.*fit\(\)"):
        ids = torch.arange(2)
        model.training_step(Batch(ids, ids, None, seed=0))
    assert not list(model.parameters())
    model.fit()
    assert model.score_block(torch.tensor([], dtype=torch.int64)).shape == (0, 40)
