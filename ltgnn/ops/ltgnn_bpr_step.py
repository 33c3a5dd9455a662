"""A whole LTGNN training step with BPR as one native operator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ltgnn import _library as _library
from ltgnn.ops.csr import SupportsCsr
from ltgnn.ops.ltgnn_step import LtgnnTables, sums_dtype
from ltgnn.ops.registration import register_fake, require_one_device


def ltgnn_bpr_step_(
    graph: SupportsCsr,
    tables: LtgnnTables,
    users: Tensor,
    items: Tensor,
    negatives: Tensor,
    counter: Tensor,
    *,
    alpha: float,
    c0: float = 0.0,
    fanout: int,
    seed: int,
    self_loops: bool = False,
    l2: float = 0.0,
    faithful: bool = False,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    row_fanout: Tensor | None = None,
    edge_starts: Tensor | None = None,
) -> Tensor:
    """`ltgnn_forward_`, `bpr_loss` and `ltgnn_update_` on the distinct nodes of a batch of triples.

    On the CPU the same bits as those three on the sorted distinct nodes, on CUDA the same up to rounding. On CUDA
    a few launches without a wait in between, whose sizes depend on the batch size only: a `torch.cuda.CUDAGraph`
    can hold them, and each replay is one more step, since the step number lives in `counter`.

    Args:
        graph: the graph, with the CSR protocol.
        tables: e0, m, v, delta and, where given, z and g are written.
        users, items, negatives: [batch], int64, node numbers (rows of the tables; items come after users).
        counter: [1], int64: steps done; counted up. Adam's step number is what it then says. The neighbours are
            drawn with the seed `mix_seed(seed, counter)`, counter as it was before.
        alpha, c0, fanout, self_loops, row_fanout, edge_starts: as for `ltgnn_forward_`.
        seed: with `counter` it decides what is drawn.
        l2: each occurrence of a row in the batch adds `l2 / batch` to the weight of the row's L2 term.
        faithful, lr, beta1, beta2, eps: as for `ltgnn_update_`.

    Returns:
        Mean BPR loss of the batch, scalar float64, without the L2 term.

    Raises:
        ValueError, IndexError: a shape, dtype, setting or node is wrong. Tables are then as they were (CPU); on
            CUDA triples with a node out of range are left out, and the loss is NaN.

    Complexity: O(batch * fanout * dim).

    Source: Zhang et al., WWW 2024, sections 3.2 and 3.3; Rendle et al., UAI 2009.

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0], [0], num_items=2)
        >>> e0, m, v, delta, total = torch.zeros(5, 3, 1).unbind()
        >>> tables, counter = ltgnn.ops.LtgnnTables(e0, m, v, delta, total), torch.tensor([0])
        >>> u, p, n = torch.tensor([[0], [1], [2]]).unbind()
        >>> loss = ltgnn.ops.ltgnn_bpr_step_(
        ...     graph, tables, u, p, n, counter, alpha=0.5, fanout=1, seed=0, lr=0.1
        ... )
        >>> round(loss.item(), 4), counter.item()
        (0.6931, 1)
    """
    csr = graph.csr(dtype=sums_dtype(tables.e0), self_loops=self_loops, normalized=True)
    with torch.no_grad():  # else torch makes up a gradient function that only warns
        loss: Tensor = torch.ops.ltgnn.ltgnn_bpr_step_(
            csr.indptr, csr.indices, csr.row_scale, users, items, negatives, tables.e0, tables.z,
            tables.delta, tables.history_sum, tables.g, tables.m, tables.v, counter, alpha, c0,
            fanout, seed, self_loops, l2, faithful, lr, beta1, beta2, eps, row_fanout, edge_starts,
        )  # fmt: skip
    return loss


@register_fake("ltgnn_bpr_step_")
def _(indptr: Tensor, indices: Tensor, scale: Any, users: Tensor, items: Tensor,
      negatives: Tensor, e0: Tensor, *others: Any) -> Tensor:  # fmt: skip
    require_one_device(
        "ltgnn_bpr_step_", indptr, indices, scale, users, items, negatives, e0, *others
    )
    return e0.new_empty((), dtype=torch.float64)
