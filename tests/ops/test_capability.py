"""Every CPU instruction set agrees with the reference, not only the one this machine chooses."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CHILD = """
import torch
from ltgnn._library import cpu_capability
from ops.compare import check_against_reference
from ops.op_cases import CASES, Setting
print(cpu_capability())
for case in CASES:
    for dtype in case.dtypes:
        for dim in (33, 64):
            setting = Setting("random", dim, dtype)
            try:
                check_against_reference(case, setting, case.inputs(setting))
            except AssertionError as error:
                raise AssertionError(f"{case.name}-{setting}: {error}") from error
"""


def run_child(wanted: str, code: str) -> str:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    environment = {**os.environ, "LTGNN_CPU_CAPABILITY": wanted, "PYTHONPATH": path}
    child = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )
    assert child.returncode == 0, child.stderr
    return child.stdout.strip()


@pytest.mark.parametrize("wanted", ["baseline", "avx2", "avx512"])
def test_instruction_set_agrees_with_the_reference(wanted: str) -> None:
    got = run_child(wanted, CHILD)
    if got != wanted:
        pytest.skip(f"this machine's processor lacks {wanted}; it ran {got}")


def test_a_wish_is_never_answered_with_more() -> None:
    """An unknown or too high wish must still run."""
    code = "from ltgnn._library import cpu_capability; print(cpu_capability())"
    assert run_child("baseline", code) == "baseline"
    assert run_child("nonsense", code) in ("baseline", "avx2", "avx512")
