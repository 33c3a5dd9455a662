"""Decides whether _C_cuda is built, and finds the toolkit's and torch's halves of CUDA for it."""

from __future__ import annotations

import os
import shutil
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_ARCHITECTURES = "8.0;9.0+PTX"


@dataclass(frozen=True)
class CudaPlan:
    """Whether to build for CUDA, why, and with which extra folders."""

    build: bool
    reason: str
    include_dirs: list[str] = field(default_factory=list)
    library_dirs: list[str] = field(default_factory=list)


def _wheel_folders() -> list[Path]:
    """`nvidia/cu*` folders that torch's own wheels installed: headers and libraries, but no nvcc."""
    roots = {Path(sysconfig.get_path(key)) for key in ("purelib", "platlib")}
    import torch

    roots.add(Path(torch.__file__).resolve().parent.parent)
    return [folder for root in sorted(roots) for folder in sorted(root.glob("nvidia/cu[0-9]*"))]


def _linkable(libraries: list[Path], folder: Path) -> str:
    """A folder in which `-lcusparse` finds the wheels' versioned `libcusparse.so.N`."""
    folder.mkdir(parents=True, exist_ok=True)
    for library in libraries:
        link = folder / (library.name.split(".so")[0] + ".so")
        if link.is_symlink() or link.exists():
            link.unlink()
        link.symlink_to(library)
    return str(folder)


def plan_cuda(wish: str, scratch: Path) -> CudaPlan:
    """Decide from LTGNN_CUDA (`auto`, `1`, `0`), torch and nvcc.

    Raises:
        RuntimeError: for `1` where it cannot be done, and for any other word.
    """
    if wish not in ("auto", "1", "0"):
        raise RuntimeError(f"LTGNN_CUDA must be auto, 1 or 0, got {wish!r}")
    if wish == "0":
        return CudaPlan(False, "LTGNN_CUDA=0")
    import torch
    from torch.utils import cpp_extension

    problem = None
    if torch.version.cuda is None:
        problem = f"torch {torch.__version__} has no CUDA"
    elif shutil.which("nvcc") is None and not (
        cpp_extension.CUDA_HOME and (Path(cpp_extension.CUDA_HOME) / "bin" / "nvcc").exists()
    ):
        problem = "nvcc was not found (on PATH or in CUDA_HOME)"
    if problem is not None:
        if wish == "1":
            raise RuntimeError(f"LTGNN_CUDA=1, but {problem}")
        return CudaPlan(False, problem)

    os.environ.setdefault("TORCH_CUDA_ARCH_LIST", DEFAULT_ARCHITECTURES)
    include_dirs, library_dirs = [], []
    for folder in _wheel_folders():
        if (folder / "include" / "cusparse.h").exists():
            include_dirs.append(str(folder / "include"))
        libraries = [
            path
            for name in ("libcusparse", "libcudart")
            for path in sorted((folder / "lib").glob(f"{name}.so.*"))
        ]
        if libraries:
            library_dirs.append(_linkable(libraries, scratch / "cuda-libraries"))
    reason = f"torch has CUDA {torch.version.cuda} and nvcc was found"
    return CudaPlan(True, reason, include_dirs, library_dirs)
