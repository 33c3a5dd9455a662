"""The two halves of an LTGNN training step, as fused native operators on the target rows of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ltgnn import _library as _library
from ltgnn.ops.csr import SupportsCsr
from ltgnn.ops.registration import register_fake, require_one_device


@dataclass
class LtgnnTables:
    """The tables of one LTGNN model, each [num_nodes, dim], float32, float64 or bfloat16, contiguous.

    All have one dtype, but beside e0 in float32 the others may be bfloat16. Sums, gradients and results are float32
    then, and what is stored in bfloat16 is rounded stochastically (csrc/core/rounding.h), so that small updates are
    not lost: with bits that follow from the seed (z and delta) or the step number (the others), row and column.

    Attributes:
        e0: trainable embeddings.
        m, v: Adam's moments of e0.
        delta: source - history, where source is z, or e0 for one hop.
        history_sum: A history, exact at the last refresh.
        z: stored fixed point; None for one hop.
        g: gradient memory; None where it is not used.
    """

    e0: Tensor
    m: Tensor
    v: Tensor
    delta: Tensor
    history_sum: Tensor
    z: Tensor | None = None
    g: Tensor | None = None


def sums_dtype(table: Tensor) -> torch.dtype:
    """What sums over a table's rows, their weights and their gradients are held in."""
    return torch.float64 if table.dtype == torch.float64 else torch.float32


def ltgnn_forward_(
    graph: SupportsCsr,
    tables: LtgnnTables,
    rows: Tensor,
    *,
    alpha: float,
    c0: float = 0.0,
    fanout: int,
    seed: int,
    self_loops: bool = False,
    row_fanout: Tensor | None = None,
    edge_starts: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One sampled step of `Z = (1 - alpha) A Z + alpha E0` on `rows`; stores their z.

    See csrc/kernels/ltgnn_step.h for the equations (Zhang et al., WWW 2024, sections 3.2 and 3.3).

    Args:
        graph: the graph, with the CSR protocol.
        tables: read; `z` and `delta` are written where z is given.
        rows: [num_targets], int64, distinct.
        alpha: teleport probability, in [0, 1].
        c0: output adjustment, in [0, 1).
        fanout, seed, self_loops, row_fanout, edge_starts: as for `sample_aggregate`.

    Returns:
        (out [num_targets, dim], h [num_targets, dim]): adjusted outputs, and the aggregate of the gradient
        memory over the same neighbours (empty where `g` is None).

    Raises:
        ValueError, IndexError: a shape, dtype, setting or row is wrong.

    Complexity: O(num_targets * fanout * dim).

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0], [0])
        >>> e0, m, v, delta, total, z = torch.ones(6, 2, 1).unbind()
        >>> tables = ltgnn.ops.LtgnnTables(e0, m, v, delta, total, z)
        >>> rows = torch.tensor([0])
        >>> ltgnn.ops.ltgnn_forward_(graph, tables, rows, alpha=0.5, fanout=1, seed=0)[0]
        tensor([[1.5000]])
    """
    csr = graph.csr(dtype=sums_dtype(tables.e0), self_loops=self_loops, normalized=True)
    with torch.no_grad():  # else torch makes up a gradient function that only warns
        out, h = torch.ops.ltgnn.ltgnn_forward_(
            csr.indptr, csr.indices, csr.row_scale, rows, tables.e0, tables.z, tables.delta,
            tables.history_sum, tables.g, alpha, c0, fanout, seed, self_loops, row_fanout, edge_starts,
        )  # fmt: skip
    return out, h


def ltgnn_update_(
    tables: LtgnnTables,
    rows: Tensor,
    grad: Tensor,
    h: Tensor,
    *,
    alpha: float,
    c0: float = 0.0,
    l2: Tensor | None = None,
    faithful: bool = False,
    step: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> None:
    """The implicit gradient of e0's rows from `grad = dL/dout`, and lazy Adam on them.

    Args:
        tables: e0, m, v and, where given, g are written; for one hop (z is None) also delta.
        rows, alpha, c0: as in the forward.
        grad: [num_targets, dim], float32 for tables in bfloat16.
        h: what the forward returned.
        l2: [num_targets], weight of each row's L2 term.
        faithful: store g times (1 - c0), as the authors' code does.
        step, lr, beta1, beta2, eps: as for `adam_`.

    Raises:
        ValueError, IndexError: a shape, dtype, setting or row is wrong.

    Complexity: O(num_targets * dim).

    Example:
        >>> import torch, ltgnn
        >>> e0, m, v, delta, total, z = torch.zeros(6, 2, 1).unbind()
        >>> tables = ltgnn.ops.LtgnnTables(e0, m, v, delta, total, z)
        >>> rows, grad, h = torch.tensor([1]), torch.ones(1, 1), torch.empty(0, 1)
        >>> ltgnn.ops.ltgnn_update_(tables, rows, grad, h, alpha=0.5, step=1, lr=0.1)
        >>> e0.flatten()
        tensor([ 0.0000, -0.1000])
    """
    torch.ops.ltgnn.ltgnn_update_(
        rows, grad, h if tables.g is not None else None, tables.e0, tables.m, tables.v, tables.g,
        tables.delta if tables.z is None else None, l2, alpha, c0, faithful, step, lr, beta1, beta2,
        eps,
    )  # fmt: skip


@register_fake("ltgnn_forward_")
def _(indptr: Tensor, indices: Tensor, scale: Any, rows: Tensor, e0: Tensor, z: Any,
      delta: Tensor, history_sum: Tensor, g: Any, alpha: float, c0: float, fanout: int, seed: int,
      self_loops: bool, row_fanout: Any = None, edge_starts: Any = None,
      ) -> tuple[Tensor, Tensor]:  # fmt: skip
    require_one_device(
        "ltgnn_forward_", indptr, indices, scale, rows, e0, z, delta, history_sum, g, row_fanout, edge_starts
    )  # fmt: skip
    targets, dim, dtype = rows.shape[0], delta.shape[1], sums_dtype(delta)
    return (
        delta.new_empty((targets, dim), dtype=dtype),
        delta.new_empty((targets if g is not None else 0, dim), dtype=dtype),
    )


@register_fake("ltgnn_update_")
def _(*arguments: Any) -> None:
    require_one_device("ltgnn_update_", *arguments)
