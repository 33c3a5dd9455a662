"""Ids of one side of a graph, as callers give them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor


def checked_ids(
    name: str, ids: npt.ArrayLike | Tensor, size: int | None
) -> tuple[npt.NDArray[Any], int]:
    """Check one side's ids and settle its size."""
    array = np.asarray(ids.cpu() if isinstance(ids, Tensor) else ids)
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, got {array.ndim}-D")
    if len(array) and not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} must be integers, got {array.dtype}")
    if len(array) == 0:
        array = array.astype(np.int32)
    low, high = (int(array.min()), int(array.max())) if len(array) else (0, -1)
    if size is None:
        size = high + 1
    if size < 0:
        raise ValueError(f"num_{name} must not be negative, got {size}")
    if low < 0 or high >= size:
        raise IndexError(f"{name} must be in [0, {size}), got {low if low < 0 else high}")
    return array, size
