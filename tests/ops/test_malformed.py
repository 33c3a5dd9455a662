"""Thousands of malformed calls of each operator: no crash, no hang, no silently wrong result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ops.op_cases import CASES

CALLS = {"public": 5_000, "propagate": 6_000, "propagate_out": 2_000, "edge_dot": 2_000}
CALLS |= {c.name: 2_000 for c in CASES if c.name not in CALLS and "cpu" in c.backends}
NUM_CHILDREN = 4  # processes: a crash ends one, and tells its last call
TIMEOUT = 600  # seconds: a child takes about 30


def run_child(names: list[str], log: Path) -> dict[str, Any]:
    """The summary of each operator, and how the child ended."""
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "names", [list(CALLS)[k::NUM_CHILDREN] for k in range(NUM_CHILDREN)], ids=" ".join
)
def test_malformed_calls(names: list[str], tmp_path: Path) -> None:
    for name, summary in run_child(names, tmp_path / "last_call").items():
        assert isinstance(summary, dict), f"{name}: {summary}"
        assert summary["num_wrong"] == 0, "\n\n".join([name, *summary["wrong"]])
        assert sum(summary["outcomes"].values()) == CALLS[name]
        # Neither everything refused nor everything let through: the generator does its work.
        equal = summary["outcomes"].get("equal", 0)
        assert CALLS[name] * 0.01 < equal < CALLS[name] * 0.8, (name, summary)
