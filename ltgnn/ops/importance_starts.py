"""importance_starts: where each edge's part of its row begins, for drawing neighbours by importance."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ltgnn.ops.csr import SupportsCsr

_LENGTH = 2**31  # of a row's interval, see csrc/kernels/sample.h
_LEVELS = 2**30  # importance as whole numbers: their sums are exact, in any order
_PIECE = 1 << 20  # edges at once


def importance_starts(
    graph: SupportsCsr, importance: Tensor, *, uniform_share: float = 0.2
) -> Tensor:
    """Cut up each row's interval [0, 2^31) into parts for its edges, for `sample_aggregate(edge_starts=...)`.

    Edge e of row r to column c gets the share `(1 - u) q_c / sum_row q + u / degree_r`, with importance q and
    `u = uniform_share`; a row whose neighbours have none is cut evenly. The variance of a sampled sum of
    `t_c x_c` is least where q_c is proportional to `t_c |x_c|`; whatever q is, the sum is unbiased, and the share
    of the uniform part bounds a weight by `degree_r / u`, so that an importance that is out of date cannot hurt
    much.

    Args:
        graph: the graph, with the CSR protocol.
        importance: [num_cols], floating point, finite, not negative; below 2^-30 of the largest it counts as 0.
        uniform_share: in (0, 1].

    Returns:
        [num_edges], int32, ascending in each row.

    Raises:
        ValueError: a shape or setting is wrong, an importance is negative or not finite, or a row has so many
            edges (2^31 uniform_share) that a part would be empty.

    Complexity: O(num_edges) time, O(num_edges) memory for the result and 50 MB beside it.

    Source: Hansen and Hurwitz, Ann. Math. Stat. 14 (1943); for graph convolutions FastGCN, Chen et al., ICLR 2018.

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0, 0], [0, 1])
        >>> q = torch.tensor([1.0, 3.0, 1.0])
        >>> starts = ltgnn.ops.importance_starts(graph, q, uniform_share=0.5)
        >>> starts / 2**31  # the user's items get 5/8 and 3/8
        tensor([0.0000, 0.6250, 0.0000, 0.0000])
    """
    csr = graph.csr(dtype=torch.float32, self_loops=False, normalized=True)
    if importance.shape != (csr.num_cols,):
        raise ValueError(
            f"importance_starts: importance must be [{csr.num_cols}], got {list(importance.shape)}"
        )
    if not 0 < uniform_share <= 1:
        raise ValueError(f"importance_starts: uniform_share must be in (0, 1], got {uniform_share}")
    levels = _levels(importance)
    starts = torch.empty_like(csr.indices, dtype=torch.int32)
    for first, last in _pieces(csr.indptr):
        indptr = csr.indptr[first : last + 1]
        begin, end = int(indptr[0]), int(indptr[-1])
        degrees = indptr.diff()
        if degrees.numel() and int(degrees.max()) > _LENGTH * uniform_share:
            raise ValueError(
                f"importance_starts: a row must have at most {int(_LENGTH * uniform_share)} edges, "
                f"got {int(degrees.max())}"
            )
        own = levels[csr.indices[begin:end].long()]
        before = torch.cat([own.new_zeros(1), own.cumsum(0)])
        border = before[indptr - begin]
        row = torch.repeat_interleave(degrees, output_size=end - begin)
        weight = before[:-1] - border[:-1][row]
        total = border.diff()[row].double()
        place = torch.arange(begin, end, device=row.device) - indptr[:-1][row]
        even = place / degrees[row].double()
        share = torch.where(
            total > 0, (1 - uniform_share) * (weight / total) + uniform_share * even, even
        )
        starts[begin:end] = (share * _LENGTH).to(torch.int32)
    return starts


def _levels(importance: Tensor) -> Tensor:
    """[num_cols], int64: importance in 2^-30 of the largest."""
    if not importance.is_floating_point():
        raise ValueError(
            f"importance_starts: importance must be floating point, got {importance.dtype}"
        )
    if importance.numel() == 0:
        return importance.long()
    low, high = (float(bound) for bound in importance.aminmax())
    if not (low >= 0 and high < float("inf")):  # also where one is NaN
        raise ValueError(
            f"importance_starts: importance must be finite and not negative, got {low} to {high}"
        )
    if high == 0:
        return torch.zeros_like(importance, dtype=torch.int64)
    return (importance.double() * (_LEVELS / high)).long()


def _pieces(indptr: Tensor) -> Iterator[tuple[int, int]]:
    """Ranges of whole rows of about _PIECE edges, or of one row that has more."""
    row, num_rows = 0, len(indptr) - 1
    while row < num_rows:
        goal = indptr[row : row + 1] + _PIECE
        last = min(max(row + 1, int(torch.searchsorted(indptr, goal, right=True)) - 1), num_rows)
        yield row, last
        row = last
