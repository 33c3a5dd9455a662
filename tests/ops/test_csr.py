"""Reading graphs: the CSR protocol, transposition, and scipy matrices that were tampered with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st
from ops.graphs import from_rows, make_graph

from ltgnn.graph import BipartiteGraph
from ltgnn.ops.csr import (
    Csr,
    SupportsCsr,
    as_csr,
    check_compressed,
    inverse_permutation,
    scale_dtype,
    scipy_to_csr,
    transpose,
)

X = torch.ones(4, 2)


def read(graph: Any, weight: torch.Tensor | None = None) -> Csr:
    return as_csr(graph, X, weight=weight, self_loops=False, op="test")


@given(
    st.lists(st.lists(st.integers(0, 6)), max_size=8), st.sampled_from([torch.int32, torch.int64])
)
def test_transpose_equals_scipy(rows: list[list[int]], index: torch.dtype) -> None:
    """Repeated edges included."""
    indptr, indices, num_cols = from_rows(rows, 7, index)
    t_indptr, t_indices, perm = transpose(indptr, indices, num_cols)
    number = np.arange(len(indices))
    matrix = scipy.sparse.csr_array((number, indices.numpy(), indptr.numpy()), shape=(len(rows), 7))
    want = matrix.tocsc()
    assert t_indptr.tolist() == want.indptr.tolist()
    assert t_indices.tolist() == want.indices.tolist()
    assert perm.tolist() == want.data.tolist()
    assert t_indices.dtype == index
    back_indptr, back_indices, back = transpose(t_indptr, t_indices, len(rows))
    assert torch.equal(back_indptr, indptr) and torch.equal(back_indices, indices)
    assert torch.equal(inverse_permutation(perm), back)


def test_inverse_permutation() -> None:
    assert inverse_permutation(torch.tensor([2, 0, 1])).tolist() == [1, 2, 0]
    assert inverse_permutation(torch.tensor([], dtype=torch.int64)).tolist() == []


def test_scales_follow_the_data() -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        assert scale_dtype(torch.ones(1, dtype=dtype)) == torch.float32
    assert scale_dtype(torch.ones(1, dtype=torch.float64)) == torch.float64


def test_bipartite_graph_speaks_the_protocol() -> None:
    graph = BipartiteGraph.from_edges([0, 1], [0, 1])
    assert isinstance(graph, SupportsCsr)
    assert read(graph).row_scale is not None and read(graph).weight is None
    weighted = read(graph, torch.ones(4))
    assert weighted.row_scale is None and weighted.weight is not None
    assert weighted.t_perm is not None


def test_csr_is_taken_as_it_is() -> None:
    indptr, indices, cols = make_graph("one")
    csr = Csr(indptr, indices, cols)
    assert read(csr) is csr
    assert csr.num_rows == 1
    assert read(csr, torch.ones(1)).weight is not None and csr.weight is None


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.csr_matrix])
def test_scipy_values_become_weights(kind: Any, index: type) -> None:
    matrix = kind(np.array([[0, 2], [3, 0]]))
    matrix.indices, matrix.indptr = matrix.indices.astype(index), matrix.indptr.astype(index)
    csr = read(matrix)
    assert (
        csr.indptr.dtype == torch.int64
        and csr.indices.dtype == torch.from_numpy(matrix.indices).dtype
    )
    assert csr.weight is not None and csr.weight.tolist() == [2.0, 3.0]
    assert csr.weight.dtype == torch.float32


def set_array(name: str, position: int, value: int) -> Callable[[Any], None]:
    def change(matrix: Any) -> None:
        array = getattr(matrix, name).copy()
        array[position] = value
        setattr(matrix, name, array)

    return change


def cut(name: str) -> Callable[[Any], None]:
    return lambda matrix: setattr(matrix, name, getattr(matrix, name)[:-1].copy())


@pytest.mark.parametrize(
    ("form", "change", "error", "pattern"),
    [
        (
            "csc",
            set_array("indices", 3, 10**9),
            IndexError,
            r"in \[0, 6\), got 1000000000 at edge 3",
        ),
        ("csc", set_array("indices", 3, -1), IndexError, r"in \[0, 6\), got -1 at edge 3"),
        ("csc", set_array("indptr", 0, 1), ValueError, "must run from 0 to .*, got 1 to"),
        (
            "csc",
            set_array("indptr", 2, -(2**31)),
            ValueError,
            "must not decrease, but do after row 1",
        ),
        (
            "csc",
            set_array("indptr", 2, 2**31 - 1),
            ValueError,
            "must not decrease, but do after row 2",
        ),
        ("csc", cut("indptr"), ValueError, "must be 9, one more than rows, got 8"),
        ("csc", cut("data"), ValueError, r"\d+ indices but \d+ values"),
        ("bsr", set_array("indices", 0, 99), IndexError, r"indices must be in \[0, 4\), got 99"),
        ("bsr", set_array("indptr", 1, -5), ValueError, "must not decrease"),
        (
            "coo",
            set_array("row", 0, 6),
            IndexError,
            r"row numbers must be in \[0, 6\), got \d to 6",
        ),
        (
            "coo",
            set_array("col", 0, -1),
            IndexError,
            r"col numbers must be in \[0, 8\), got -1 to 7",
        ),
        ("coo", cut("data"), ValueError, r"row numbers but \d+ values"),
    ],
)
def test_tampered_scipy_matrices(
    form: str, change: Callable[[Any], None], error: type[Exception], pattern: str
) -> None:
    """scipy's converters trust these arrays, and would write out of bounds."""
    dense = np.ones((6, 8)) * (np.arange(48).reshape(6, 8) % 3 > 0)
    matrix = scipy.sparse.bsr_array(dense, blocksize=(2, 2)) if form == "bsr" else None
    matrix = scipy.sparse.coo_array(dense).asformat(form) if matrix is None else matrix
    assert (scipy_to_csr(matrix, "test").toarray() == dense).all()
    change(matrix)
    with pytest.raises(error, match=f"test: .*{pattern}"):
        scipy_to_csr(matrix, "test")
    with pytest.raises(error, match=f"from_scipy: .*{pattern}"):
        BipartiteGraph.from_scipy(matrix)


def test_lengths_that_contradict_the_shape() -> None:
    matrix = scipy.sparse.csr_array(np.eye(4))
    matrix.indptr = matrix.indptr[:-1]
    with pytest.raises(ValueError, match="graph has 4 rows but 4 row pointers, expected 5"):
        read(matrix)
    short = torch.sparse_csr_tensor(
        torch.tensor([0, 1, 2]), torch.tensor([0, 1]), torch.ones(2), (4, 4), check_invariants=False
    )
    with pytest.raises(ValueError, match="graph has 4 rows but 3 row pointers, expected 5"):
        read(short)


def test_check_compressed_takes_what_is_right() -> None:
    check_compressed("test", np.array([0]), np.array([], dtype=np.int32), 0, 0)
    check_compressed("test", np.array([0, 0, 2]), np.array([0, 4]), 2, 5)
