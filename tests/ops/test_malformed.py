"""Thousands of malformed calls of each operator: no crash, no hang, no silently wrong result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ops.op_cases import CASES

CALLS = {"public": 5_000, "propagate": 6_000, "propagate_out": 2_000, "edge_dot": 2_000}
CALLS |= {c.name: 2_000 for c in CASES if c.name not in CALLS and "cpu" in c.backends}
NUM_CHILDREN = 4
TIMEOUT = 240  # seconds: a child takes about ten


def run_child(names: list[str], folder: Path) -> dict[str, Any]:
    """The summary of each operator, and how the child ended."""
    log = folder / f"last_call_of_{names[0]}"
    log.touch()
    child = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("malformed.py")), "1", str(log),
         *(f"{name}:{CALLS[name]}" for name in names)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        capture_output=True, text=True, timeout=TIMEOUT,
    )  # fmt: skip
    summaries: dict[str, Any] = {}
    for line in child.stdout.splitlines():
        summaries |= json.loads(line)
    last = log.read_text(errors="replace").strip()
    end = f"exit {child.returncode} in {last}\n{child.stderr[-3000:]}"
    return {name: summaries.get(name, end) for name in names}


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Any]]]:
    """Started together, two at a time; each operator's summary is in its child's future."""
    folder = tmp_path_factory.mktemp("malformed")
    groups = [list(CALLS)[k::NUM_CHILDREN] for k in range(NUM_CHILDREN)]
    with ThreadPoolExecutor(2) as pool:
        futures = [(group, pool.submit(run_child, group, folder)) for group in groups]
        yield {name: future for group, future in futures for name in group}


@pytest.mark.xdist_group("malformed")  # else each process starts all the children
@pytest.mark.parametrize("name", CALLS)
def test_malformed_calls(name: str, children: dict[str, Future[Any]]) -> None:
    summary = children[name].result()[name]
    assert isinstance(summary, dict), summary
    assert summary["num_wrong"] == 0, "\n\n".join(summary["wrong"])
    assert sum(summary["outcomes"].values()) == CALLS[name]
    # Neither everything refused nor everything let through: the generator does its work.
    equal = summary["outcomes"].get("equal", 0)
    assert CALLS[name] * 0.01 < equal < CALLS[name] * 0.8, summary
