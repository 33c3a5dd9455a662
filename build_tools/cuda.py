"""Decides whether _C_cuda is built, and finds the toolkit's and torch's halves of CUDA for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

DEFAULT_ARCHITECTURES = "8.0;9.0+PTX"


@dataclass(frozen=True)
class CudaPlan:
    """Whether to build for CUDA, why, and with which extra folders."""

    build: bool
    reason: str
    include_dirs: list[str] = field(default_factory=list)
    library_dirs: list[str] = field(default_factory=list)
    nvcc: str | None = None  # "13.0.88"


@dataclass(frozen=True)
class Toolkit:
    """The CUDA toolkit that nvcc belongs to."""

    home: Path
    version: str  # "13.0.88"


def wheel_folders() -> list[Path]:
    """Folders of NVIDIA's PyPI packages: those that torch asks for bring headers and libraries, but no nvcc.

    `nvidia/cu13` for all of CUDA 13; `nvidia/cusparse`, `nvidia/cuda_runtime` and so on for CUDA 12.
    """
    roots = {Path(sysconfig.get_path(key)) for key in ("purelib", "platlib")}
    major = None
    with suppress(ImportError):  # the gates need no torch
        import torch

        roots.add(Path(torch.__file__).resolve().parent.parent)
        major = (torch.version.cuda or "").partition(".")[0]
    folders = [folder for root in sorted(roots) for folder in sorted(root.glob("nvidia/cu*"))]
    return of_major(folders, major) if major else folders


def of_major(folders: list[Path], major: str) -> list[Path]:
    """Those of one CUDA: pip leaves the wheels of an earlier torch's where they are."""
    whole = [folder for folder in folders if folder.name == f"cu{major}"]
    return whole or [folder for folder in folders if not folder.name[2:].isdigit()]


def _linked(targets: list[tuple[str, Path]], folder: Path) -> str:
    """A folder of links, (name, target) each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in targets:
        link = folder / name
        if link.is_symlink() or link.exists():
            link.unlink()
        link.symlink_to(target)
    return str(folder)


@cache
def find_toolkit() -> Toolkit | None:
    """CUDA_HOME's, else that of the nvcc on PATH, else that of the PyPI package nvidia-cuda-nvcc.

    nvcc is asked where it lives: what lies on PATH may be a link or a script that calls it.
    """
    homes = [os.environ.get(key) for key in ("CUDA_HOME", "CUDA_PATH")]
    candidates = [str(Path(home) / "bin" / "nvcc") for home in homes if home]
    candidates += [found] if (found := shutil.which("nvcc")) else []
    candidates += [str(folder / "bin" / "nvcc") for folder in wheel_folders()]
    for nvcc in candidates:
        if not os.access(nvcc, os.X_OK):
            continue
        answer = subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout
        version = re.search(r"release [\d.]+, V([\d.]+)", answer)
        if version is None:
            continue
        command = [nvcc, "--dryrun", "-c", "-x", "cu", os.devnull, "-o", os.devnull]
        shown = subprocess.run(command, capture_output=True, text=True).stderr
        top = re.search(r"^#\$ TOP=(.+)$", shown, re.MULTILINE)
        home = Path(top[1]) if top else Path(nvcc).parent.parent
        return Toolkit(home.resolve(), version[1])
    return None


def _problem(torch_version: str, torch_cuda: str | None, toolkit: Toolkit | None) -> str | None:
    """Why there can be no CUDA build, or None."""
    if torch_cuda is None:
        return f"torch {torch_version} has no CUDA"
    if toolkit is None:
        return (
            "nvcc was not found (in CUDA_HOME, on PATH, or from the PyPI packages nvidia-cuda-nvcc, "
            "nvidia-cuda-crt, nvidia-nvvm and nvidia-cuda-cccl)"
        )
    if toolkit.version.split(".")[0] != torch_cuda.split(".")[0]:
        return f"nvcc is of CUDA {toolkit.version}, but torch was built for CUDA {torch_cuda}"
    return None


def library_headers(toolkit: Toolkit, scratch: Path) -> list[str]:
    """Folders of the headers that the toolkit lacks, from torch's wheels.

    Only single headers are taken: a whole folder of another minor version before nvcc's own would mix
    the two.
    """
    include_dirs = []
    for folder in wheel_folders():
        headers = [
            (name, folder / "include" / name)
            for name in ("cusparse.h", "cusparse_v2.h")
            if (folder / "include" / name).exists()
            and not (toolkit.home / "include" / name).exists()
        ]
        if headers:
            include_dirs.append(_linked(headers, scratch / "cuda-headers"))
    return include_dirs


def linkable_libraries(scratch: Path) -> list[str]:
    """Folders of the libraries to link with, from torch's wheels, which torch loads at run time.

    Wheels have only versioned names, which -lcusparse does not find.
    """
    library_dirs = []
    for folder in wheel_folders():
        libraries = [
            (f"{name}.so", path)
            for name in ("libcusparse", "libcudart")
            for path in sorted((folder / "lib").glob(f"{name}.so.*"))
        ]
        if libraries:
            library_dirs.append(_linked(libraries, scratch / "cuda-libraries"))
    return library_dirs


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

    toolkit = find_toolkit() if torch.version.cuda is not None else None
    problem = _problem(torch.__version__, torch.version.cuda, toolkit)
    if problem is not None or toolkit is None:
        if wish == "1":
            raise RuntimeError(f"LTGNN_CUDA=1, but {problem}")
        return CudaPlan(False, str(problem))

    # torch's build guesses from PATH alone; what we found is what it shall run.
    os.environ["CUDA_HOME"] = cpp_extension.CUDA_HOME = str(toolkit.home)
    os.environ.setdefault("TORCH_CUDA_ARCH_LIST", DEFAULT_ARCHITECTURES)
    include_dirs = library_headers(toolkit, scratch)
    library_dirs = linkable_libraries(scratch)
    reason = f"torch has CUDA {torch.version.cuda}, nvcc is {toolkit.version} in {toolkit.home}"
    return CudaPlan(True, reason, include_dirs, library_dirs, toolkit.version)
