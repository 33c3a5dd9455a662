"""What an operator needs beside its kernels: the fake (for torch.compile and meta tensors) and its derivative.

They are kept by operator name, so that a second library with the same schemas gets the same ones: the tests
have one, whose kernels are the CUDA kernels run on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])

_fakes: dict[str, Callable[..., Any]] = {}
_derivatives: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {}


def register_fake(op: str) -> Callable[[Function], Function]:
    """Decorate the function that gives an operator's results without their values."""

    def register(function: Function) -> Function:
        _fakes[op] = function
        torch.library.register_fake(f"ltgnn::{op}", function)
        return function

    return register


def register_autograd(
    op: str, backward: Callable[..., Any], setup_context: Callable[..., Any]
) -> None:
    """Register `backward(ops, ctx, *gradients)`; `ops` is the library whose operators it may call."""
    _derivatives[op] = backward, setup_context
    _register_autograd("ltgnn", op)


def register_library(library: str) -> None:
    """Give the operators of another library, with the same schemas, the same fakes and derivatives."""
    for op, function in _fakes.items():
        torch.library.register_fake(f"{library}::{op}", function)
    for op in _derivatives:
        _register_autograd(library, op)


def _register_autograd(library: str, op: str) -> None:
    backward, setup_context = _derivatives[op]
    bound = partial(backward, getattr(torch.ops, library))
    torch.library.register_autograd(f"{library}::{op}", bound, setup_context=setup_context)


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
