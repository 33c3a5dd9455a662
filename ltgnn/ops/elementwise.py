"""Functions of single numbers, and their sums, with the same bits for any number of threads.

Torch cuts a long vector into one piece for each thread, and what is left over at the end of a piece goes through
another exponential than the rest: on the CPU numpy's do, which never cuts.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def exp(x: Tensor) -> Tensor:
    """e^x.

    Example:
        >>> exp(torch.zeros(2))
        tensor([1., 1.])
    """
    return torch.from_numpy(np.exp(x.numpy())) if x.device.type == "cpu" else x.exp()


def log(x: Tensor) -> Tensor:
    """The natural logarithm; -inf for 0.

    Example:
        >>> log(torch.ones(2))
        tensor([0., 0.])
    """
    if x.device.type != "cpu":
        return x.log()
    with np.errstate(divide="ignore"):
        return torch.from_numpy(np.log(x.numpy()))


def log1p(x: Tensor) -> Tensor:
    """log(1 + x).

    Example:
        >>> log1p(torch.zeros(2))
        tensor([0., 0.])
    """
    return torch.from_numpy(np.log1p(x.numpy())) if x.device.type == "cpu" else x.log1p()


def softplus_and_slope(x: Tensor) -> tuple[Tensor, Tensor]:
    """(log(1 + e^x), its derivative 1 / (1 + e^-x)), without overflow on either side.

    Example:
        >>> softplus_and_slope(torch.tensor([0.0, -1e9, 1e9]))
        (tensor([6.9315e-01, 0.0000e+00, 1.0000e+09]), tensor([0.5000, 0.0000, 1.0000]))
    """
    small = exp(-x.abs())
    slope = torch.where(x > 0, 1.0, small) / (1.0 + small)
    return x.clamp(min=0) + log1p(small), slope


def total(values: Tensor) -> Tensor:
    """The sum of a vector from its first entry to its last; 0 for an empty one.

    Example:
        >>> total(torch.tensor([1.0, 2.0]))
        tensor(3.)
    """
    return values.cumsum(0)[-1] if len(values) else values.new_zeros(())
