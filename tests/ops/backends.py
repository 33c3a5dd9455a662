"""Where an operator's case runs: CPU kernels, CUDA kernels emulated on the CPU, CUDA kernels on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import emulation
import pytest
import torch
from ops.op_cases import CASES, Arguments, OpCase
from torch import Tensor

BACKENDS = ("cpu", "emu", "cuda")


def parameters(*values: Any, case: OpCase, name: str) -> list[Any]:
    """A pytest parameter set (backend, case, *values) for each backend that the case runs on."""
    return [
        pytest.param(
            backend, case, *values, id=f"{backend}-{name}",
            marks=[getattr(pytest.mark, backend)] if backend != "cpu" else [],
        )
        for backend in BACKENDS
        if backend in case.backends
    ]  # fmt: skip


def everywhere(cases: Iterable[OpCase] = CASES) -> list[Any]:
    """Every case on each of its backends."""
    return [parameter for case in cases for parameter in parameters(case=case, name=case.label)]


def operator(case: OpCase, backend: str) -> Any:
    """The operator whose kernels run there."""
    if backend == "emu":
        emulation.load()
    return getattr(getattr(torch.ops, "ltgnn_emu" if backend == "emu" else "ltgnn"), case.name)


def placed(arguments: Arguments, backend: str) -> Arguments:
    """The arguments on the backend's device."""
    device = "cuda" if backend == "cuda" else "cpu"
    return {k: v.to(device) if isinstance(v, Tensor) else v for k, v in arguments.items()}


def native(case: OpCase, arguments: Arguments, backend: str) -> list[Tensor]:
    """Results, then mutated tensors, on the CPU. Emulated, under every schedule, with the same bits."""
    call: Callable[..., Any] = operator(case, backend)
    if backend != "emu":
        return [t.cpu() for t in case.call(call, placed(arguments, backend))]
    results = [case.call(call, arguments) for _ in emulation.schedules()]
    for other in results[1:]:
        assert same_bits(results[0], other), "the order of threads changes the result"
    return results[0]


def same_bits(a: list[Tensor], b: list[Tensor]) -> bool:
    """Every tensor equals its counterpart, NaN for NaN."""

    def raw(tensor: Tensor) -> Tensor:
        flat = tensor.reshape(-1)
        return flat.view(torch.uint8) if flat.numel() else flat

    return all(torch.equal(raw(x), raw(y)) for x, y in zip(a, b, strict=True))
