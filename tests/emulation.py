"""The CUDA kernels run on the CPU (csrc/emu) as operators `torch.ops.ltgnn_emu`: built once, loaded, steered."""

from __future__ import annotations

import ctypes
import fcntl
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch

from ltgnn.ops.registration import register_library

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = "ltgnn_emu"
# (order, seed) as csrc/emu/control.cpp takes them: threads in order, in reverse, shuffled twice.
SCHEDULES = ((0, 0), (1, 0), (2, 1), (2, 2))


def build(folder: Path, target: str, *options: str) -> Path:
    """Build one target of CMakeLists.txt, or find it built; raises with the compiler's words."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several pytest workers may want it at once
        for command in (
            ["cmake", "-G", "Ninja", "-S", str(ROOT), "-B", str(folder), *options],
            ["cmake", "--build", str(folder), "--target", target],
        ):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return folder


@cache
def load() -> ctypes.CDLL:
    """Build and load the library, and give its operators fakes and derivatives."""
    path = os.environ.get("LTGNN_EMU_LIBRARY")
    if path is None:
        torch_folder = Path(torch.__file__).parent
        folder = ROOT / "build" / "emu-ops"
        build(
            folder, "ltgnn_emu_ops", f"-DLTGNN_TORCH={torch_folder}", "-DCMAKE_BUILD_TYPE=Release"
        )
        path = str(folder / "libltgnn_emu_ops.so")
    torch.ops.load_library(path)
    register_library(LIBRARY)
    library = ctypes.CDLL(path)
    library.ltgnn_emu_set_schedule.argtypes = [ctypes.c_int, ctypes.c_ulonglong]
    return library


def schedules() -> Iterator[None]:
    """Goes through the schedules, and back to thread order."""
    library = load()
    for order, seed in SCHEDULES:
        library.ltgnn_emu_set_schedule(order, seed)
        yield
    library.ltgnn_emu_set_schedule(0, 0)
