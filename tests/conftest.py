"""Shared by all tests: hypothesis draws the same examples in every run, and small inputs meet threads."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# The benchmarks and the build's tools are tested too. Last on the path: the installed ltgnn stays the one that
# is tested.
sys.path.append(str(Path(__file__).resolve().parents[1]))

# Read once, when the operators first run: no job is too small for several threads.
os.environ["LTGNN_PARALLEL_FROM"] = "0"
# On a GPU an operator waits for its kernels and raises what they found, as on the CPU.
os.environ["LTGNN_CUDA_CHECK"] = "1"
# With pytest -n several processes share the cores, so a thread that waits must give its core up. Read when torch
# loads, which is why torch is not imported here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

settings.register_profile("deterministic", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("deterministic")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come first, so that none is left for the end, where the other workers would wait for it.

    Tests marked `cuda` are skipped, with the reason, where there is no GPU.
    """
    import torch

    items.sort(key=lambda item: item.get_closest_marker("slow") is None)

    if torch.cuda.is_available():
        return
    cuda = torch.version.cuda
    reason = "torch finds no GPU or no driver" if cuda else f"torch {torch.__version__} has no CUDA"
    for item in items:
        if item.get_closest_marker("cuda") is not None:
            item.add_marker(pytest.mark.skip(reason=f"needs a GPU: {reason}"))
