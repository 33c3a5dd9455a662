"""Shared by all tests: hypothesis draws the same examples in every run, and small inputs meet threads."""

from __future__ import annotations

import os

from hypothesis import settings

# Read once, when the operators first run: no job is too small for several threads.
os.environ["LTGNN_PARALLEL_FROM"] = "0"

settings.register_profile("deterministic", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("deterministic")
