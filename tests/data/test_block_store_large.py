"""Block stores past 2^32 bytes and 2^31 elements: sparse files, of which a hole is most.

A place that loses its upper bits lies in the hole: zeros come back, or a digest does not match.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltgnn.data import BlockStore, StoreError
from ltgnn.data._native import guarded_map
from ltgnn.data.block_store import BlockFile, layout

BLOCK = 1 << 20


def sparse_store(path: Path, arrays: dict[str, tuple[str, int, Any]], meta: Any = None) -> Path:
    """Writes (dtype, length, last elements) by name; the elements before the last ones are zeros, in a hole."""
    infos, lasts = [], []
    for name, (dtype, length, last) in arrays.items():
        data = np.asarray(last, dtype).tobytes()
        info = layout.ArrayInfo(name, dtype, length, 0, b"")
        size = (info.nbytes - 1) % BLOCK + 1  # of the last block, which holds the last elements
        assert len(data) <= size
        digests = layout.digest(bytes(BLOCK)) * (layout.num_blocks(info.nbytes, BLOCK) - 1)
        infos.append(replace(info, digests=digests + layout.digest(data.rjust(size, b"\0"))))
        lasts.append(data)
    head = layout.pack(infos, meta or {}, BLOCK)
    offsets, file_bytes = layout.place(
        [info.nbytes for info in infos], len(head) - layout.PREAMBLE.size
    )
    with open(path, "wb") as file:
        file.write(head)
        for info, offset, data in zip(infos, offsets, lasts, strict=True):
            file.seek(offset + info.nbytes - len(data))
            file.write(data)
        file.truncate(file_bytes)
    return path


@pytest.mark.parametrize("dtype", ["|u1", "<i8"])
def test_elements_past_2_32_bytes(tmp_path: Path, dtype: str) -> None:
    """The end of a long array, copied: within a block, and over a border between two."""
    length = 2**32 // np.dtype(dtype).itemsize + 100
    last = np.arange(1, 101)
    with BlockFile(sparse_store(tmp_path / "s", {"a": (dtype, length, last)})) as file:
        assert np.array_equal(file.read("a", length - 60, length - 10), last[40:90])
        assert np.array_equal(file.read("a", length - 105), np.concatenate([[0] * 5, last]))
        file.check()


def test_an_array_behind_2_32_bytes(tmp_path: Path) -> None:
    """It is copied, mapped and walked where it is; its map notes what was lost there."""
    values = np.arange(1.0, BLOCK // 8 + 1000)
    arrays = {"hole": ("|u1", 2**32, []), "b": ("<f8", len(values) + 7, [])}
    path = sparse_store(tmp_path / "s", {**arrays, "c": ("<f8", 1000, values[:1000])})
    with BlockFile(path) as file:
        assert file.arrays["c"].offset > 2**32
        assert np.array_equal(file.read("c"), values[:1000])
        assert np.array_equal(file.map("c"), values[:1000])
        assert [start for start, _ in file.blocks("b")] == [0, BLOCK // 8]
        view = file.map("b")
        os.truncate(path, file.arrays["b"].offset + 4096)
        assert not view[-1]
        with pytest.raises(StoreError, match="b: a page could not be read through its map"):
            file.check()


def test_damage_past_2_32_bytes(tmp_path: Path) -> None:
    length = 2**32 + 100
    path = sparse_store(tmp_path / "s", {"a": ("|u1", length, np.arange(100))})
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\0")
    with BlockFile(path) as store:
        assert not store.read("a", 0, 10).any()
        with pytest.raises(StoreError, match="a, block 4096: damaged"):
            store.read("a", length - 100)
    os.truncate(path, path.stat().st_size - 200)
    with pytest.raises(StoreError, match="a, block 4095: truncated, the file ends at byte"):
        BlockFile(path)


def test_more_than_2_31_interactions(tmp_path: Path) -> None:
    edges = 2**31 + 100
    indices = ("<i4", edges, range(1, 101))
    arrays: dict[str, Any] = {
        "train/by_user/indptr": ("<i8", 4, [0, 5, 2**31 + 50, edges]),
        "train/by_user/indices": indices,
        "train/by_item/indptr": ("<i8", 102, [0, *range(2**31, edges + 1)]),
        "train/by_item/indices": indices,
    }
    meta = {"name": "large", "split": "none", "num_users": 3, "num_items": 101}
    with BlockStore(sparse_store(tmp_path / "s", arrays, meta)) as store:
        assert store.parts == {"train": edges}
        assert store.degrees("train").tolist() == [5, 2**31 + 45, 50]
        assert int(store.indptr("train", "item")[-1]) == edges
        row = store.indptr()[2:]
        assert store.read("train/by_user/indices", *row.tolist()).tolist() == [*range(51, 101)]


def test_a_map_of_more_than_2_32_bytes(tmp_path: Path) -> None:
    """Its last pages are read, and the loss of one of them is noted."""
    size = 2**32 + 8192
    path = tmp_path / "f"
    with open(path, "wb+") as file:
        file.truncate(8192 + size)
        file.seek(-3, os.SEEK_END)
        file.write(b"end")
        file.flush()
        view = guarded_map(file.fileno(), 8192, size)
        data = np.frombuffer(view, np.uint8)
        assert len(data) == size and data[-3:].tobytes() == b"end" and not data[2**32 - 1]
        assert not view.damaged
        file.truncate(8192 + 2**32)
        assert not data[2**32 - 1] and not view.damaged
        assert data[-3:].tobytes() == bytes(3) and view.damaged
