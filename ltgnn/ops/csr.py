"""What operators accept as a graph: the CSR protocol, torch's sparse CSR tensors, scipy's matrices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
import scipy.sparse
import torch
from torch import Tensor


@dataclass(frozen=True)
class Csr:
    """A sparse matrix in compressed-sparse-row form, as the native operators take it.

    Attributes:
        indptr: [num_rows + 1], int64.
        indices: [num_edges], int32 or int64.
        num_cols: number of columns.
        weight: [num_edges], the value of each edge, or None for ones.
        row_scale, col_scale: [num_rows], [num_cols]: factors of whole rows and columns, or None.
        t_indptr, t_indices, t_perm: the transposed structure for backward passes, where it is at hand;
            edge k of the transpose is edge `t_perm[k]` here.
        rows, t_rows: [num_rows], [num_cols], int64, permutations, or None: row k of indptr is row `rows[k]` of
            the matrix, and row k of t_indptr is column `t_rows[k]`. For `propagate` only, without weight.
    """

    indptr: Tensor
    indices: Tensor
    num_cols: int
    weight: Tensor | None = None
    row_scale: Tensor | None = None
    col_scale: Tensor | None = None
    t_indptr: Tensor | None = None
    t_indices: Tensor | None = None
    t_perm: Tensor | None = None
    rows: Tensor | None = None
    t_rows: Tensor | None = None

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return self.indptr.numel() - 1


@runtime_checkable
class SupportsCsr(Protocol):
    """The CSR protocol: what a graph object offers so that operators can take it."""

    def csr(
        self, *, dtype: torch.dtype, self_loops: bool, normalized: bool, ordered: bool = False
    ) -> Csr:
        """The square adjacency matrix; with scales of type `dtype` where `normalized`.

        Where it is `ordered`, too, its rows may be listed in the graph's own order.
        """
        ...


@runtime_checkable
class SupportsBiadjacency(Protocol):
    """What a bipartite graph offers, so that operators can work on the block between its two sides."""

    def biadjacency(self, *, dtype: torch.dtype) -> tuple[Csr, Csr]:
        """The normalised user-item block and its transpose, with scales of type `dtype`."""
        ...


@dataclass(frozen=True)
class SlackRows:
    """The rows of a square matrix that changes: each lies anywhere in one pool, with room left behind it.

    Attributes:
        row_begin: [num_rows], int64, where each row starts in `indices`.
        degree: [num_rows], int64, its length.
        indices: [pool], int32 or int64; each row's are sorted. What lies between rows means nothing.
    """

    row_begin: Tensor
    degree: Tensor
    indices: Tensor


@runtime_checkable
class SupportsSlackRows(Protocol):
    """What a graph that changes offers, so that operators can follow single rows of it as it stands."""

    def slack_rows(self, device: torch.device) -> SlackRows:
        """The symmetric adjacency's rows on that device; valid until the graph changes."""
        ...


GraphLike: TypeAlias = "SupportsCsr | Csr | Tensor | scipy.sparse.spmatrix | scipy.sparse.sparray"


def scale_dtype(x: Tensor) -> torch.dtype:
    """What weights, scales and sums are held in beside data like `x`."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def as_csr(
    graph: GraphLike,
    x: Tensor,
    *,
    weight: Tensor | None,
    self_loops: bool,
    op: str,
    ordered: bool = False,
) -> Csr:
    """Read anything that operators accept as a graph.

    A graph object is normalised from its degrees unless `weight` is given. A torch or scipy matrix
    is used with the values it holds. `ordered`: the operator can take rows in another order.

    Raises:
        TypeError: for any other object, a sparse layout that is not CSR, or a complex matrix.
        ValueError: a torch or scipy matrix whose arrays contradict its shape, or rows in an order that the
            operator cannot take.
    """
    dtype = scale_dtype(x)
    if isinstance(graph, Csr):
        csr = graph
        if csr.rows is not None and not (ordered and weight is None):
            raise ValueError(f"{op}: graph must list its rows in order here, got a Csr with rows")
    elif isinstance(graph, Tensor):
        if graph.layout != torch.sparse_csr or graph.dim() != 2:
            raise TypeError(
                f"{op}: graph must be a 2-D torch.sparse_csr tensor, got layout {graph.layout}, "
                f"{graph.dim()}-D; convert it with .to_sparse_csr()"
            )
        if graph.is_complex():
            raise TypeError(f"{op}: graph must be real, got {graph.dtype}")
        # Views of a sparse CSR tensor break torch's functionalisation: work on plain aliases.
        crow = graph.crow_indices().detach()
        _check_num_rows(op, crow.numel(), graph.shape[0])
        csr = Csr(
            crow.to(torch.int64) if crow.dtype == torch.int32 else crow,  # others are refused later
            graph.col_indices().detach(),
            graph.shape[1],
            graph.values().to(dtype),
        )
    elif scipy.sparse.issparse(graph):
        matrix: Any = graph
        if np.iscomplexobj(matrix):
            raise TypeError(f"{op}: graph must be real, got {matrix.dtype}")
        matrix = scipy_to_csr(matrix, op)
        _check_num_rows(op, len(matrix.indptr), matrix.shape[0])
        csr = Csr(
            torch.from_numpy(
                matrix.indptr.astype(np.int64) if matrix.indptr.dtype == np.int32 else matrix.indptr
            ),
            torch.from_numpy(matrix.indices),
            matrix.shape[1],
            torch.from_numpy(matrix.data).to(dtype),
        )
    elif isinstance(graph, SupportsCsr):
        csr = graph.csr(
            dtype=dtype, self_loops=self_loops, normalized=weight is None,
            ordered=ordered and weight is None,
        )  # fmt: skip
    else:
        raise TypeError(
            f"{op}: graph must be a BipartiteGraph, a torch.sparse_csr tensor or a scipy sparse "
            f"matrix, got {type(graph).__name__}"
        )
    return csr if weight is None else replace(csr, weight=weight)


def as_slack_rows(
    graph: SupportsSlackRows | SupportsCsr | SlackRows, y: Tensor, op: str
) -> SlackRows:
    """Read a symmetric graph for operators that follow single rows; O(num_nodes) for an immutable one.

    Raises:
        TypeError: for any other object.
    """
    if isinstance(graph, SlackRows):
        return graph
    if isinstance(graph, SupportsSlackRows):
        return graph.slack_rows(y.device)
    if isinstance(graph, SupportsCsr):
        csr = graph.csr(dtype=scale_dtype(y), self_loops=False, normalized=True)
        return SlackRows(csr.indptr[:-1], csr.indptr.diff(), csr.indices)
    raise TypeError(
        f"{op}: graph must be a DynamicGraph, a BipartiteGraph or SlackRows, got {type(graph).__name__}"
    )


def scipy_to_csr(matrix: Any, op: str) -> Any:
    """Convert to scipy's CSR, after a check of what its converters trust.

    The arrays of a matrix that is CSR already are not looked at: who reads them checks them.

    Raises:
        ValueError, IndexError: the matrix is not 2-D, or its arrays are malformed.
    """
    if matrix.ndim != 2:
        raise ValueError(f"{op}: graph must be 2-D, got {matrix.ndim}-D")
    if matrix.format in ("csc", "bsr"):
        sizes = matrix.shape[::-1]  # of a csc: its columns are compressed
        if matrix.format == "bsr":
            block = matrix.data.shape[1:]
            sizes = (matrix.shape[0] // block[0], matrix.shape[1] // block[1])
        check_compressed(op, matrix.indptr, matrix.indices, *sizes)
        if len(matrix.data) != len(matrix.indices):
            raise ValueError(
                f"{op}: graph has {len(matrix.indices)} indices but {len(matrix.data)} values"
            )
    elif matrix.format == "coo":
        for name, ids, size in zip(
            ("row", "col"), (matrix.row, matrix.col), matrix.shape, strict=True
        ):
            if len(ids) != len(matrix.data):
                raise ValueError(
                    f"{op}: graph has {len(ids)} {name} numbers but {len(matrix.data)} values"
                )
            if len(ids) and (ids.min() < 0 or ids.max() >= size):
                raise IndexError(
                    f"{op}: {name} numbers must be in [0, {size}), got {ids.min()} to {ids.max()}"
                )
    return matrix.tocsr()


def check_compressed(
    op: str, indptr: npt.NDArray[Any], indices: npt.NDArray[Any], num_rows: int, num_cols: int
) -> None:
    """Raise where compressed rows (or columns) do not describe a matrix; O(edges).

    Raises:
        ValueError: `indptr` has a wrong length or end, or decreases.
        IndexError: an index is out of range.
    """
    if len(indptr) != num_rows + 1:
        raise ValueError(
            f"{op}: row pointers must be {num_rows + 1}, one more than rows, got {len(indptr)}"
        )
    if indptr[0] != 0 or indptr[-1] != len(indices):
        raise ValueError(
            f"{op}: row pointers must run from 0 to the number of indices, {len(indices)}, got "
            f"{indptr[0]} to {indptr[-1]}"
        )
    falls = indptr[1:] < indptr[:-1]  # compared, not subtracted: a difference could overflow
    if falls.any():
        raise ValueError(f"{op}: row pointers must not decrease, but do after row {falls.argmax()}")
    if len(indices) and (indices.min() < 0 or indices.max() >= num_cols):
        edge = int(np.flatnonzero((indices < 0) | (indices >= num_cols))[0])
        raise IndexError(
            f"{op}: indices must be in [0, {num_cols}), got {indices[edge]} at edge {edge}"
        )


def _check_num_rows(op: str, length: int, num_rows: int) -> None:
    """Raise where row pointers are not as many as the shape says."""
    if length != num_rows + 1:
        raise ValueError(
            f"{op}: graph has {num_rows} rows but {length} row pointers, expected {num_rows + 1}"
        )


def transpose(indptr: Tensor, indices: Tensor, num_cols: int) -> tuple[Tensor, Tensor, Tensor]:
    """The transposed structure and the permutation of its edges.

    Args:
        indptr: [num_rows + 1], int64, valid.
        indices: [num_edges], each in [0, num_cols).
        num_cols: number of columns.

    Returns:
        (t_indptr [num_cols + 1], t_indices [num_edges] like `indices`, t_perm [num_edges] int64).

    Complexity: one stable sort of the edges.
    """
    rows = torch.repeat_interleave(
        torch.arange(indptr.numel() - 1, device=indptr.device, dtype=indices.dtype),
        indptr.diff(),
        output_size=indices.numel(),
    )
    perm = torch.argsort(indices, stable=True)
    counts = torch.bincount(indices.to(torch.int64), minlength=num_cols)
    t_indptr = torch.zeros(num_cols + 1, dtype=torch.int64, device=indptr.device)
    torch.cumsum(counts, 0, out=t_indptr[1:])
    return t_indptr, rows[perm], perm


def inverse_permutation(perm: Tensor) -> Tensor:
    """`inverse[perm[k]] = k`, for perm [n] int64; one pass."""
    inverse = torch.empty_like(perm)
    inverse[perm] = torch.arange(perm.numel(), device=perm.device)
    return inverse
