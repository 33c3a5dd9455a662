"""Every CPU instruction set agrees with the reference, not only the one this machine chooses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ltgnn._library import cpu_capability

CHILD = """
import torch
from ltgnn._library import cpu_capability
from ops.compare import check_against_reference
from ops.op_cases import CASES, Setting
print(cpu_capability())
for case in (case for case in CASES if "cpu" in case.backends):
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


def flags() -> set[str]:
    """What the processor can do, by Linux's names."""
    text = Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else ""
    return {flag for line in text.splitlines() if line.startswith("flags") for flag in line.split()}


@pytest.mark.parametrize("wanted", ["baseline", "avx2", "avx512", "avx512_bf16", "avx512_amx"])
def test_instruction_set_agrees_with_the_reference(wanted: str) -> None:
    if wanted == "avx512_amx" and cpu_capability() != "avx512_amx":
        pytest.skip("this machine's processor lacks AMX, or its system does not hand it out")
    if wanted == "avx512_bf16" and "avx512_bf16" not in flags():
        pytest.skip("this machine's processor lacks AVX-512 BF16")
    if wanted == "avx512" and "avx512f" not in flags():
        pytest.skip("this machine's processor lacks AVX-512")
    if wanted == "avx2" and "avx2" not in flags():
        pytest.skip("this machine's processor lacks AVX2")
    assert run_child(wanted, CHILD) == wanted


def test_an_unknown_or_empty_wish_is_none() -> None:
    code = "import os; os.dup2(1, 2)\nfrom ltgnn._library import cpu_capability\nprint(cpu_capability())"
    best = run_child("avx512_amx", code).splitlines()[-1]
    assert run_child("", code).splitlines()[-1] == best
    said = run_child("AVX2", code)
    assert said.splitlines()[-1] == best
    assert (
        "LTGNN_CPU_CAPABILITY must be baseline, avx2, avx512, avx512_bf16 or avx512_amx, got AVX2"
        in said
    )
