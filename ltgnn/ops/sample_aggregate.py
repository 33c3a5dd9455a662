"""sample_aggregate: one sampled, variance-reduced propagation step for chosen rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ltgnn import _library as _library
from ltgnn.ops.csr import GraphLike, SupportsCsr, as_csr
from ltgnn.ops.registration import register_fake, require_one_device


def sample_aggregate(
    graph: GraphLike,
    rows: Tensor,
    x: Tensor,
    *,
    fanout: int,
    seed: int,
    history: Tensor | None = None,
    history_sum: Tensor | None = None,
    self_loops: bool = False,
    row_fanout: Tensor | None = None,
    edge_starts: Tensor | None = None,
) -> Tensor:
    """Estimate rows of `A x` from `fanout` sampled neighbours each.

    Without history, the sampled mean scaled to the degree. With `history` (an older copy of x) and
    `history_sum = A history`, the variance-reduced estimate `A (x - history) + history_sum`, whose variance
    is that of the change since the copy (Chen et al., ICML 2018; LTGNN, WWW 2024). Unbiased in both forms; a
    row with no more than `fanout` neighbours is exact. Neighbours are drawn without replacement or, given
    `edge_starts`, in proportion to an importance and weighed by its inverse (Hansen and Hurwitz, 1943).

    Args:
        graph: a `BipartiteGraph`, normalised from its degrees, or a `Csr` without weight.
        rows: [num_targets], int64, each in [0, num_rows); repetitions allowed.
        x: [num_cols, dim], float32 or float64, contiguous.
        fanout: neighbours drawn for each row, in [0, 256].
        seed: int64; a row's draws depend on (seed, row) only.
        history: [num_cols, dim], subtracted from x.
        history_sum: [num_rows, dim], added to the result.
        self_loops: add the identity to A; it is never sampled but taken exactly.
        row_fanout: [num_rows], int16: how many each row draws, in [0, fanout]; None: `fanout` for all.
        edge_starts: [num_edges], int32, of `importance_starts`: draw by importance, with replacement; None:
            uniformly, without.

    Returns:
        [num_targets, dim]. No gradient is recorded.

    Raises:
        ValueError: a shape, dtype, device, row pointer or fanout is wrong, or the graph has stored values.
        IndexError: a row, or an index of the graph, is out of range.
        TypeError: graph is of another kind, or x is not a tensor.

    Complexity: O(num_targets * fanout * dim); by importance O(num_targets * fanout * log(degree)) more.

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0, 0, 1], [0, 1, 1])
        >>> x, rows = torch.ones(4, 2), torch.tensor([0, 3])
        >>> ltgnn.ops.sample_aggregate(graph, rows, x, fanout=8, seed=0)[:, 0]
        tensor([1.2071, 1.2071])
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"sample_aggregate: x must be a torch.Tensor, got {type(x).__name__}")
    csr = as_csr(graph, x, weight=None, self_loops=self_loops, op="sample_aggregate")
    if csr.weight is not None:
        raise ValueError(
            "sample_aggregate: a graph with stored edge values cannot be sampled; "
            "pass a BipartiteGraph or a Csr without weight"
        )
    with torch.no_grad():  # else torch makes up a gradient function that only warns
        result: Tensor = torch.ops.ltgnn.sample_aggregate(
            csr.indptr, csr.indices, csr.row_scale, csr.col_scale, rows, x, history, history_sum,
            None, fanout, seed, self_loops, row_fanout, edge_starts,
        )[0]  # fmt: skip
    return result


def sample_neighbors(
    graph: SupportsCsr,
    rows: Tensor,
    *,
    fanout: int,
    seed: int,
    row_fanout: Tensor | None = None,
    edge_starts: Tensor | None = None,
) -> Tensor:
    """The neighbours that `sample_aggregate` draws with the same settings.

    Args:
        graph: the graph, with the CSR protocol.
        rows: [num_targets], int64.
        fanout, seed, row_fanout, edge_starts: as for `sample_aggregate`.

    Returns:
        [num_targets, fanout], int64 node numbers; -1 where a row has fewer neighbours or draws fewer.

    Raises:
        ValueError, IndexError: as for `sample_aggregate`.

    Complexity: O(num_targets * fanout^2), the square with a tiny factor.

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0, 0, 1], [0, 1, 1])
        >>> ltgnn.ops.sample_neighbors(graph, torch.tensor([0, 1]), fanout=3, seed=0)
        tensor([[ 2,  3, -1],
                [ 3, -1, -1]])
    """
    csr = graph.csr(dtype=torch.float32, self_loops=False, normalized=True)
    result: Tensor = torch.ops.ltgnn.sample_neighbors(
        csr.indptr, csr.indices, rows, csr.num_cols, fanout, seed, row_fanout, edge_starts
    )
    return result


@register_fake("sample_neighbors")
def _(indptr: Tensor, indices: Tensor, rows: Tensor, num_cols: int, fanout: int, seed: int,
      row_fanout: Any = None, edge_starts: Any = None) -> Tensor:  # fmt: skip
    require_one_device("sample_neighbors", indptr, indices, rows, row_fanout, edge_starts)
    return rows.new_empty((rows.shape[0], fanout))


@register_fake("sample_aggregate")
def _(indptr: Tensor, indices: Tensor, row_scale: Any, col_scale: Any, rows: Tensor, x: Tensor,
      history: Any, history_sum: Any, second: Any, fanout: int, seed: int, self_loops: bool,
      row_fanout: Any = None, edge_starts: Any = None) -> tuple[Tensor, Tensor]:  # fmt: skip
    require_one_device(
        "sample_aggregate", indptr, indices, row_scale, col_scale, rows, x, history, history_sum,
        second, row_fanout, edge_starts,
    )  # fmt: skip
    targets, dim = rows.shape[0], x.shape[1]
    return x.new_empty((targets, dim)), x.new_empty((targets if second is not None else 0, dim))
