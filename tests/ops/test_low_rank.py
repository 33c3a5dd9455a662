"""Low-rank approximations: against full decompositions, their error bound, propagation and its gradients."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch
from ops.test_propagate import normalised, table

from ltgnn.graph import BipartiteGraph
from ltgnn.ops import LowRank, low_rank_approximation, low_rank_error_bound, propagate

F64 = torch.float64


def heavy_graph(num_users: int = 70, num_items: int = 50, edges: int = 600) -> BipartiteGraph:
    """Heavy-tailed items; the last user and the last item have nothing."""
    random = np.random.default_rng(1)
    users = random.integers(num_users - 1, size=edges)
    items = ((num_items - 1) * random.random(edges) ** 2).astype(np.int64)
    return BipartiteGraph.from_edges(users, items, num_users=num_users, num_items=num_items)


def written_out(low_rank: LowRank) -> torch.Tensor:
    return propagate(low_rank, torch.eye(low_rank.shape[1], dtype=low_rank.left.dtype))


@pytest.mark.parametrize("rank", [1, 5, 20])
def test_nearly_the_best_of_its_rank(rank: int) -> None:
    graph = heavy_graph()
    a, low_rank = normalised(graph), low_rank_approximation(graph, rank, power_steps=4, dtype=F64)
    best = torch.linalg.svdvals(a)[2 * rank]  # each singular value of the block comes twice
    assert low_rank.shape == tuple(a.shape) and low_rank.rank == rank
    error = torch.linalg.matrix_norm(a - written_out(low_rank), 2)
    assert best <= error * (1 + 1e-9) and error <= 1.05 * best
    for factor in (low_rank.left, low_rank.right):
        torch.testing.assert_close(factor.T @ factor, torch.eye(rank, dtype=F64))


def test_full_rank_is_the_matrix_itself() -> None:
    graph = heavy_graph()
    low_rank = low_rank_approximation(graph, 1000, dtype=F64)
    torch.testing.assert_close(written_out(low_rank), normalised(graph), rtol=1e-7, atol=1e-7)


def test_a_matrix_that_is_not_symmetric_has_its_own_factors() -> None:
    random = np.random.default_rng(0)
    thin = random.normal(size=(30, 3)) @ random.normal(size=(3, 12))
    matrix = scipy.sparse.csr_array(thin)
    for kind in (matrix, torch.from_numpy(thin).to_sparse_csr()):
        low_rank = low_rank_approximation(kind, 3, dtype=F64)
        assert low_rank.shape == (30, 12) and not low_rank.bipartite
        torch.testing.assert_close(written_out(low_rank), torch.from_numpy(thin))
        torch.testing.assert_close(
            low_rank.values, torch.linalg.svdvals(torch.from_numpy(thin))[:3]
        )


@pytest.mark.parametrize("power_steps", [0, 1, 8])
@pytest.mark.parametrize("rank", [0, 3, 15])
def test_the_bound_holds(rank: int, power_steps: int) -> None:
    """With 3 probes a bound fails once in a thousand times: of 40 none does, and it is not far too high."""
    graph = heavy_graph()
    low_rank = low_rank_approximation(graph, rank, dtype=F64)
    error = float(torch.linalg.matrix_norm(normalised(graph) - written_out(low_rank), 2))
    frobenius = float(torch.linalg.matrix_norm(normalised(graph) - written_out(low_rank))) / 2**0.5
    for seed in range(40):
        bound = low_rank_error_bound(graph, low_rank, probes=3, power_steps=power_steps, seed=seed)
        assert error <= bound
        # |C w| is about C's Frobenius norm, and that of (B B')^p B at most |B|_2^2p times that of B.
        most = (16 * frobenius * error ** (2 * power_steps)) ** (1 / (2 * power_steps + 1))
        assert bound <= most


def test_the_bound_sees_a_wrong_factor() -> None:
    graph = heavy_graph()
    low_rank = low_rank_approximation(graph, 10)
    good = low_rank_error_bound(graph, low_rank)
    low_rank.values[0] += 1.0
    assert good < 1.0 < low_rank_error_bound(graph, low_rank)


@pytest.mark.parametrize("bipartite", [False, True])
def test_gradients(bipartite: bool) -> None:
    low_rank = LowRank(table(4, 2), table(1, 2)[0], table(3, 2, seed=1), bipartite)
    rows, cols = low_rank.shape
    x, x0 = table(cols, 3, seed=2).requires_grad_(), table(rows, 3, seed=3).requires_grad_()

    def step(x: torch.Tensor, x0: torch.Tensor) -> torch.Tensor:
        return propagate(low_rank, x, x0=x0, alpha=0.3)

    assert torch.autograd.gradcheck(step, (x, x0))
    assert torch.autograd.gradgradcheck(step, (x, x0))
    block = low_rank.left @ low_rank.values.diag() @ low_rank.right.T
    whole = block
    if bipartite:
        whole = torch.zeros(7, 7, dtype=F64)
        whole[:4, 4:], whole[4:, :4] = block, block.T
    torch.testing.assert_close(step(x, x0), 0.7 * whole @ x + 0.3 * x0)
    torch.testing.assert_close(written_out(low_rank.transposed), whole.T)


def test_out_is_written() -> None:
    low_rank = low_rank_approximation(heavy_graph(), 4)
    x, out = torch.ones(120, 3), torch.full((120, 3), 7.0)
    assert propagate(low_rank, x, x0=x, alpha=0.5, out=out) is out
    torch.testing.assert_close(out, propagate(low_rank, x, x0=x, alpha=0.5))
    assert torch.equal(propagate(low_rank, x, out=out), propagate(low_rank, x))
    expected = propagate(low_rank, x, x0=x, alpha=0.5)
    assert torch.equal(propagate(low_rank, x, x0=x, alpha=0.5, out=x), expected)


def test_the_same_bits_for_any_number_of_threads() -> None:
    graph = heavy_graph(4000, 3000, 40_000)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            low_rank = low_rank_approximation(graph, 24, seed=3)
            x = torch.randn(7000, 33, generator=torch.Generator().manual_seed(0)).requires_grad_()
            out = propagate(low_rank, x, x0=x, alpha=0.2)
            out.square().sum().backward()
            bound = torch.tensor(low_rank_error_bound(graph, low_rank))
            results.append([low_rank.left, low_rank.values, low_rank.right, out, x.grad, bound])
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))
    assert not torch.equal(results[0][2], low_rank_approximation(graph, 24, seed=4).right)


@pytest.mark.parametrize("sizes", [(0, 0), (3, 0), (0, 4), (2, 3)])
def test_graphs_without_edges(sizes: tuple[int, int]) -> None:
    graph = BipartiteGraph.from_edges([], [], num_users=sizes[0], num_items=sizes[1])
    low_rank = low_rank_approximation(graph, 5)
    x = torch.ones(sum(sizes), 2)
    assert torch.equal(propagate(low_rank, x), torch.zeros_like(x))
    assert low_rank_error_bound(graph, low_rank) == 0


def test_errors_name_the_argument() -> None:
    graph = heavy_graph()
    low_rank = low_rank_approximation(graph, 2)
    x = torch.ones(120, 3)
    cases = [
        (lambda: propagate(low_rank, x[1:]), r"x must be \[120, dim\], got \[119, 3\]"),
        (lambda: propagate(low_rank, x[0]), r"x must be \[120, dim\], got \[3\]"),
        (
            lambda: propagate(low_rank, x.double()),
            "factors' dtype torch.float32, got torch.float64",
        ),
        (lambda: propagate(low_rank, x, x0=x[:, 1:]), r"x0 must be \[120, 3\], got \[120, 2\]"),
        (lambda: propagate(low_rank, x, out=x[1:]), r"out must be \[120, 3\], got \[119, 3\]"),
        (lambda: propagate(low_rank, x, alpha=1.5), r"alpha must be in \[0, 1\], got 1.5"),
        (lambda: propagate(low_rank, x, self_loops=True), "has no weight, self_loops and backend"),
        (lambda: propagate(low_rank, x.to("meta")), "factors are, cpu, got meta"),
        (lambda: LowRank(x, x[0], x[:, 1:]), r"\[n, rank\], got \[\[120, 3\], \[3\], \[120, 2\]\]"),
        (lambda: LowRank(x, x[0].double(), x), "all three must be float32, or all float64"),
        (lambda: low_rank_approximation(graph, -1), "rank must be not negative, got -1"),
        (lambda: low_rank_approximation(graph, 1, dtype=torch.bfloat16), "dtype must be float32"),
        (lambda: low_rank_error_bound(graph, low_rank, probes=0), "probes must be at least 1"),
        (
            lambda: low_rank_error_bound(heavy_graph(30, 20), low_rank),
            r"must have the graph's shape, got \(120, 120\) for \(50, 50\)",
        ),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="low_rank_approximation: graph must be"):
        low_rank_approximation("graph", 2)
