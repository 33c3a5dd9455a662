"""Reads the interactions and user ids that callers of the evaluation hand in."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["CSR", "read_csr", "read_users", "take_rows"]

#: [users, items] interactions: a pair (indptr, indices) of tensors or arrays, a scipy CSR matrix,
#: or any object with attributes ``indptr`` and ``indices``. Values are not read.
CSR = Any


def _as_tensor(values: Any) -> Tensor:
    # torch.tensor copies, so a read-only (memory-mapped) array is welcome.
    if isinstance(values, Tensor):
        return values.cpu()
    # torch would make float32 of an empty list.
    return torch.tensor(values, dtype=torch.int64 if np.size(values) == 0 else None)


def read_users(users: Any, num_users: int) -> Tensor:
    """Distinct user ids, int64 on the CPU."""
    if users is None:
        return torch.arange(num_users)
    ids = _as_tensor(users)
    if ids.numel() == 0:
        return torch.empty(0, dtype=torch.int64)
    if ids.dim() != 1 or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise ValueError(f"evaluate: users must be 1-D ids, got {ids.dim()}-D {ids.dtype}")
    ids = ids.long()
    if int(ids.min()) < 0 or int(ids.max()) >= num_users:
        bad = int(ids.min()) if int(ids.min()) < 0 else int(ids.max())
        raise IndexError(f"evaluate: users must be in [0, {num_users}), got {bad}")
    if len(torch.unique(ids)) != len(ids):
        raise ValueError("evaluate: users must be distinct, got a repeated id")
    return ids


def read_csr(name: str, csr: CSR, num_users: int, num_items: int) -> tuple[Tensor, Tensor]:
    """Validated (indptr, indices), int64 on the CPU."""
    shape = getattr(csr, "shape", None)
    if hasattr(csr, "tocsr"):  # scipy, whatever its layout
        csr = csr.tocsr()
    if hasattr(csr, "indptr") and hasattr(csr, "indices"):
        csr = (csr.indptr, csr.indices)
        if shape is not None and tuple(shape) != (num_users, num_items):
            raise ValueError(
                f"evaluate: {name} must be [{num_users}, {num_items}], got {list(shape)}"
            )
    if not (isinstance(csr, tuple | list) and len(csr) == 2):
        raise TypeError(
            f"evaluate: {name} must be a pair (indptr, indices) or a CSR matrix, "
            f"got {type(csr).__name__}"
        )
    indptr, indices = (_as_tensor(part) for part in csr)
    for part, tensor in (("indptr", indptr), ("indices", indices)):
        if tensor.dtype not in (torch.int32, torch.int64):
            raise TypeError(f"evaluate: {name} {part} must be int32 or int64, got {tensor.dtype}")
        if tensor.dim() != 1:
            raise ValueError(f"evaluate: {name} {part} must be 1-D, got {tensor.dim()}-D")
    indptr, indices = indptr.long(), indices.long()
    if len(indptr) != num_users + 1:
        raise ValueError(
            f"evaluate: {name} indptr must have {num_users + 1} entries, got {len(indptr)}"
        )
    first, last = int(indptr[0]), int(indptr[-1])
    if first != 0 or last != len(indices) or bool((indptr[1:] < indptr[:-1]).any()):
        raise ValueError(
            f"evaluate: {name} indptr must rise from 0 to {len(indices)} without falling, "
            f"got first {first}, last {last}"
        )
    if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= num_items):
        bad = int(indices.min()) if int(indices.min()) < 0 else int(indices.max())
        raise IndexError(f"evaluate: {name} items must be in [0, {num_items}), got {bad}")
    return indptr, indices


def take_rows(csr: tuple[Tensor, Tensor], users: Tensor) -> tuple[Tensor, Tensor]:
    """CSR rows of the given users, in their order."""
    indptr, indices = csr
    begin, degrees = indptr[users], indptr[users + 1] - indptr[users]
    taken = torch.cat([torch.zeros(1, dtype=torch.int64), degrees.cumsum(0)])
    places = torch.arange(int(taken[-1])) + (begin - taken[:-1]).repeat_interleave(degrees)
    return taken, indices[places]
