"""Edges, rows and elements past 2^31: 64-bit offsets everywhere, on data that take no memory.

Large arrays are sparse files: what nobody wrote reads as zero and occupies nothing. Kernels that walk every
edge of a row are given rows that lie wholly past the border, or one that spans it on the CPU alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ops.far_tables import both, operators, sparse_zeros
from torch import Tensor

from ltgnn.ops.reference_pairs import entry_at

BORDER = 2**31
EDGES = BORDER + 64


@pytest.fixture
def virtual(tmp_path: Path) -> Any:
    """virtual(elements, dtype): zeros of any number, from a sparse file."""

    def make(elements: int, dtype: torch.dtype) -> Tensor:
        return sparse_zeros(tmp_path, elements, dtype)

    return make


@both
def test_elements_past_the_border(backend: str, virtual: Any) -> None:
    """x has more than 2^31 elements; its last rows are what is gathered."""
    dim = 1 << 16
    rows = BORDER // dim + 2
    x = virtual(rows * dim, torch.float32).view(rows, dim)
    x[-1] = torch.arange(dim) % 97
    x[-2] = 1.0
    indptr, indices = torch.tensor([0, 2]), torch.tensor([rows - 2, rows - 1])
    got = operators(backend).propagate(
        indptr, indices, None, None, None, x, None, 0.0, False, None, None, None
    )
    assert torch.equal(got[0], 1.0 + torch.arange(dim) % 97)


@both
def test_rows_past_the_border(backend: str) -> None:
    """More than 2^31 columns: x is one row, repeated by a stride of zero."""
    columns = BORDER + 10
    x = torch.tensor([[3.0, 4.0]]).expand(columns, 2)
    indptr, indices = torch.tensor([0, 2]), torch.tensor([BORDER + 5, columns - 1])
    arguments = (None, None, None, x, None, 0.0, False, None, None, None)
    got = operators(backend).propagate(indptr, indices, *arguments)
    assert got.tolist() == [[6.0, 8.0]]
    with pytest.raises(IndexError, match=rf"indices\[1\] = {columns} in row 0"):
        operators(backend).propagate(indptr, torch.tensor([0, columns]), *arguments)


@both
def test_edges_past_the_border(backend: str, virtual: Any) -> None:
    """A target row whose edges all lie past 2^31; the row before it, which owns the rest, is not walked."""
    indices = virtual(EDGES, torch.int32)
    indices[-3:] = torch.tensor([1, 2, 3], dtype=torch.int32)
    indptr = torch.tensor([0, EDGES - 3, EDGES])
    x = torch.tensor([[100.0], [1.0], [10.0], [1000.0]])
    ops, rows = operators(backend), torch.tensor([1])
    got, _ = ops.sample_aggregate(
        indptr, indices, None, None, rows, x, None, None, None, 8, 0, False
    )
    assert got.tolist() == [[1011.0]]
    assert ops.sample_neighbors(indptr, indices, rows, 4, 3, 0).tolist() == [[1, 2, 3]]
    starts = virtual(EDGES, torch.int32)
    starts[-2:] = torch.tensor(
        [1, BORDER - 1]
    )  # all draws but one in 2^30 fall on the edge between
    assert ops.sample_neighbors(indptr, indices, rows, 4, 2, 0, None, starts).tolist() == [[2, 2]]
    hits = ops.accidental_hits(
        indptr, indices, rows.expand(2).contiguous(), torch.tensor([0, 3]), 4
    )
    assert hits.tolist() == [[2], [2]]
    drawn = ops.negative_sample(indptr, indices, rows.expand(20).contiguous(), 5, 0)
    assert sorted(set(drawn.tolist())) == [0, 4]


@both
@pytest.mark.parametrize("begin", [0, EDGES // 2, EDGES - 200])
def test_an_epoch_past_the_border(backend: str, virtual: Any, begin: int) -> None:
    """Positions and entries beyond 2^31: the rows are those of the twin's permutation."""
    indices = virtual(EDGES, torch.int32)
    indptr = torch.tensor([0, EDGES // 3, BORDER, EDGES])
    rows, columns = operators(backend).epoch_pairs(indptr, indices, None, 1, begin, 200, 4)
    entries = torch.tensor([entry_at(EDGES, begin + k, 4) for k in range(200)])
    assert torch.equal(rows, torch.bucketize(entries, indptr, right=True) - 1)
    assert not columns.any()


@both
def test_a_degree_past_the_border(backend: str, virtual: Any) -> None:
    """Sampling from a row with more than 2^31 edges: the factor degree / S, and positions above 2^31."""
    indices = virtual(EDGES, torch.int32)
    indptr, x = torch.tensor([0, EDGES]), torch.tensor([[2.0], [7.0]], dtype=torch.float64)
    got, _ = operators(backend).sample_aggregate(
        indptr, indices, None, None, torch.tensor([0]), x, None, None, None, 16, 3, False
    )
    assert got.item() == 2.0 * EDGES


@pytest.mark.slow
def test_one_row_over_the_border(virtual: Any) -> None:
    """propagate over all edges of a row that spans 2^31."""
    indices = virtual(EDGES, torch.int32)
    indices[-1] = 1
    x = torch.tensor([[0.0], [5.0]])
    got = torch.ops.ltgnn.propagate(
        torch.tensor([0, EDGES]), indices, None, None, None, x, None, 0.0, False, None, None, None
    )
    assert got.item() == 5.0
