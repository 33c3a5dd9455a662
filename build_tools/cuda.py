"""Decides whether _C_cuda is built, and finds the toolkit's and torch's halves of CUDA for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
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


def _find_nvcc(cuda_home: str | None) -> str | None:
    """The compiler that torch's build will run: CUDA_HOME's, or else the one on PATH."""
    if cuda_home and (Path(cuda_home) / "bin" / "nvcc").exists():
        return str(Path(cuda_home) / "bin" / "nvcc")
    return shutil.which("nvcc")


def _problem(torch_version: str, torch_cuda: str | None, cuda_home: str | None) -> str | None:
    """Why there can be no CUDA build, or None."""
    if torch_cuda is None:
        return f"torch {torch_version} has no CUDA"
    nvcc = _find_nvcc(cuda_home)
    if nvcc is None:
        return "nvcc was not found (on PATH or in CUDA_HOME)"
    answer = subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout
    release = re.search(r"release (\d+)\.(\d+)", answer)
    if release is None:
        return f"{nvcc} --version named no release"
    if release[1] != torch_cuda.split(".")[0]:
        return (
            f"nvcc is of CUDA {release[1]}.{release[2]}, but torch was built for CUDA {torch_cuda}"
        )
    return None


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

    problem = _problem(torch.__version__, torch.version.cuda, cpp_extension.CUDA_HOME)
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
