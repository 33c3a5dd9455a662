"""propagate through cuSPARSE, the vendor's product: a rival for our kernel, and a second opinion.

The first call with a graph copies its scales into one value for each edge, checks the matrix and makes a
plan of it, for which cuSPARSE prepares itself once for each dim; later calls reuse it. Plans are kept beside
the graph object and freed with it. Work that was queued on several streams, and CUDA graphs that captured a
call, need the graph object until they have run.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ltgnn import _library as _library
from ltgnn.ops.csr import Csr, transpose
from ltgnn.ops.registration import register_autograd, register_fake, require_one_device

_NO_PLAN = 0


_ops: Any = torch.ops.ltgnn


def propagate_cusparse(
    csr: Csr, x: Tensor, *, x0: Tensor | None, alpha: float, self_loops: bool, owner: object
) -> Tensor:
    """`propagate(..., backend="cusparse")`; `owner` is the graph as the caller gave it.

    Raises:
        ValueError: x is not on a GPU, self_loops is on, or a weight needs a gradient.
    """
    if not x.is_cuda:
        raise ValueError(
            f"propagate: backend='cusparse' needs x on a CUDA device, got {x.device}; "
            "use backend='native'"
        )
    if self_loops:
        raise ValueError("propagate: backend='cusparse' has no self_loops; use backend='native'")
    return multiply(csr, x, x0=x0, alpha=alpha, owner=owner)


def multiply(csr: Csr, x: Tensor, *, x0: Tensor | None, alpha: float, owner: object) -> Tensor:
    """The product, by the plans kept beside `owner`."""
    recorded = torch.is_grad_enabled()
    if recorded and csr.weight is not None and csr.weight.requires_grad:
        raise ValueError(
            "propagate: backend='cusparse' has no gradient of weight; use backend='native'"
        )
    # Imported here: what keeps state outside of compiled functions takes torch's compiler along, which would be
    # half of the time that `import ltgnn` takes.
    from ltgnn.ops.cusparse_plans import planned

    a = planned(csr, x.dtype, owner, transposed=False)
    t = None
    if recorded and x.requires_grad:
        t = a if _is_symmetric(csr) else planned(csr, x.dtype, owner, transposed=True)
    transposed = (None, None, None) if t is None else (t.indptr, t.indices, t.values)
    result: Tensor = _ops.propagate_cusparse(
        a.indptr, a.indices, a.values, x, x0, alpha, *transposed, a.plan,
        _NO_PLAN if t is None else t.plan,
    )  # fmt: skip
    return result


def _is_symmetric(csr: Csr) -> bool:
    """Whether the matrix is known to be its own transpose, as that of a `BipartiteGraph` is."""
    return (
        csr.weight is None
        and csr.t_indptr is csr.indptr
        and csr.t_indices is csr.indices
        and csr.row_scale is csr.col_scale
    )


@register_fake("propagate_cusparse")
def _(indptr: Tensor, indices: Tensor, weight: Tensor, x: Tensor, x0: Any, alpha: float, t_indptr: Any,
      t_indices: Any, t_weight: Any, plan: int, t_plan: int) -> Tensor:  # fmt: skip
    require_one_device(
        "propagate_cusparse", indptr, indices, weight, x, x0, t_indptr, t_indices, t_weight
    )
    return x.new_empty((indptr.shape[0] - 1, x.shape[1]))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    indptr, indices, weight, x, x0, alpha, t_indptr, t_indices, t_weight, plan, t_plan = inputs
    ctx.save_for_backward(indptr, indices, weight, t_indptr, t_indices, t_weight)
    ctx.alpha, ctx.plans, ctx.num_cols = alpha, (plan, t_plan), x.shape[0]


def _backward(ops: Any, ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    indptr, indices, weight, t_indptr, t_indices, t_weight = ctx.saved_tensors
    plan, t_plan = ctx.plans
    if ctx.needs_input_grad[2]:
        raise NotImplementedError(
            "propagate_cusparse: weight has no gradient; use propagate instead"
        )
    grad_x = grad_x0 = None
    if ctx.needs_input_grad[3]:
        if t_indptr is None or t_indices is None or t_weight is None:
            t_indptr, t_indices, t_perm = transpose(indptr, indices, ctx.num_cols)
            t_weight, t_plan = weight[t_perm], _NO_PLAN
        grad_x = ops.propagate_cusparse(
            t_indptr,
            t_indices,
            t_weight,
            grad,
            None,
            ctx.alpha,
            indptr,
            indices,
            weight,
            t_plan,
            plan,
        )
    if ctx.needs_input_grad[4]:
        grad_x0 = ctx.alpha * grad
    return None, None, None, grad_x, grad_x0, *([None] * 6)


register_autograd("propagate_cusparse", _backward, _setup_context)
