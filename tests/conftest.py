"""Shared by all tests: hypothesis draws the same examples in every run, and small inputs meet threads."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import settings

# Read once, when the operators first run: no job is too small for several threads.
os.environ["LTGNN_PARALLEL_FROM"] = "0"
# On a GPU an operator waits for its kernels and raises what they found, as on the CPU.
os.environ["LTGNN_CUDA_CHECK"] = "1"

settings.register_profile("deterministic", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("deterministic")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need a GPU say so where there is none."""
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="no GPU (torch.cuda.is_available() is False)")
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(skip)
