"""The files of a run folder that are not checkpoints of the model: settings, data, result."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ltgnn.data import Dataset, Interactions
from ltgnn.training import checkpoint


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    scratch = path.with_name(path.name + ".tmp")
    with open(scratch, "w") as file:
        json.dump(value, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; ValueError names the file where it is damaged."""
    try:
        value = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON, got damaged text: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def save_dataset(folder: Path, dataset: Dataset) -> None:
    """Keep the run's interactions, so that it needs the original files no more."""
    tensors = {}
    for name, part in dataset.parts().items():
        tensors[f"{name}.users"] = torch.from_numpy(np.ascontiguousarray(part.users))
        tensors[f"{name}.items"] = torch.from_numpy(np.ascontiguousarray(part.items))
    meta = {
        "name": dataset.name,
        "num_users": dataset.num_users,
        "num_items": dataset.num_items,
        "user_ids": None if dataset.train.user_ids is None else dataset.train.user_ids.tolist(),
        "item_ids": None if dataset.train.item_ids is None else dataset.train.item_ids.tolist(),
    }
    checkpoint.save(folder / "data", tensors, meta)


def load_dataset(folder: Path) -> Dataset:
    """The interactions of a run."""
    saved = checkpoint.load(folder / "data")
    ids = {
        side: None if saved.meta[side] is None else np.asarray(saved.meta[side])
        for side in ("user_ids", "item_ids")
    }
    parts = {
        name: Interactions(
            saved.tensors[f"{name}.users"].numpy(),
            saved.tensors[f"{name}.items"].numpy(),
            saved.meta["num_users"],
            saved.meta["num_items"],
            **ids,
        )
        for name in ("train", "valid", "test")
        if f"{name}.users" in saved.tensors
    }
    return Dataset(saved.meta["name"], parts["train"], parts.get("valid"), parts.get("test"))
