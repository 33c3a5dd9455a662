"""Loads the compiled operators, and remembers what was loaded and why something was not."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import torch

from ltgnn._version import __version__


@dataclass(frozen=True)
class Binary:
    """One compiled module: where it was loaded from, or why it was not."""

    name: str
    path: str | None
    problem: str | None


def _check_version(module: ModuleType) -> None:
    built_from = module.version()
    if built_from != __version__:
        raise ImportError(
            f"{module.__file__} was built from ltgnn {built_from}, but the Python code is "
            f"{__version__}: run `pip install .` again"
        )


def _load_cpu() -> ModuleType:
    try:
        module = importlib.import_module("ltgnn._C")
    except ImportError as error:
        raise ImportError(
            f"ltgnn's compiled operators (ltgnn._C) did not load with torch {torch.__version__} (2.10 or "
            f"later is needed): {error}. Build them with `pip install .` in the source folder"
        ) from error
    _check_version(module)
    return module


def _load_cuda() -> Binary:
    name = "ltgnn._C_cuda"
    if torch.version.cuda is None:
        return Binary(name, None, f"torch {torch.__version__} has no CUDA")
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        return Binary(name, None, f"not built or not loadable: {error}")
    _check_version(module)  # raises: its kernels are registered, and would be used
    return Binary(name, module.__file__, None)


def operators() -> list[str]:
    """The names of all native operators, as `propagate`."""
    names = torch._C._dispatch_get_all_op_names()
    return sorted(name.removeprefix("ltgnn::") for name in names if name.startswith("ltgnn::"))


def has_kernel(operator: str, device: str) -> bool:
    """Whether an operator has a kernel for `device`, "CPU" or "CUDA"."""
    name = f"ltgnn::{operator}"
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(name, device))


def _refuse(operator: str, why: str) -> Callable[..., NoReturn]:
    def refuse(*_arguments: Any, **_named: Any) -> NoReturn:
        raise NotImplementedError(
            f"{operator}: its tensors are on a GPU, but {why}; see `ltgnn doctor`"
        )

    return refuse


def _explain_missing_cuda(binary: Binary) -> torch.library.Library:
    """Where an operator has no CUDA kernel, say why, in place of torch's list of dispatch keys."""
    library = torch.library.Library("ltgnn", "IMPL")
    why = "this operator has no CUDA kernel yet"
    if binary.problem is not None:
        why = f"ltgnn's CUDA operators are missing: {binary.problem}"
    for operator in operators():
        if not has_kernel(operator, "CUDA"):
            library.impl(operator, _refuse(operator, why), "CUDA")
    return library


_C = _load_cpu()
BINARIES: tuple[Binary, ...] = (Binary("ltgnn._C", _C.__file__, None), _load_cuda())
CUDA_KERNELS = frozenset(name for name in operators() if has_kernel(name, "CUDA"))
_refusals = _explain_missing_cuda(BINARIES[1])  # they last as long as this object


def cpu_capability() -> str:
    """What the CPU operators use: 'baseline', 'avx2', 'avx512', 'avx512_bf16' or 'avx512_amx'."""
    return str(_C.cpu_capability())


def release_blocks() -> int:
    """Unmaps the large blocks that the CPU's operators keep for later; returns their bytes."""
    return int(_C.release_blocks())


def build_info() -> dict[str, Any]:
    """What the build chose, as it wrote it down; empty where the file is missing."""
    path = Path(str(_C.__file__)).with_name("_build_info.json")
    return dict(json.loads(path.read_text())) if path.exists() else {}
