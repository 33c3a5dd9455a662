"""Small block stores, and headers as an attacker would forge them: with a digest that fits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from ltgnn.data import BlockStore
from ltgnn.data.block_store import ArraySource, layout, write_blocks

META = {"name": "tiny", "split": "given", "num_users": 3, "num_items": 4}
TRAIN = ([0, 2, 2, 5], [1, 3, 0, 1, 2])  # indptr, indices: user 1 has none
BY_ITEM = ([0, 1, 3, 4, 5], [2, 0, 2, 2, 0])


def sources(**changes: Any) -> list[ArraySource]:
    """The arrays of a store with all there can be in it; None drops one."""
    arrays: dict[str, Any] = {
        "user_ids": np.array([7, -5, 2**40]),
        "item_ids/offsets": np.array([0, 1, 3, 6, 7]),
        "item_ids/bytes": np.frombuffer("aßzzzq".encode(), np.uint8),
        "train/by_user/indptr": np.array(TRAIN[0]),
        "train/by_user/indices": np.array(TRAIN[1], np.int32),
        "train/values": np.array([1, 2, 3, 4, 5], np.float32),
        "train/times": np.arange(5.0),
        "train/by_item/indptr": np.array(BY_ITEM[0]),
        "train/by_item/indices": np.array(BY_ITEM[1], np.int32),
        "test/by_user/indptr": np.array([0, 0, 1, 1]),
        "test/by_user/indices": np.array([3], np.int32),
    }
    arrays |= {name.replace("__", "/"): value for name, value in changes.items()}
    return [ArraySource.of(name, array) for name, array in arrays.items() if array is not None]


def tiny(path: Path, block_bytes: int = 64, meta: Any = None, **changes: Any) -> Path:
    """Writes the store of ``sources``."""
    write_blocks(path, sources(**changes), META if meta is None else meta, block_bytes=block_bytes)
    return path


def wide(path: Path, num_edges: int = 20_000, block_bytes: int = 4096) -> Path:
    """A store whose arrays have many blocks."""
    indices = np.arange(num_edges, dtype=np.int32)
    meta = {"name": "wide", "split": "none", "num_users": 1, "num_items": num_edges}
    arrays = {
        "train/by_user/indptr": np.array([0, num_edges]),
        "train/by_user/indices": indices,
        "train/by_item/indptr": np.arange(num_edges + 1),
        "train/by_item/indices": np.zeros(num_edges, np.int32),
    }
    write_blocks(
        path, [ArraySource.of(name, array) for name, array in arrays.items()], meta,
        block_bytes=block_bytes,
    )  # fmt: skip
    return path


def use(path: Path) -> None:
    """Everything a user does with a store."""
    with BlockStore(path) as store:
        store.dataset()
        store.csr("train", "item", mapped=True)
        store.verify()


def forge(data: bytes, change: Any) -> bytes:
    """A store with another header: ``change`` edits its JSON object, or returns other text."""
    size = layout.PREAMBLE.unpack(data[:64])[3]
    fields = json.loads(data[64 : 64 + size])
    text = change(fields)
    if not isinstance(text, bytes):
        text = json.dumps(fields).encode()
    sizes = []
    for array in fields.get("arrays", []) if isinstance(fields, dict) else []:
        try:
            sizes.append(np.dtype(array["dtype"]).itemsize * int(array["shape"][0]))
        except (TypeError, ValueError, KeyError, IndexError):
            sizes.append(0)
    file_bytes = layout.place([min(max(size, 0), 2**50) for size in sizes], len(text))[1]
    start = layout.PREAMBLE.pack(
        layout.MAGIC, layout.VERSION, 0, len(text), min(file_bytes, 2**63), bytes(32)
    )[:32]
    head = start + hashlib.blake2b(start + text, digest_size=32).digest() + text
    body = data[layout.aligned(64 + size) :]
    return (head.ljust(layout.aligned(len(head)), b"\0") + body)[: max(len(head), len(data))]
