"""Side-by-side timing: rivals take turns in one process, so that a noisy machine is noisy for all of them."""

from __future__ import annotations

import json
import platform
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


def alternate(
    rivals: dict[str, Callable[[], Any]], *, runs: int = 15, warmup: int = 3
) -> dict[str, dict[str, float]]:
    """Time each rival `runs` times in turn.

    Returns:
        For each: median, min and interquartile range, in milliseconds.
    """
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for turn in range(warmup + runs):
        for name, call in rivals.items():
            start = time.perf_counter()
            call()
            if turn >= warmup:
                times[name].append((time.perf_counter() - start) * 1e3)
    result = {}
    for name, values in times.items():
        low, _, high = statistics.quantiles(values, n=4) if runs > 1 else (values[0],) * 3
        result[name] = {
            "median_ms": statistics.median(values),
            "min_ms": min(values),
            "iqr_ms": high - low,
        }
    return result


def gather_bandwidth(table_bytes: int, row_bytes: int = 256, runs: int = 5) -> float:
    """GB/s at which torch reads random rows of a table of this size, with the threads now set.

    The roof of a sparse product whose dense operand has this size: `embedding_bag` in bags of 64 rows, with
    fp32 sums, so that almost nothing is written.
    """
    dim = row_bytes // 4
    table = torch.ones(max(1, table_bytes // row_bytes), dim)
    index = torch.randint(len(table), (1 << 20,))
    offsets = torch.arange(0, len(index), 64)
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        torch.nn.functional.embedding_bag(index, table, offsets, mode="sum")
        seconds.append(time.perf_counter() - start)
    return len(index) * row_bytes / min(seconds) / 1e9


def command() -> str:
    """How this benchmark was called, without where its result went."""
    module = Path(sys.argv[0])
    arguments = list(sys.argv[1:])
    if "--json" in arguments:
        at = arguments.index("--json")
        del arguments[at : at + 2]
    return " ".join(["python -m", f"{module.parent.name}.{module.stem}", *arguments])


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
        "command": command(),
    }


def write(path: str | None, result: dict[str, Any]) -> None:
    """Write a result with the machine's facts, where a path is given."""
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps({"machine": machine(), **result}, indent=2) + "\n")
