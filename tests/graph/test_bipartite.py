"""BipartiteGraph against a set of pairs, from every source; views, errors, immutability."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltgnn.graph import BipartiteGraph

Pairs = list[tuple[int, int]]
pair_lists = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 5)), max_size=40)


def make(pairs: Pairs, users: int | None = 8, items: int | None = 6, **more: Any) -> BipartiteGraph:
    return BipartiteGraph.from_edges(
        [u for u, _ in pairs], [i for _, i in pairs], num_users=users, num_items=items, **more
    )


def edges_of(graph: BipartiteGraph) -> Pairs:
    """Every stored (row, column), in order."""
    rows = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.degrees)
    return list(zip(rows.tolist(), graph.indices.tolist(), strict=True))


def same(a: BipartiteGraph, b: BipartiteGraph) -> bool:
    return (
        (a.num_users, a.num_items) == (b.num_users, b.num_items)
        and torch.equal(a.indptr, b.indptr)
        and torch.equal(a.indices, b.indices)
        and a.indices.dtype == b.indices.dtype
    )


@given(pair_lists)
def test_equals_the_set_of_pairs(pairs: Pairs) -> None:
    graph = make(pairs)
    both = {(u, 8 + i) for u, i in pairs} | {(8 + i, u) for u, i in pairs}
    assert edges_of(graph) == sorted(both)  # rows in order, each sorted, nothing twice
    assert graph.num_edges == len(set(pairs)) and graph.num_nodes == 14
    assert graph.indptr.dtype == torch.int64 and graph.indices.dtype == torch.int32
    assert graph.degrees.tolist() == [sum(r == n for r, _ in both) for n in range(14)]
    owned = [i for _, i in sorted(set(pairs))]
    assert graph.user_items.tolist() == owned
    assert graph.user_indptr.tolist() == graph.indptr[:9].tolist()
    assert graph.user_indptr[-1] == graph.num_edges


@given(pair_lists)
def test_mirror_pairs_the_two_directions(pairs: Pairs) -> None:
    graph = make(pairs)
    mirror = graph.mirror
    assert torch.equal(mirror[mirror], torch.arange(len(mirror)))
    edges = edges_of(graph)
    assert [edges[m] for m in mirror.tolist()] == [(c, r) for r, c in edges]


@given(pair_lists)
def test_every_source_gives_the_same_graph(pairs: Pairs) -> None:
    want = make(pairs)
    matrix = want.to_scipy()
    assert matrix.shape == (8, 6) and matrix.dtype == np.float32
    assert {(int(u), int(i)) for u, i in zip(*matrix.nonzero(), strict=True)} == set(pairs)
    for form in ("csr", "csc", "coo", "lil", "dok"):
        assert same(BipartiteGraph.from_scipy(matrix.asformat(form)), want)
    dense = torch.from_numpy(matrix.toarray())
    for sparse in (dense.to_sparse_coo(), dense.to_sparse_csr()):
        assert same(BipartiteGraph.from_torch(sparse), want)
    users, items = (np.array([p[k] for p in pairs], dtype=np.int64) for k in range(2))
    settings = {"num_users": 8, "num_items": 6}
    for kind in (np.uint8, np.int16, np.int32, np.int64, np.uint64):
        assert same(
            BipartiteGraph.from_edges(users.astype(kind), items.astype(kind), **settings), want
        )
    tensors = torch.from_numpy(users), torch.from_numpy(items)
    assert same(BipartiteGraph.from_edges(*tensors, **settings), want)


@given(pair_lists)
def test_scale(pairs: Pairs) -> None:
    graph = make(pairs)
    for loops in (False, True):
        want = [0.0 if d + loops == 0 else (d + loops) ** -0.5 for d in graph.degrees.tolist()]
        got = graph.scale(dtype=torch.float64, self_loops=loops)
        torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64))
        assert graph.scale(self_loops=loops).dtype == torch.float32


def test_csr_protocol() -> None:
    graph = make([(0, 0), (0, 2), (7, 2)])
    csr = graph.csr(dtype=torch.float64, self_loops=True)
    assert csr.num_rows == csr.num_cols == graph.num_nodes
    assert csr.row_scale is csr.col_scale and csr.weight is None
    assert torch.equal(csr.row_scale, graph.scale(dtype=torch.float64, self_loops=True))
    assert csr.t_indptr is csr.indptr and csr.t_indices is csr.indices  # symmetric
    bare = graph.csr(normalized=False)
    assert bare.row_scale is None and torch.equal(bare.t_perm, graph.mirror)


def test_duplicates() -> None:
    pairs = [(1, 2), (0, 0), (1, 2), (1, 2)]
    assert same(make(pairs), make([(0, 0), (1, 2)]))
    assert make([(3, 3)] * 300).num_edges == 1  # more than an 8-bit count can hold
    assert make([(0, 0), (1, 2)], duplicates="error").num_edges == 2
    with pytest.raises(ValueError, match="2 of 4 pairs are repeated"):
        make(pairs, duplicates="error")
    with pytest.raises(ValueError, match="'merge' or 'error', got 'keep'"):
        make(pairs, duplicates="keep")
    twice = scipy.sparse.coo_array((np.ones(2), ([0, 0], [1, 1])), shape=(1, 2))
    assert BipartiteGraph.from_scipy(twice).num_edges == 1
    stored = torch.sparse_coo_tensor([[0, 0], [1, 1]], [1.0, 1.0], (1, 2))
    assert BipartiteGraph.from_torch(stored).num_edges == 1


def test_stored_zeros_are_edges() -> None:
    matrix = scipy.sparse.csr_array((np.zeros(1), [1], [0, 1]), shape=(1, 2))
    assert BipartiteGraph.from_scipy(matrix).num_edges == 1


@pytest.mark.parametrize(("users", "items"), [(0, 0), (3, 0), (0, 4), (2, 2)])
def test_no_edges(users: int, items: int) -> None:
    graph = make([], users, items)
    assert (graph.num_users, graph.num_items, graph.num_edges) == (users, items, 0)
    assert graph.indptr.tolist() == [0] * (users + items + 1)
    assert graph.mirror.numel() == graph.user_items.numel() == 0
    assert not graph.scale().any()
    assert graph.to_scipy().shape == (users, items)


def test_sizes_come_from_the_largest_ids() -> None:
    graph = make([(2, 0), (0, 4)], None, None)
    assert (graph.num_users, graph.num_items) == (3, 5)
    assert repr(graph) == "BipartiteGraph(num_users=3, num_items=5, num_edges=2)"
    assert repr(make([], None, None)) == "BipartiteGraph(num_users=0, num_items=0, num_edges=0)"


@pytest.mark.parametrize(
    ("users", "items", "error", "pattern"),
    [
        ([0, 1], [0], ValueError, "users and items must have equal length, got 2 and 1"),
        ([-1], [0], IndexError, r"users must be in \[0, 8\), got -1"),
        ([0], [6], IndexError, r"items must be in \[0, 6\), got 6"),
        ([8], [0], IndexError, r"users must be in \[0, 8\), got 8"),
        ([2**63 - 1], [0], IndexError, r"users must be in \[0, 8\), got 9223372036854775807"),
        ([0.0], [0], TypeError, "users must be integers, got float64"),
        ([0], [True], TypeError, "items must be integers, got bool"),
        (["a"], [0], TypeError, "users must be integers, got <U1"),
        ([[0]], [0], ValueError, "users must be 1-D, got 2-D"),
        (0, [0], ValueError, "users must be 1-D, got 0-D"),
    ],
)
def test_bad_edges(users: Any, items: Any, error: type[Exception], pattern: str) -> None:
    with pytest.raises(error, match=pattern):
        BipartiteGraph.from_edges(users, items, num_users=8, num_items=6)


def test_rows_of_users_that_are_not_there() -> None:
    graph = make([(0, 0), (0, 1), (1, 1), (2, 2)], 3, 3)
    assert graph.user_rows(torch.tensor([2, 0])).toarray().tolist() == [[0, 0, 1], [1, 1, 0]]
    for user in (3, 4, -1, -2):
        with pytest.raises(IndexError, match=rf"user_rows: users must be in \[0, 3\), got {user}"):
            graph.user_rows(torch.tensor([0, user]))


def test_negative_sizes() -> None:
    with pytest.raises(ValueError, match="num_users must not be negative, got -1"):
        make([], -1, 0)


def test_bad_scipy() -> None:
    for wrong in (np.eye(2), None, "matrix", torch.eye(2)):
        with pytest.raises(TypeError, match="from_scipy: expected a scipy sparse matrix, got"):
            BipartiteGraph.from_scipy(wrong)
    with pytest.raises(ValueError, match="from_scipy: graph must be 2-D, got 1-D"):
        BipartiteGraph.from_scipy(scipy.sparse.coo_array(np.ones(3)))


@pytest.mark.parametrize(
    ("indptr", "indices", "error", "pattern"),
    [
        ([1, 1, 2], [0, 1], ValueError, "run from 0 to the number of indices, 2, got 1 to 2"),
        ([0, 1, 3], [0, 1], ValueError, "run from 0 to the number of indices, 2, got 0 to 3"),
        ([0, 5, 2], [0, 1], ValueError, "must not decrease, but do after row 1"),
        ([0, -5, 2], [0, 1], ValueError, "must not decrease, but do after row 0"),
        ([0, 1, 2], [0, 2], IndexError, r"indices must be in \[0, 2\), got 2 at edge 1"),
        ([0, 1, 2], [-1, 0], IndexError, r"indices must be in \[0, 2\), got -1 at edge 0"),
        ([0, 2], [0, 1], ValueError, "must be 3, one more than rows, got 2"),
        ([], [0, 1], ValueError, "must be 3, one more than rows, got 0"),
    ],
)
def test_bad_csr_arrays(
    indptr: list[int], indices: list[int], error: type[Exception], pattern: str
) -> None:
    matrix = scipy.sparse.csr_array(np.eye(2))
    matrix.indptr, matrix.indices = (
        np.array(indptr, dtype=np.int32),
        np.array(indices, dtype=np.int32),
    )
    with pytest.raises(error, match=f"from_scipy: .*{pattern}"):
        BipartiteGraph.from_scipy(matrix)
    if indptr:
        tensor = torch.sparse_csr_tensor(
            torch.tensor(indptr),
            torch.tensor(indices),
            torch.ones(2),
            (2, 2),
            check_invariants=False,
        )
        with pytest.raises(error, match=f"from_torch: .*{pattern}"):
            BipartiteGraph.from_torch(tensor)


def test_bad_torch() -> None:
    with pytest.raises(TypeError, match="expected a sparse COO or CSR tensor, got torch.strided"):
        BipartiteGraph.from_torch(torch.eye(2))
    with pytest.raises(TypeError, match="got torch.sparse_csc"):
        BipartiteGraph.from_torch(torch.eye(2).to_sparse_csc())
    with pytest.raises(TypeError, match="got ndarray"):
        BipartiteGraph.from_torch(np.eye(2))  # type: ignore[arg-type]
    for wrong in (torch.ones(2, 2, 2).to_sparse_coo(), torch.ones(2).to_sparse_coo()):
        with pytest.raises(ValueError, match="expected a 2-D tensor, got [13]-D"):
            BipartiteGraph.from_torch(wrong)
    outside = torch.sparse_coo_tensor([[0], [9]], [1.0], (2, 2), check_invariants=False)
    with pytest.raises(IndexError, match=r"items must be in \[0, 2\), got 9"):
        BipartiteGraph.from_torch(outside)
    hybrid = torch.sparse_coo_tensor(
        [[0, 1]], torch.ones(2, 2), (2, 2)
    )  # one sparse dimension, one dense
    with pytest.raises(ValueError, match="from_torch: expected two sparse dimensions, got 1"):
        BipartiteGraph.from_torch(hybrid)


def test_immutable() -> None:
    graph = make([(0, 0)])
    for name in ("num_users", "indptr", "indices"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(graph, name, None)


def test_does_not_share_memory_with_its_source() -> None:
    matrix = scipy.sparse.csr_array(np.eye(3))
    graph = BipartiteGraph.from_scipy(matrix)
    before = graph.indices.clone()
    matrix.indices[:] = 0
    assert torch.equal(graph.indices, before)
    assert matrix.data.dtype == np.float64  # and left its source alone


def test_to_device_keeps_everything() -> None:
    graph = make([(0, 0), (1, 5)])
    moved = graph.to("cpu")
    assert same(moved, graph) and moved.device == torch.device("cpu")
    assert torch.equal(moved.scale(), graph.scale())
