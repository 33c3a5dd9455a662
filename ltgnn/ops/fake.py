"""Shared by the operators' fake implementations (for torch.compile and meta tensors)."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def require_one_device(op: str, *arguments: Any) -> None:
    """Raise where the tensors among an operator's arguments are on several devices.

    A meta tensor among real ones sends the call to the fake, whose answer would be memory that
    nobody wrote.

    Raises:
        ValueError: two tensors are on different devices.
    """
    devices = {argument.device for argument in arguments if isinstance(argument, Tensor)}
    if len(devices) > 1:
        names = " and ".join(sorted(map(str, devices)))
        raise ValueError(f"{op}: all tensors must be on the same device, got {names}")
