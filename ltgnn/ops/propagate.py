"""propagate: one step of neighbourhood propagation, the operator under every model here."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from ltgnn import _library as _library  # registers the operators
from ltgnn.ops.csr import GraphLike, as_csr, inverse_permutation, transpose
from ltgnn.ops.low_rank import LowRank, low_rank_propagate
from ltgnn.ops.propagate_cusparse import propagate_cusparse
from ltgnn.ops.registration import register_autograd, register_fake, require_one_device


def propagate(
    graph: GraphLike | LowRank,
    x: Tensor,
    *,
    x0: Tensor | None = None,
    alpha: float = 0.0,
    weight: Tensor | None = None,
    self_loops: bool = False,
    out: Tensor | None = None,
    backend: Literal["auto", "native", "cusparse"] = "auto",
) -> Tensor:
    """Compute `(1 - alpha) A x + alpha x0`.

    For a `BipartiteGraph`, A is the symmetrically normalised adjacency `D^-1/2 A D^-1/2` over users then
    items (with `self_loops`: of `A + I`), applied from the degrees without storing a value for each edge. For
    a torch or scipy CSR matrix A is that matrix with its own values. One step of personalised PageRank
    propagation (Gasteiger et al., ICLR 2019), and LightGCN's layer where alpha is 0.

    Args:
        graph: `BipartiteGraph`, 2-D `torch.sparse_csr` tensor, or scipy sparse matrix; [num_rows, num_cols]. Or a
            `LowRank`, which stands for such a matrix: of x's dtype, float32 or float64, and without weight,
            self_loops and backend.
        x: [num_cols, dim], float32, float64, bfloat16 or float16 (sums of 16-bit types are held in float32);
            any row stride.
        x0: [num_rows, dim], same dtype; nothing is added where it is None.
        alpha: teleport probability, in [0, 1].
        weight: [num_edges] in the order of the graph's edges; replaces normalisation and stored values.
            float32, or float64 where x is.
        self_loops: add the identity to A; the graph must be square.
        out: [num_rows, dim], contiguous, written and returned; then no gradient is recorded. It may be x0, else
            shares no memory with x or x0, and is not for 'cusparse'. It saves the memory of a result, and
            its page faults where results do not take the place of others (see `release_memory`).
        backend: 'native' is our kernel on every device. 'cusparse' is NVIDIA's, for x on a GPU, forward and
            backward, differentiable in x and x0: it keeps one value for each edge (rounded to the dtype of x) and
            a plan beside the graph from the first call on, and has no self_loops and no gradient of weight.
            'auto' is native in both directions: it reads no value for each edge, mixes in x0 in the same pass,
            and checks the graph in every call, where cuSPARSE trusts what was checked when the plan was made.

    Returns:
        [num_rows, dim], dtype of x. Differentiable in x, x0 and weight.

    Raises:
        ValueError: a shape, dtype, device, alpha, out, backend or a row pointer is wrong.
        IndexError: an index of the graph is out of range. On a GPU this and a bad row pointer come with a later
            call, or with this one where LTGNN_CUDA_CHECK=1.
        TypeError: graph is of another kind, or x is not a tensor.
        NotImplementedError: x is on a GPU, and ltgnn was built without CUDA.

    Complexity: O(num_edges * dim); of a `LowRank` O((num_rows + num_cols) * rank * dim). The same bits for any
        number of threads.

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0, 0, 1], [0, 1, 1])
        >>> ltgnn.ops.propagate(graph, torch.ones(4, 2), x0=torch.ones(4, 2), alpha=0.5)[:, 0]
        tensor([1.1036, 0.8536, 0.8536, 1.1036])
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"propagate: x must be a torch.Tensor, got {type(x).__name__}")
    if isinstance(graph, LowRank):
        if weight is not None or self_loops or backend != "auto":
            raise ValueError("propagate: a LowRank has no weight, self_loops and backend")
        return low_rank_propagate(graph, x, x0, float(alpha), out)
    csr = as_csr(
        graph,
        x,
        weight=weight,
        self_loops=self_loops,
        op="propagate",
        ordered=backend != "cusparse",
    )
    if x.dim() == 2 and x.shape[0] != csr.num_cols:
        raise ValueError(
            f"propagate: x must have num_cols = {csr.num_cols} rows, got shape {list(x.shape)}"
        )
    if backend not in ("auto", "native", "cusparse"):
        raise ValueError(
            f"propagate: backend must be 'auto', 'native' or 'cusparse', got {backend!r}"
        )
    if backend == "cusparse":
        if out is not None:
            raise ValueError("propagate: backend='cusparse' has no out=; use backend='native'")
        return propagate_cusparse(
            csr, x, x0=x0, alpha=float(alpha), self_loops=self_loops, owner=graph
        )
    arguments = (
        csr.indptr, csr.indices, csr.weight, csr.row_scale, csr.col_scale, x, x0,
        float(alpha), self_loops,
    )  # fmt: skip
    if out is not None:
        torch.ops.ltgnn.propagate_out(*arguments, out, csr.rows)
        return out
    result: Tensor = torch.ops.ltgnn.propagate(
        *arguments, csr.t_indptr, csr.t_indices, csr.t_perm, csr.rows, csr.t_rows
    )
    return result


@register_fake("propagate")
def _(indptr: Tensor, indices: Tensor, weight: Any, row_scale: Any, col_scale: Any, x: Tensor,
      x0: Any, alpha: float, self_loops: bool, t_indptr: Any, t_indices: Any, t_perm: Any,
      rows: Any = None, t_rows: Any = None) -> Tensor:  # fmt: skip
    require_one_device(
        "propagate", indptr, indices, weight, row_scale, col_scale, x, x0, t_indptr, t_indices,
        t_perm, rows, t_rows,
    )  # fmt: skip
    return x.new_empty((indptr.shape[0] - 1, x.shape[1]))


@register_fake("propagate_out")
def _(*arguments: Any) -> None:
    require_one_device("propagate", *arguments)


@register_fake("edge_dot")
def _(indptr: Tensor, indices: Tensor, row_scale: Any, col_scale: Any, g: Tensor, x: Tensor,
      factor: float) -> Tensor:  # fmt: skip
    require_one_device("edge_dot", indptr, indices, row_scale, col_scale, g, x)
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    return x.new_empty((indices.shape[0],), dtype=dtype)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    indptr, indices, weight, row_scale, col_scale, x, x0, alpha, self_loops, *others = inputs
    ctx.save_for_backward(
        indptr, indices, weight, row_scale, col_scale, x if weight is not None else None, *others
    )  # fmt: skip
    ctx.alpha, ctx.self_loops, ctx.num_cols = alpha, self_loops, x.shape[0]


def _backward(ops: Any, ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    indptr, indices, weight, row_scale, col_scale, x, t_indptr, t_indices, t_perm, rows, t_rows = (
        ctx.saved_tensors
    )
    grad_x = grad_x0 = grad_weight = None
    if ctx.needs_input_grad[5]:
        if t_indptr is None or (weight is not None and t_perm is None):
            t_indptr, t_indices, t_perm = transpose(indptr, indices, ctx.num_cols)
            if rows is not None:  # edges of the transpose come from where the rows are listed
                t_indices, t_rows = rows[t_indices.long()].to(t_indices.dtype), None
        # Only a gradient of this gradient asks for the way back.
        twice = weight is not None and torch.is_grad_enabled()
        # The transposed operator: rows and columns change places, and so do their scales.
        grad_x = ops.propagate(
            t_indptr, t_indices, None if weight is None else weight.index_select(0, t_perm), col_scale, row_scale,
            grad, None, ctx.alpha, ctx.self_loops, indptr, indices,
            inverse_permutation(t_perm) if twice else None, t_rows, rows,
        )  # fmt: skip
    if ctx.needs_input_grad[6]:
        grad_x0 = ctx.alpha * grad
    if ctx.needs_input_grad[2]:
        grad_weight = ops.edge_dot(indptr, indices, row_scale, col_scale, grad, x, 1.0 - ctx.alpha)
    return None, None, grad_weight, None, None, grad_x, grad_x0, *([None] * 7)


register_autograd("propagate", _backward, _setup_context)


def _edge_dot_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    indptr, indices, row_scale, col_scale, g, x, factor = inputs
    ctx.save_for_backward(indptr, indices, row_scale, col_scale, g, x)
    ctx.factor = factor


def _edge_dot_backward(ops: Any, ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    indptr, indices, row_scale, col_scale, g, x = ctx.saved_tensors
    grad_g = grad_x = None
    weight = grad * ctx.factor
    if ctx.needs_input_grad[4]:
        grad_g = ops.propagate(
            indptr, indices, weight, row_scale, col_scale, x, None, 0.0, False, None, None, None
        )
    if ctx.needs_input_grad[5]:
        t_indptr, t_indices, t_perm = transpose(indptr, indices, x.shape[0])
        grad_x = ops.propagate(
            t_indptr, t_indices, weight.index_select(0, t_perm), col_scale, row_scale, g, None, 0.0, False,
            None, None, None,
        )  # fmt: skip
    return None, None, None, None, grad_g, grad_x, None


register_autograd("edge_dot", _edge_dot_backward, _edge_dot_setup)
