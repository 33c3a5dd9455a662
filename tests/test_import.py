"""`import ltgnn` loads what it needs, and nothing that takes seconds or is an extra."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "torch._dynamo",
    "torch._inductor",
    "sympy",
    "matplotlib",
    "optuna",
    "pyarrow",
    "scipy.stats",
)


def test_an_import_leaves_heavy_modules_out():
    code = "import sys, ltgnn, ltgnn.cli; print([name for name in sys.argv[1:] if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code, *HEAVY], check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"
