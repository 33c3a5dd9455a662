"""Side-by-side timing: rivals take turns in one process, so that a noisy machine is noisy for all of them."""

from __future__ import annotations

import json
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch

from ltgnn import __version__, _library

# A call of more milliseconds reads much more than any cache holds.
CACHES_MATTER_MS = 300.0


def alternate(
    rivals: dict[str, Callable[[], Any]], *, runs: int = 15, warmup: int = 3, device: str = "cpu"
) -> dict[str, dict[str, float]]:
    """Time each rival `runs` times in turn; on a GPU by its own clock, so without the way there.

    Each is called once more just before it is timed: else what the rival before left in the caches decides. Calls
    too long for that to matter are not.

    Returns:
        For each: median, min and interquartile range, in milliseconds.
    """
    if runs < 1:
        raise SystemExit(f"--runs must be at least 1, got {runs}")
    clock = _clock_of(device)
    times: dict[str, list[float]] = {name: [] for name in rivals}
    last = dict.fromkeys(rivals, 0.0)
    for turn in range(warmup + runs):
        for name, call in rivals.items():
            if last[name] < CACHES_MATTER_MS:
                call()
            last[name] = milliseconds = clock(call)
            if turn >= warmup:
                times[name].append(milliseconds)
    result = {}
    for name, values in times.items():
        low, _, high = statistics.quantiles(values, n=4) if runs > 1 else (values[0],) * 3
        result[name] = {
            "median_ms": statistics.median(values),
            "min_ms": min(values),
            "iqr_ms": high - low,
        }
    return result


def _host_clock(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


def _device_clock(call: Callable[[], Any]) -> float:
    """Between two events around the call's work, on the current stream."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))


def _clock_of(device: str) -> Callable[[Callable[[], Any]], float]:
    """What measures a call's milliseconds."""
    return _device_clock if device.startswith("cuda") else _host_clock


def copy_bandwidth(device: str, runs: int = 10) -> float:
    """GB/s, read and written together, at which torch copies memory that no cache holds.

    What a kernel's bytes are divided by to get its floor: the time below which it cannot be, unless a cache
    holds part of what it reads.
    """
    count = 1 << (28 if device.startswith("cuda") else 26)  # floats: 1 GB, or 256 MB
    source = torch.ones(count, device=device)
    target = torch.empty_like(source)
    clock = _clock_of(device)
    best = min(clock(lambda: target.copy_(source)) for _ in range(runs + 1))
    return 2 * source.numel() * 4 / best / 1e6


def gather_bandwidth(
    table_bytes: int, row_bytes: int = 256, device: str = "cpu", runs: int = 5
) -> float:
    """GB/s at which torch reads random rows of a table of this size, with the threads now set.

    The roof of a sparse product whose dense operand has this size: `embedding_bag` in bags of 64 rows, with
    fp32 sums, so that almost nothing is written.
    """
    table = torch.ones(max(1, table_bytes // row_bytes), row_bytes // 4, device=device)
    rows = 1 << (22 if device.startswith("cuda") else 20)
    index = torch.randint(len(table), (rows,), device=device)
    offsets = torch.arange(0, rows, 64, device=device)
    clock = _clock_of(device)
    bag = torch.nn.functional.embedding_bag
    best = min(clock(lambda: bag(index, table, offsets, mode="sum")) for _ in range(runs + 1))
    return rows * row_bytes / best / 1e6


def matmul_rate(device: str = "cpu", dtype: torch.dtype = torch.float32, runs: int = 5) -> float:
    """GFLOP/s of torch's own product of two large square matrices, with the threads now set.

    The roof of what arithmetic bounds, not memory.
    """
    side = 8192 if device.startswith("cuda") else 2048
    a = torch.randn(side, side, device=device).to(dtype)
    clock = _clock_of(device)
    best = min(clock(lambda: torch.mm(a, a)) for _ in range(runs + 1))
    return 2 * side**3 / best / 1e6


def add_bandwidth(row: dict[str, float], moved: float, roof: float, of: str = "gather") -> None:
    """What a rival's bytes come to by its median: `bytes`, `gb_per_s`, and its share of a roof in GB/s."""
    row["bytes"] = moved
    row["gb_per_s"] = moved / row["median_ms"] / 1e6
    row[f"share_of_{of}"] = row["gb_per_s"] / roof


def add_arithmetic(row: dict[str, float], operations: float, roof: float) -> None:
    """What a rival's multiplications and additions come to by its median: `gflop_per_s`, and its share of a
    `matmul_rate`."""
    row["gflop_per_s"] = operations / row["median_ms"] / 1e6
    row["share_of_product"] = row["gflop_per_s"] / roof


def print_table(times: dict[str, dict[str, float]], columns: dict[str, str]) -> None:
    """A line for each rival: median and minimum, then these entries of its row, each under its heading."""
    width = max(map(len, times)) + 1
    headings = ["median ms", "min ms", *columns.values()]
    print(" " * width + "".join(f"{heading:>12}" for heading in headings))
    for name, row in times.items():
        figures = [row["median_ms"], row["min_ms"], *(row[key] for key in columns)]
        print(f"{name:<{width}}" + "".join(f"{figure:>12.3f}" for figure in figures))


def command() -> str:
    """How this benchmark was called, without where its result went and where folders of this machine are."""
    module = Path(sys.argv[0])
    arguments = [Path(a).name if Path(a).is_absolute() else a for a in sys.argv[1:]]
    if "--json" in arguments:
        at = arguments.index("--json")
        del arguments[at : at + 2]
    # With it torch puts its tensors on huge pages: the figures depend on it.
    huge = os.environ.get("THP_MEM_ALLOC_ENABLE")
    setting = [f"THP_MEM_ALLOC_ENABLE={huge}"] if huge else []
    name = f"{module.parent.name}.{module.stem}"
    return " ".join([*setting, shlex.join(["python", "-m", name, *arguments])])


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines()
                 if line.startswith("model name")]  # fmt: skip
        cpu = f"{names[0]} x {len(names)}" if names else cpu
    return {
        "cpu": cpu,
        "instruction_set": _library.cpu_capability(),
        "ltgnn": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "python": platform.python_version(),
        **({"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}),
        "command": command(),
    }


def write(path: str | None, result: dict[str, Any]) -> None:
    """Write a result with the machine's facts, where a path is given."""
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps({"machine": machine(), **result}, indent=2) + "\n")
