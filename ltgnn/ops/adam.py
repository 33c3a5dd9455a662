"""adam_: Adam on a whole table, or lazily on the rows that a batch touched."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ltgnn import _library as _library
from ltgnn.ops.registration import register_fake, require_one_device


def adam_(
    param: Tensor,
    m: Tensor,
    v: Tensor,
    grad: Tensor,
    *,
    step: int,
    lr: float,
    rows: Tensor | None = None,
    l2: Tensor | None = None,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> None:
    """One step of Adam (Kingma and Ba, ICLR 2015), in place.

    With `rows`, only those rows and their moments change (lazy Adam, as torch.optim.SparseAdam).

    Args:
        param, m, v: [num_rows, dim], float32, float64 or bfloat16, contiguous; written. Of one dtype, but m and v
            may be bfloat16 beside a float32 param. What is stored in bfloat16 is rounded stochastically, with bits
            that follow from step, row and column; see csrc/core/rounding.h.
        grad: [num_rows, dim], or [len(rows), dim]; float32 for bfloat16.
        step: the number of this step, from 1; it sets the bias correction.
        lr: learning rate, not negative.
        rows: [num_touched], int64, distinct (repeated rows give an undefined result).
        l2: [number of grad's rows]: `l2 * param` is added to each row's gradient.
        beta1, beta2, eps: Adam's constants.

    Raises:
        ValueError, IndexError: a shape, dtype, constant or row is wrong.

    Complexity: O(rows * dim).

    Example:
        >>> import torch, ltgnn
        >>> p, m, v = torch.ones(2, 1), torch.zeros(2, 1), torch.zeros(2, 1)
        >>> ltgnn.ops.adam_(p, m, v, torch.ones(1, 1), step=1, lr=0.5, rows=torch.tensor([1]))
        >>> p.flatten()
        tensor([1.0000, 0.5000])
    """
    torch.ops.ltgnn.adam_(param, m, v, grad, rows, l2, step, lr, beta1, beta2, eps)


@register_fake("adam_")
def _(*arguments: Any) -> None:
    require_one_device("adam_", *arguments)
