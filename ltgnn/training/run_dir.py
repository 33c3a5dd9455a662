"""The files of a run folder that are not checkpoints of the model: settings, data, result."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ltgnn.data import Dataset, Interactions
from ltgnn.data._native import IdArray
from ltgnn.training import checkpoint


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all; its folder is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".tmp")
    try:
        with open(scratch, "w") as file:
            json.dump(value, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


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
    for side in ("user_ids", "item_ids"):
        tensors.update(_ids_to_tensors(side, getattr(dataset.train, side)))
    meta = {
        "name": dataset.name,
        "num_users": dataset.num_users,
        "num_items": dataset.num_items,
    }
    checkpoint.save(folder / "data", tensors, meta)


def _ids_to_tensors(side: str, ids: IdArray | None) -> dict[str, torch.Tensor]:
    """External ids as tensors: there may be millions. Text is offsets and bytes, as in a block store."""
    if ids is None:
        return {}
    if ids.dtype.kind == "i":
        return {side: torch.from_numpy(np.ascontiguousarray(ids))}
    texts = [text.encode() for text in ids.tolist()]
    offsets = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    data = np.array(bytearray(b"".join(texts)), np.uint8)
    return {f"{side}.offsets": torch.from_numpy(offsets), f"{side}.bytes": torch.from_numpy(data)}


def _ids_of(side: str, saved: checkpoint.Checkpoint) -> IdArray | None:
    """What `_ids_to_tensors` made tensors of."""
    if side in saved.tensors:
        return saved.tensors[side].numpy()
    if f"{side}.offsets" not in saved.tensors:
        listed = saved.meta.get(side)  # where they were kept at first
        return None if listed is None else np.asarray(listed)
    ends = saved.tensors[f"{side}.offsets"].tolist()
    data = saved.tensors[f"{side}.bytes"].numpy().tobytes()
    return np.array([data[a:b].decode() for a, b in itertools.pairwise(ends)], dtype=np.str_)


def load_dataset(folder: Path) -> Dataset:
    """The interactions of a run."""
    saved = checkpoint.load(folder / "data")
    ids = {side: _ids_of(side, saved) for side in ("user_ids", "item_ids")}
    parts = {
        name: Interactions(
            saved.tensors[f"{name}.users"].numpy(),
            saved.tensors[f"{name}.items"].numpy(),
            saved.meta["num_users"],
            saved.meta["num_items"],
            user_ids=ids["user_ids"],
            item_ids=ids["item_ids"],
        )
        for name in ("train", "valid", "test")
        if f"{name}.users" in saved.tensors
    }
    return Dataset(saved.meta["name"], parts["train"], parts.get("valid"), parts.get("test"))
