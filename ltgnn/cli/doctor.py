"""`ltgnn doctor`: what is installed, what was loaded, and why something is not used."""

from __future__ import annotations

import ctypes
import importlib.metadata
import platform
from pathlib import Path

import torch
from jsonargparse import ArgumentParser, Namespace

from ltgnn import __version__, _library

HELP = "tell what is installed, what is used, and why something is not"

REQUIREMENTS = ("torch", "numpy", "scipy", "safetensors", "tqdm", "jsonargparse")


def build_parser() -> ArgumentParser:
    """The command has no flags."""
    return ArgumentParser(description=HELP)


def driver_state() -> str:
    """The NVIDIA driver, as the operators would meet it."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "none: libcuda.so.1 was not found"
    version = ctypes.c_int()
    if driver.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return "libcuda.so.1 is there, but tells no version"
    return f"for CUDA up to {version.value // 1000}.{version.value % 1000 // 10}"


def loaded_library(name: str) -> str:
    """Where a shared library of this process came from, or that it is not loaded."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    paths = {line.split(maxsplit=5)[5] for line in lines if f"/{name}.so" in line}
    return ", ".join(sorted(paths)) or "not loaded"


def cuda_kernels() -> str:
    """How many operators can run on a GPU, and which cannot."""
    everything = set(_library.operators())
    missing = sorted(everything - _library.CUDA_KERNELS)
    count = f"{len(_library.CUDA_KERNELS)} of {len(everything)} operators"
    return f"{count}; not {', '.join(missing)}" if _library.CUDA_KERNELS and missing else count


def runs_on(capability: tuple[int, int], architectures: str) -> bool:
    """Whether code built for a TORCH_CUDA_ARCH_LIST runs on a GPU of this compute capability.

    Machine code runs on its own and on later minor versions; with +PTX on every later version too.
    """
    for word in architectures.replace(";", " ").split():
        number, _, ptx = word.rstrip("a").partition("+")
        major, _, minor = number.partition(".")
        if not (major.isdigit() and minor.isdigit()):
            return True  # a name, as "Hopper": torch knew it, we do not
        built = (int(major), int(minor))
        if capability >= built and (capability[0] == built[0] or ptx == "PTX"):
            return True
    return False


def cuda_state() -> str:
    """Why CUDA operators can or cannot run here."""
    binary = _library.BINARIES[1]
    if binary.problem is not None:
        return f"not used: {binary.problem}"
    if not torch.cuda.is_available():
        return "not used: the operators are loaded, but torch finds no GPU or no driver"
    architectures = str(_library.build_info().get("cuda_architectures") or "")
    devices = []
    for k in range(torch.cuda.device_count()):
        capability = torch.cuda.get_device_capability(k)
        name = (
            f"{torch.cuda.get_device_name(k)} (compute capability {capability[0]}.{capability[1]})"
        )
        if architectures and not runs_on(capability, architectures):
            name += f", but ltgnn was built for {architectures} only: set TORCH_CUDA_ARCH_LIST and build again"
        devices.append(name)
    return "used: " + "; ".join(devices)


def facts() -> dict[str, str]:
    """Name and value, one line each."""
    build = _library.build_info()
    result = {
        "ltgnn": __version__,
        "python": f"{platform.python_version()} on {platform.platform()}",
        **{name: importlib.metadata.version(name) for name in REQUIREMENTS},
    }
    for binary in _library.BINARIES:
        result[binary.name] = binary.path or f"not loaded: {binary.problem}"
    result |= {
        "built against": f"torch {build.get('torch', 'unknown')}",
        "cuda build": f"{'yes' if build.get('cuda') else 'no'}: {build.get('cuda_reason', 'unknown')}",
        "instruction set": f"{_library.cpu_capability()} (LTGNN_CPU_CAPABILITY lowers it)",
        "threads": f"{torch.get_num_threads()} (--threads, or OMP_NUM_THREADS)",
        "cuda": cuda_state(),
        "cuda operators": cuda_kernels(),
        "cuda architectures": build.get("cuda_architectures") or "none",
        "cuda driver": driver_state(),
        "cusparse": loaded_library("libcusparse"),
    }
    return result


def run(args: Namespace) -> None:
    """The command."""
    lines = facts()
    width = max(len(name) for name in lines)
    for name, value in lines.items():
        print(f"{name:<{width}}  {value}")
