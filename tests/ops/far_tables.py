"""Arrays of any size that take no memory, and the operators that are run on them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import emulation
import pytest
import torch
from torch import Tensor

both = pytest.mark.parametrize("backend", ["cpu", pytest.param("emu", marks=pytest.mark.emu)])


def operators(backend: str) -> Any:
    """The operators of the CPU, or of the emulation."""
    if backend == "emu":
        emulation.load()
    return torch.ops.ltgnn_emu if backend == "emu" else torch.ops.ltgnn


def sparse_zeros(folder: Path, elements: int, dtype: torch.dtype) -> Tensor:
    """Zeros of any number, from a sparse file of their own that goes when they do.

    What nobody wrote reads as zero and occupies nothing.
    """
    handle, path = tempfile.mkstemp(dir=folder)
    try:
        os.truncate(handle, elements * dtype.itemsize)
        return torch.from_file(path, shared=True, size=elements, dtype=dtype)
    finally:
        os.close(handle)
        os.unlink(path)
