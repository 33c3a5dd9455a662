"""incremental_update: within tol / alpha of dense solves after any sequence of insertions and deletions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ltgnn.graph import BipartiteGraph, DynamicGraph
from ltgnn.models import create
from ltgnn.ops import (
    IncrementalResult,
    SlackRows,
    incremental_update,
    propagate,
    push_residual_,
    solve_fixed_point,
    y_to_z,
    z_to_y,
)

ALPHA = 0.45
USERS, ITEMS, DIM = 9, 7, 5
NODES = USERS + ITEMS
pairs = st.lists(st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1)), max_size=12)
sequences = st.lists(st.tuples(st.booleans(), pairs), min_size=1, max_size=6)


def table(rows: int = NODES, dim: int = DIM, dtype: torch.dtype = torch.float64) -> Tensor:
    random = torch.Generator().manual_seed(3)
    return torch.randn(rows, dim, generator=random, dtype=torch.float64).to(dtype)


def dense_z(graph: DynamicGraph, e0: Tensor, alpha: float, self_loops: bool) -> Tensor:
    """alpha (I - (1 - alpha) D^-1/2 A D^-1/2)^-1 E0, by torch's dense solver in float64."""
    n = graph.num_nodes
    eye = torch.eye(n, dtype=torch.float64)
    normalized = propagate(graph, eye, self_loops=self_loops)
    return torch.linalg.solve(eye - (1 - alpha) * normalized, alpha * e0.double())


def change(graph: DynamicGraph, add: bool, batch: list[tuple[int, int]]) -> Tensor:
    users, items = [u for u, _ in batch], [i for _, i in batch]
    if add:
        return graph.insert(users, items, existing="ignore")
    return graph.delete(users, items, missing="ignore")


@pytest.mark.parametrize("self_loops", [False, True])
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
@given(sequences)
def test_stays_within_the_bound(
    dtype: torch.dtype, tol: float, self_loops: bool, steps: list[tuple[bool, Any]]
) -> None:
    graph, e0 = DynamicGraph(USERS, ITEMS), table(dtype=dtype)
    y, residual = solve_fixed_point(graph, e0, alpha=ALPHA, tol=tol, self_loops=self_loops)
    rounding = 64 * torch.finfo(dtype).eps * e0.abs().max().item()
    for add, batch in steps:
        rows = change(graph, add, batch)
        old = y.clone()
        done = incremental_update(
            graph, e0, y, residual, rows, alpha=ALPHA, tol=tol, self_loops=self_loops
        )
        assert done.converged and not len(done.pending)
        assert residual.abs().max() <= tol
        want = dense_z(graph, e0, ALPHA, self_loops)
        error = (y.double() - z_to_y(graph, want, self_loops=self_loops)).abs().max()
        assert error <= tol / ALPHA + rounding
        # Exactly the rows that are said to be touched were.
        assert done.rows.tolist() == (y != old).any(1).nonzero().flatten().tolist()
        assert (done.rounds == 0) == (done.pushes == 0) == (len(done.rows) == 0)
        # The residual that is carried along is the residual.
        exact = push_residual_(
            graph, e0, y, torch.empty_like(y), alpha=ALPHA, self_loops=self_loops
        )
        assert (residual - exact).abs().max() <= rounding


def test_there_and_back() -> None:
    tol = 1e-7
    graph = DynamicGraph.from_bipartite(BipartiteGraph.from_edges([0, 0, 3, 4], [1, 2, 2, 6],
                                                                  num_users=USERS, num_items=ITEMS))  # fmt: skip
    e0 = table()
    y, residual = solve_fixed_point(graph, e0, alpha=ALPHA, tol=tol)
    before = y.clone()
    for add in (True, False):
        rows = change(graph, add, [(0, 6), (8, 1), (8, 2)])
        incremental_update(graph, e0, y, residual, rows, alpha=ALPHA, tol=tol)
        assert add == bool((y - before).abs().max() > 1e-3)
    assert (y - before).abs().max() <= 2 * tol / ALPHA


def test_agrees_with_the_models_solution() -> None:
    """Isolated nodes too: z = alpha e0, in the model as here."""
    fixed = BipartiteGraph.from_edges([0, 0, 3], [1, 2, 2], num_users=USERS, num_items=ITEMS)
    for self_loops in (False, True):
        model = create(
            "ltgnn", fixed, dim=DIM, depth="fixed_point", alpha=ALPHA, inference="solve", tol=1e-7,
            self_loops=self_loops,
        )  # fmt: skip
        z = model.node_embeddings()
        y, _ = solve_fixed_point(
            fixed, model.e0.detach(), alpha=ALPHA, tol=1e-7, self_loops=self_loops
        )
        torch.testing.assert_close(y_to_z(fixed, y, self_loops=self_loops), z, atol=2e-6, rtol=1e-5)
        if not self_loops:
            isolated = fixed.degrees == 0
            assert isolated.sum() == NODES - 4
            torch.testing.assert_close(y[isolated], ALPHA * model.e0.detach()[isolated])


def big(dtype: torch.dtype = torch.float32) -> tuple[DynamicGraph, Tensor]:
    """Hubs on both sides, and enough edges for several tasks of a round."""
    random = torch.Generator().manual_seed(5)
    users = torch.cat([torch.randint(0, 600, (6000,), generator=random), torch.zeros(300).long(),
                       torch.arange(600)])  # fmt: skip
    items = torch.cat([torch.randint(0, 400, (6000,), generator=random), torch.arange(300),
                       torch.zeros(600).long()])  # fmt: skip
    fixed = BipartiteGraph.from_edges(users, items, num_users=610, num_items=410)
    return DynamicGraph.from_bipartite(fixed), table(1020, 64, dtype)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_same_bits_for_any_number_of_threads(dtype: torch.dtype, threads: None) -> None:
    results: list[tuple[Tensor, ...]] = []
    for count in (1, 2, 5):
        torch.set_num_threads(count)
        graph, e0 = big(dtype)
        y, residual = solve_fixed_point(graph, e0, alpha=ALPHA, tol=1e-3)
        rows = graph.insert([0, 601, 7], [399, 0, 400])
        done = incremental_update(graph, e0, y, residual, rows, alpha=ALPHA, tol=1e-5)
        # From scratch by pushes alone: every row is in the frontier.
        pushed, rest = torch.zeros_like(e0), torch.empty_like(e0)
        everything = torch.arange(graph.num_nodes)
        all_done = incremental_update(graph, e0, pushed, rest, everything, alpha=ALPHA, tol=1e-4)
        assert done.converged and all_done.converged
        results.append((y, residual, done.rows, pushed, rest, all_done.rows))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_from_scratch_by_pushes_alone() -> None:
    graph, e0 = big(torch.float64)
    y, residual = torch.zeros_like(e0), torch.empty_like(e0)
    rows = torch.arange(graph.num_nodes)
    incremental_update(graph, e0, y, residual, rows, alpha=ALPHA, tol=1e-6)
    want = z_to_y(graph, dense_z(graph, e0, ALPHA, False))
    assert (y - want).abs().max() <= 1e-6 / ALPHA


def test_narrow_and_wide_indices_agree() -> None:
    graph, e0 = big()
    rows = graph.insert([601], [3])
    narrow = graph.slack_rows(torch.device("cpu"))
    assert narrow.indices.dtype == torch.int32
    wide = SlackRows(narrow.row_begin, narrow.degree, narrow.indices.long())
    results = []
    for form in (narrow, wide):
        y, residual = solve_fixed_point(form, e0, alpha=ALPHA, tol=1e-2)
        done = incremental_update(form, e0, y, residual, rows, alpha=ALPHA, tol=1e-4)
        results.append((y, residual, done.rows))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_limits_leave_the_rest_pending() -> None:
    graph, e0 = big(torch.float64)
    y, residual = solve_fixed_point(graph, e0, alpha=ALPHA, tol=1e-6)
    rows = graph.insert([601, 0], [3, 399])
    full = y.clone(), residual.clone()
    whole = incremental_update(graph, e0, *full, rows, alpha=ALPHA, tol=1e-6)
    assert whole.rounds > 3

    def update(rows: Tensor, **limits: int) -> IncrementalResult:
        return incremental_update(graph, e0, y, residual, rows, alpha=ALPHA, tol=1e-6, **limits)

    none = update(rows, max_pushes=0)
    assert (none.rounds, none.pushes, none.converged) == (0, 0, False)
    assert none.pending.tolist() == rows.tolist() and not len(none.rows)
    part = update(rows, max_rounds=2)
    assert part.rounds == 2 and not part.converged and len(part.pending)
    few = update(part.pending, max_pushes=whole.pushes // 3)
    assert 0 < few.pushes <= whole.pushes // 3 and not few.converged
    rest = update(few.pending)
    assert rest.converged
    assert (y - full[0]).abs().max() <= 1e-9


def test_a_new_e0_is_an_update_too() -> None:
    graph, e0 = big(torch.float64)
    y, residual = solve_fixed_point(graph, e0, alpha=ALPHA, tol=1e-6)
    rows = torch.tensor([605, 0, 605])  # a node without edges, a hub; twice is harmless
    e0[rows] += 1.0
    done = incremental_update(graph, e0, y, residual, rows, alpha=ALPHA, tol=1e-6)
    assert 605 in done.rows.tolist()
    want = z_to_y(graph, dense_z(graph, e0, ALPHA, False))
    assert (y - want).abs().max() <= 1e-6 / ALPHA


def test_not_finite_is_reported_and_does_not_spread() -> None:
    graph, e0 = big()
    y, residual = solve_fixed_point(graph, e0, alpha=ALPHA, tol=1e-4)
    e0[3, 2] = torch.nan
    done = incremental_update(graph, e0, y, residual, torch.tensor([3]), alpha=ALPHA, tol=1e-4)
    assert not done.converged and not len(done.rows)
    assert y.isfinite().all() and residual.isnan().sum() == 1


@pytest.mark.parametrize(("users", "items"), [(0, 0), (3, 0), (2, 2)])
def test_no_edges(users: int, items: int) -> None:
    graph = DynamicGraph(users, items)
    e0 = table(users + items)
    y, residual = solve_fixed_point(graph, e0, alpha=ALPHA, tol=1e-9)
    torch.testing.assert_close(y, ALPHA * e0)
    rows = torch.arange(users + items)
    done = incremental_update(graph, e0, y, residual, rows, alpha=ALPHA, tol=1e-9)
    assert done.converged and not len(done.rows)
    torch.testing.assert_close(y_to_z(graph, y), y)


def test_solution_from_a_start_and_with_a_tolerance_that_is_never_met() -> None:
    graph, e0 = big()
    y, residual = solve_fixed_point(graph, e0, alpha=ALPHA, tol=1e-5)
    assert residual.abs().max() <= 1e-5
    again, same = solve_fixed_point(graph, e0, alpha=ALPHA, tol=1e-5, start=y)
    assert torch.equal(again, y) and torch.equal(same, residual) and again is not y
    _, least = solve_fixed_point(graph, e0, alpha=ALPHA, tol=1e-30)  # ends all the same
    assert least.abs().max() < 1e-5
    torch.testing.assert_close(
        solve_fixed_point(graph, e0, alpha=1.0, tol=1e-5)[0], z_to_y(graph, e0)
    )
    assert solve_fixed_point(graph, e0 * torch.nan, alpha=0.5, tol=1e-5)[0].isnan().any()


def test_conversions_are_inverse() -> None:
    graph, e0 = big(torch.float64)
    for loops in (False, True):
        y = z_to_y(graph, e0, self_loops=loops)
        scale = graph.to_bipartite().scale(dtype=torch.float64, self_loops=loops)[:, None]
        torch.testing.assert_close(y, torch.where(scale > 0, scale, 1.0) * e0)
        torch.testing.assert_close(y_to_z(graph, y, self_loops=loops), e0)
        rows = torch.tensor([5, 0, 1019])
        torch.testing.assert_close(y_to_z(graph, y, rows, self_loops=loops), e0[rows])


def test_errors() -> None:
    graph, e0 = big()
    y, residual = e0.clone(), e0.clone()
    rows = torch.tensor([0])
    for alpha in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"incremental_update: alpha must be in \(0, 1\], got"):
            incremental_update(graph, e0, y, residual, rows, alpha=alpha, tol=1e-4)
        with pytest.raises(ValueError, match=r"solve_fixed_point: alpha must be in \(0, 1\], got"):
            solve_fixed_point(graph, e0, alpha=alpha, tol=1e-4)
    for tol in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="push_: tol must be positive and finite, got"):
            incremental_update(graph, e0, y, residual, rows, alpha=0.5, tol=tol)
        with pytest.raises(ValueError, match="solve_fixed_point: tol must be positive and finite"):
            solve_fixed_point(graph, e0, alpha=0.5, tol=tol)
    with pytest.raises(
        TypeError, match="incremental_update: graph must be a DynamicGraph, .* got list"
    ):
        incremental_update([], e0, y, residual, rows, alpha=0.5, tol=1e-4)  # type: ignore[arg-type]
    with pytest.raises(IndexError, match=r"rows must be in \[0, 1020\), got rows\[0\] = 1020"):
        incremental_update(graph, e0, y, residual, rows + 1020, alpha=0.5, tol=1e-4)
    with pytest.raises(ValueError, match="residual must have 1020 elements in axis 0"):
        incremental_update(graph, e0, y, residual[1:], rows, alpha=0.5, tol=1e-4)
