"""propagate through cuSPARSE, the vendor's product: a rival for our kernel, and a second opinion."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ltgnn import _library as _library
from ltgnn.ops.csr import Csr
from ltgnn.ops.registration import register_fake


def propagate_cusparse(
    csr: Csr, x: Tensor, *, x0: Tensor | None, alpha: float, self_loops: bool
) -> Tensor:
    """`propagate(..., backend="cusparse")`: forward only, with one explicit value for each edge.

    Raises:
        ValueError: x is not on a GPU, needs a gradient, or self_loops is on.
    """
    if not x.is_cuda:
        raise ValueError(
            f"propagate: backend='cusparse' needs x on a CUDA device, got {x.device}; "
            "use backend='native'"
        )
    if self_loops or (torch.is_grad_enabled() and x.requires_grad):
        what = "self_loops" if self_loops else "gradients"
        raise ValueError(f"propagate: backend='cusparse' has no {what}; use backend='native'")
    values = csr.weight
    if values is None:
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        values = torch.ones(len(csr.indices), dtype=dtype, device=x.device)
    if csr.row_scale is not None:
        values = values * csr.row_scale.repeat_interleave(csr.indptr.diff())
    if csr.col_scale is not None:
        values = values * csr.col_scale[csr.indices.to(torch.int64)]
    result: Tensor = torch.ops.ltgnn.propagate_cusparse(
        csr.indptr, csr.indices, values, x, x0, alpha
    )
    return result


@register_fake("propagate_cusparse")
def _(indptr: Tensor, indices: Tensor, weight: Tensor, x: Tensor, x0: Any, alpha: float) -> Tensor:
    return x.new_empty((indptr.shape[0] - 1, x.shape[1]))
