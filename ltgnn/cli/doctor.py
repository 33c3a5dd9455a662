"""`ltgnn doctor`: what is installed, what was loaded, and why something is not used."""

from __future__ import annotations

import importlib.metadata
import platform

import torch
from jsonargparse import ArgumentParser, Namespace

from ltgnn import __version__, _library

HELP = "tell what is installed, what is used, and why something is not"

REQUIREMENTS = ("torch", "numpy", "scipy", "safetensors", "tqdm", "jsonargparse")


def build_parser() -> ArgumentParser:
    """The command has no flags."""
    return ArgumentParser(description=HELP)


def cuda_state() -> str:
    """Why CUDA operators can or cannot run here."""
    binary = _library.BINARIES[1]
    if binary.problem is not None:
        return f"not used: {binary.problem}"
    if not torch.cuda.is_available():
        return "not used: the operators are loaded, but torch finds no GPU or no driver"
    return "used: " + ", ".join(
        torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())
    )


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
    }
    return result


def run(args: Namespace) -> None:
    """The command."""
    lines = facts()
    width = max(len(name) for name in lines)
    for name, value in lines.items():
        print(f"{name:<{width}}  {value}")
