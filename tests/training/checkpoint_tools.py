"""Shared by the tests of checkpoints: a small state, and the files a save has written."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ltgnn.training.checkpoint import load

META = {"epoch": 3, "best": 0.1 + 0.2, "config": {"dim": 64, "name": "Ärger", "lr": None}}


def small(value: int = 1) -> dict[str, Tensor]:
    return {
        "emb": torch.full((5, 3), float(value)),
        "step": torch.tensor(value),
        "m": torch.ones(7),
    }


def saved_value(run: Path) -> int:
    """Load, check that the state is whole, and say which save it came from."""
    tensors = load(run).tensors
    value = int(tensors["step"])
    assert tensors.keys() == small().keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in small(value).items())
    return value


def names(run: Path) -> list[str]:
    return sorted(path.name for path in run.iterdir())


def manifest(run: Path) -> Path:
    return max(run.glob("checkpoint-*")) / "manifest.json"


def tensor_file(run: Path) -> Path:
    return max(run.glob("checkpoint-*")) / "tensors.safetensors"
