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
    parse_build_log,
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


def _compile(path: str, architectures: list[str], folder: Path) -> str | None:
    """What nvcc says of one file, its cubins in `folder`; None without the header of a library that it calls."""
    source = ROOT / path
    includes = library_headers(_toolkit(), folder / source.stem)
    if "<cusparse.h>" in source.read_text() and not (
        includes or (_toolkit().home / "include" / "cusparse.h").exists()
    ):
        return None
    numbers = [architecture.removeprefix("sm_") for architecture in architectures]
    targets = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in numbers]
    # Compiled whole, for the host too, which finds errors of its own; the cubins are kept on the way.
    compiled = _run(
        [
            str(_toolkit().home / "bin" / "nvcc"), "-c", *targets, *NVCC_FLAGS,
            *[f"-I{include}" for include in includes], "-keep",
            "-keep-dir", str(folder), str(source), "-o", str(folder / f"{source.stem}.o"),
        ]
    )  # fmt: skip
    return compiled.stdout + compiled.stderr


def _read(path: str, said: str, architectures: list[str], folder: Path) -> list[Kernel]:
    """The kernels of one file, from what nvcc said of it and the cubins that it left in `folder`."""
    source = Path(path)
    resources = {key: found for key, found in parse_ptxas(said).items() if key[0] in architectures}
    if not resources:  # a file without kernels
        return []
    code = {
        (architecture, symbol): found
        for architecture in architectures
        for symbol, found in parse_sass(
            _run([_nvdisasm(), str(_cubin(source.stem, architecture, folder))]).stdout
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


def _cubin(stem: str, architecture: str, folder: Path) -> Path:
    """Where nvcc -keep leaves machine code: the name says more where there is PTX beside it."""
    virtual = architecture.replace("sm_", "compute_")
    for kind in (virtual, f"{virtual}.{architecture}"):
        if (path := folder / f"{stem}.{kind}.cubin").exists():
            return path
    raise RuntimeError(f"nvcc left no {architecture} code of {stem}.cu in {folder}")


def _ordered(kernels: Iterable[Kernel]) -> list[Kernel]:
    return sorted(kernels, key=lambda kernel: (kernel.architecture, kernel.key))


def measure(paths: Iterable[str], architectures: list[str], jobs: int) -> list[Kernel]:
    """Compile every file and read the results, ordered by architecture, file and kernel."""

    def one(path: str) -> list[Kernel]:
        said = _compile(path, architectures, Path(folder))
        return [] if said is None else _read(path, said, architectures, Path(folder))

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        return _ordered(kernel for kernels in pool.map(one, paths) for kernel in kernels)


def measure_built(
    paths: Iterable[str], architectures: list[str], jobs: int, folder: Path, log: str
) -> list[Kernel]:
    """As `measure`, of a build that is there: its log, with nvcc's command before what it said, and its cubins."""
    said = parse_build_log(log)
    missing = sorted(path for path in paths if Path(path).name not in said)
    if missing:
        raise RuntimeError(f"the build's log has no nvcc command for {', '.join(missing)}")
    with ThreadPoolExecutor(jobs) as pool:
        parts = pool.map(
            lambda path: _read(path, said[Path(path).name], architectures, folder), paths
        )
        return _ordered(kernel for kernels in parts for kernel in kernels)


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
