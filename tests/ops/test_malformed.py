"""Thousands of malformed calls of each operator: no crash, no hang, no silently wrong result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ops.op_cases import BY_NAME

CALLS = {"public": 5_000, "propagate": 6_000}
OTHERS = 2_000
TIMEOUT = 240  # seconds: a child takes a few


@pytest.mark.parametrize("name", ["public", *BY_NAME])
def test_malformed_calls(name: str, tmp_path: Path) -> None:
    log = tmp_path / "last_call"
    log.touch()
    calls = CALLS.get(name, OTHERS)
    child = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("malformed.py")), name, "1", str(calls), str(log)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        capture_output=True, text=True, timeout=TIMEOUT,
    )  # fmt: skip
    last = log.read_text().strip()
    assert child.returncode == 0, f"exit {child.returncode}\n{child.stderr[-3000:]}\nin {last}"
    summary = json.loads(child.stdout.splitlines()[-1])
    assert summary["num_wrong"] == 0, "\n\n".join(summary["wrong"])
    judged = sum(summary["outcomes"].values())
    assert judged == calls
    # Neither everything refused nor everything let through: the generator does its work.
    assert calls * 0.01 < summary["outcomes"].get("equal", 0) < calls * 0.8, summary
