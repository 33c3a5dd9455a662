"""What a benchmark needs to know of the device that it runs on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks import harness


def synchronized(call: Callable[[], Any], device: str) -> Callable[[], Any]:
    """The call as `harness.alternate` can time it: on a GPU it returns when the work is done."""
    if device == "cpu":
        return call

    def both() -> Any:
        result = call()
        torch.cuda.synchronize()
        return result

    return both


def gather_bandwidth(table_bytes: int, row_bytes: int, device: str, runs: int = 5) -> float:
    """GB/s at which random rows of a table of this size can be read on the device."""
    if device == "cpu":
        return harness.gather_bandwidth(table_bytes, row_bytes, runs)
    table = torch.ones(max(1, table_bytes // row_bytes), row_bytes // 4, device=device)
    index = torch.randint(len(table), (1 << 22,), device=device)
    offsets = torch.arange(0, len(index), 64, device=device)
    seconds = []
    for _ in range(runs + 1):  # the first one warms up
        torch.cuda.synchronize()
        start = time.perf_counter()
        torch.nn.functional.embedding_bag(index, table, offsets, mode="sum")
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return len(index) * row_bytes / min(seconds[1:]) / 1e9
