"""The peak that a result tells is that of its own process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import numpy as np
from ltgnn.training.memory import peak_bytes
before = peak_bytes()
np.ones(100 << 20, dtype=np.uint8).sum()
print(before, peak_bytes())
"""
PARENT = f"""
import subprocess, sys
held = bytearray(b"x" * (900 << 20))
sys.stdout.write(subprocess.run([sys.executable, "-c", {CHILD!r}], check=True, text=True,
                                stdout=subprocess.PIPE).stdout)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_peak_counts_what_is_freed_again_but_not_the_parents_memory():
    done = subprocess.run(
        [sys.executable, "-c", PARENT], check=True, capture_output=True, text=True
    )
    before, after = map(int, done.stdout.split())
    assert before < 800 << 20, "the parent's 900 MB are counted"
    assert (90 << 20) < after - before < (130 << 20)
