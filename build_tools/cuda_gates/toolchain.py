"""Runs nvcc, nvdisasm, c++filt and NVIDIA's occupancy calculation over the kernels."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from build_tools.cuda import Toolkit, find_toolkit, library_headers, wheel_folders
from build_tools.cuda_gates.parse import (
    THIRD_PARTY,
    Code,
    Resources,
    parse_ptxas,
    parse_sass,
    short_name,
)

ROOT = Path(__file__).resolve().parents[2]
NVCC_FLAGS = ("-std=c++20", "-O3", "-Werror", "all-warnings", "-Xptxas=-v", f"-I{ROOT / 'csrc'}")


class Missing(RuntimeError):
    """A tool that the gates need is not installed."""


@dataclass(frozen=True)
class Kernel:
    """One kernel of one file, compiled for one architecture."""

    architecture: str  # "sm_90"
    file: str  # "propagate.cu"
    name: str  # "propagate_kernel<float, int64, 4>"
    resources: Resources
    code: Code

    @property
    def key(self) -> str:
        """How the table names it."""
        return f"{self.file}: {self.name}"

    @property
    def third_party(self) -> bool:
        """Whether it comes from a library's header and is not ours to change."""
        return self.name.split("::", 1)[0] in THIRD_PARTY


def _toolkit() -> Toolkit:
    found = find_toolkit()
    if found is None:
        raise Missing("nvcc was not found (in CUDA_HOME, on PATH, or as a PyPI package)")
    return found


def _nvdisasm() -> str:
    """The toolkit's, else the one on PATH, else that of the PyPI package in this environment."""
    folders = [_toolkit().home, *wheel_folders()]
    places = os.pathsep.join(str(folder / "bin") for folder in folders)
    found = shutil.which("nvdisasm", path=places) or shutil.which("nvdisasm")
    if found is None:
        raise Missing("nvdisasm was not found: pip install nvidia-cuda-nvdisasm")
    return found


def missing_tools() -> str | None:
    """What has to be installed before the gates can run, in words; None where nothing is missing."""
    try:
        _nvdisasm()
    except Missing as problem:
        return str(problem)
    absent = [tool for tool in ("c++", "c++filt") if shutil.which(tool) is None]
    return f"{absent[0]} was not found" if absent else None


def nvcc_version() -> str:
    """As "13.0.88"."""
    return _toolkit().version


def _run(command: list[str], stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done


def _measure_file(path: str, architectures: list[str], scratch: Path) -> list[Kernel]:
    source = ROOT / path
    folder = scratch / source.stem
    folder.mkdir()
    includes = library_headers(_toolkit(), folder)
    if "<cusparse.h>" in source.read_text() and not (
        includes or (_toolkit().home / "include" / "cusparse.h").exists()
    ):
        return []  # a library's calls, no kernel of ours, and the library is not here
    numbers = [architecture.removeprefix("sm_") for architecture in architectures]
    targets = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in numbers]
    # Compiled whole, for the host too, which finds errors of its own; the cubins are kept on the way.
    compiled = _run(
        [
            str(_toolkit().home / "bin" / "nvcc"), "-c", *targets, *NVCC_FLAGS,
            *[f"-I{include}" for include in includes], "-keep",
            "-keep-dir", str(folder), str(source), "-o", str(folder / "object.o"),
        ]
    )  # fmt: skip
    resources = parse_ptxas(compiled.stdout + compiled.stderr)
    if not resources:  # a file without kernels
        return []
    code = {
        (f"sm_{number}", symbol): found
        for number in numbers
        for symbol, found in parse_sass(
            _run([_nvdisasm(), str(folder / f"{source.stem}.compute_{number}.cubin")]).stdout
        ).items()
    }
    symbols = "\n".join(symbol for _, symbol in resources)
    names = map(short_name, _run(["c++filt"], symbols + "\n").stdout.splitlines())
    kernels = [
        Kernel(key[0], source.name, name, resources[key], code[key])
        for key, name in zip(resources, names, strict=True)
    ]
    ours = [f"{k.architecture} {k.key}" for k in kernels if not k.third_party]
    if len(set(ours)) != len(ours):
        twice = sorted({key for key in ours if ours.count(key) > 1})
        raise RuntimeError(f"kernels that the table cannot tell apart: {', '.join(twice)}")
    return kernels


def measure(paths: Iterable[str], architectures: list[str], jobs: int) -> list[Kernel]:
    """Compile every file and read the results, ordered by architecture, file and kernel."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        parts = pool.map(lambda path: _measure_file(path, architectures, Path(folder)), paths)
        return sorted((k for part in parts for k in part), key=lambda k: (k.architecture, k.key))


def resident_warps(kernels: list[Kernel], launches: list[tuple[int, int]]) -> list[int]:
    """Warps that a processor holds at once, for each kernel started with (threads, dynamic shared bytes)."""
    lines = []
    for kernel, (threads, shared) in zip(kernels, launches, strict=True):
        number = int(kernel.architecture.removeprefix("sm_"))
        r = kernel.resources
        lines.append(
            f"{number // 10} {number % 10} {r.registers} {r.shared} {shared} {threads} {r.barriers}"
        )
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "occupancy"
        source = Path(__file__).with_name("occupancy.cpp")
        include = ["-isystem", str(_toolkit().home / "include")]
        _run(["c++", "-std=c++17", "-O1", *include, str(source), "-o", str(program)])
        return [int(word) for word in _run([str(program)], "\n".join(lines) + "\n").stdout.split()]
