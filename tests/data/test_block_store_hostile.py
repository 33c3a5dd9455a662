"""Block stores that somebody forged: digests that fit, and content that means nothing or harm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.store_tools import forge, tiny, use

from ltgnn.data import StoreError


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, bytes]:
    path = tiny(tmp_path / "s")
    return path, path.read_bytes()


def _set(*keys: Any, to: Any) -> Callable[[Any], None]:
    def change(fields: Any) -> None:
        for key in keys[:-1]:
            fields = fields[key]
        fields[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda fields: b"[" * 100_000, "expected JSON"),
        (lambda fields: b"\xff{", "expected JSON"),
        (lambda fields: b"[]", "expected format, block_bytes, meta and arrays"),
        (lambda fields: b'{"format": 1}', "expected format, block_bytes, meta and arrays"),
        (lambda fields: b"1" * 5000, "expected"),
        (lambda fields: b'{"meta": NaN}', "NaN is no JSON"),
        (_set("format", to="other"), "expected format 'ltgnn block store'"),
        (_set("meta", to=[]), "an object meta"),
        (_set("block_bytes", to=0), "block_bytes as a multiple of 64, got 0"),
        (_set("block_bytes", to=True), "block_bytes as a multiple of 64, got True"),
        (_set("block_bytes", to=2**40), "block_bytes as a multiple of 64"),
        (_set("arrays", to={}), "a list of at most 1024 arrays"),
        (_set("arrays", 0, "name", to="../../etc/passwd"), "expected an array name like"),
        (_set("arrays", 0, "name", to="/etc/passwd"), "expected an array name like"),
        (_set("arrays", 0, "name", to="a\0b"), "expected an array name like"),
        (_set("arrays", 0, "name", to=7), "expected an array name like"),
        (_set("arrays", 0, "name", to="train/values"), "distinct array names"),
        (_set("arrays", 0, "dtype", to="|O"), "expected a dtype of"),
        (_set("arrays", 0, "dtype", to=["<i8"]), "expected a dtype of"),
        (_set("arrays", 0, "shape", to=[3, 1]), "a shape of one size"),
        (_set("arrays", 0, "shape", to=[-3]), "expected a length from 0 up"),
        (_set("arrays", 0, "shape", to=[3.0]), "expected a length from 0 up"),
        (_set("arrays", 0, "shape", to=[2**80]), "expected a length from 0 up"),
        (_set("arrays", 0, "shape", to=[2**55]), "hexadecimal digits of digests"),
        (_set("arrays", 0, "digests", to=""), "expected 32 hexadecimal digits of digests"),
        (_set("arrays", 0, "digests", to="zz" * 16), "hexadecimal digits of digests"),
        (_set("arrays", 0, "offset", to=0), "name, dtype, shape and digests of an array, no more"),
        (_set("arrays", 0, to=None), "name, dtype, shape and digests of an array"),
        (_set("meta", "num_users", to=4), r"expected <i8 \[4\], got <i8 \[3\]"),
        (_set("meta", "num_users", to=-1), "expected num_users and num_items as int32"),
        (_set("meta", "num_users", to=2**31), "expected num_users and num_items as int32"),
        (_set("meta", "num_users", to="3"), "expected num_users and num_items as int32"),
        (_set("meta", "name", to=None), "expected a name and a split"),
        (_set("meta", "drawn", to=[]), "expected drawn as numbers by name"),
        (_set("meta", "drawn", to={"seed": "3"}), "expected drawn as numbers by name"),
        (_set("meta", "drawn", to={"seed": True}), "expected drawn as numbers by name"),
        (_set("meta", "drawn", to={"draws": 3}), "expected drawn as numbers by name"),
        (_set("arrays", 0, "name", to="extra"), "extra: expected no array of this name"),
        (_set("arrays", 2, "name", to="user_ids/bytes"), "or offsets and bytes, got a mixture"),
    ],
)
def test_hostile_headers(stored: tuple[Path, bytes], change: Any, message: str) -> None:
    path, data = stored
    assert forge(data, lambda fields: None) == data
    path.write_bytes(forge(data, change))
    with pytest.raises(StoreError, match=message):
        use(path)


def test_hostile_preambles(stored: tuple[Path, bytes]) -> None:
    path, data = stored
    for at, value, message in [
        (8, (2).to_bytes(4, "little"), "expected a block store of version 1, got version 2"),
        (16, (2**63).to_bytes(8, "little"), "expected at most 67108864 bytes"),
        (16, (2**20).to_bytes(8, "little"), "but the file ends at byte"),
        (24, (2**63).to_bytes(8, "little"), "header: damaged"),
        (0, b"PK", "without its magic bytes"),
    ]:
        path.write_bytes(data[:at] + value + data[at + len(value) :])
        with pytest.raises(StoreError, match=message):
            use(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train__by_user__indptr": np.array([0, 2, 1, 5])}, "indptr: expected to ascend"),
        ({"train__by_user__indptr": np.array([1, 2, 2, 5])}, "indptr: expected to ascend"),
        ({"train__by_user__indptr": np.array([0, 2, 2, 6])}, "indptr: expected to ascend"),
        ({"train__by_item__indptr": np.array([0, 2**63 - 1, -(2**63), 5, 5])}, "to ascend"),
        ({"train__by_user__indices": np.array([1, 3, 0, 1, 4], np.int32)}, "from 0 to 3"),
        ({"train__by_user__indices": np.array([1, 3, 0, 1, -1], np.int32)}, "from 0 to 3"),
        ({"train__by_item__indices": np.array([2, 0, 2, 2, 3], np.int32)}, "from 0 to 2"),
        (
            {"train__by_user__indices": np.array([3, 1, 0, 1, 2], np.int32)},
            "ascending rows at eleme",
        ),
        (
            {"train__by_user__indices": np.array([1, 3, 0, 0, 2], np.int32)},
            "ascending rows at eleme",
        ),
        ({"train__values": np.array([1, 2, 3, 4, np.nan], np.float32)}, "finite"),
        ({"item_ids__offsets": np.array([0, 1, 3, 6, 9])}, "offsets: expected to ascend"),
        ({"item_ids__offsets": np.array([0, 2, 3, 6, 7])}, "expected UTF-8"),
        ({"item_ids__bytes": None}, "or offsets and bytes, got a mixture"),
        ({"train__by_item__indptr": None}, "expected an array train/by_item/indptr, got none"),
        ({"train__by_user__indptr": np.array([0, 5])}, r"expected <i8 \[4\], got <i8 \[2\]"),
        ({"train__values": np.zeros(5)}, r"train/values: expected <f4 \[5\], got <f8 \[5\]"),
    ],
)
def test_content_that_means_nothing(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(StoreError, match=message):
        use(tiny(tmp_path / "s", **change))


def test_one_long_id_cannot_multiply_memory(tmp_path: Path) -> None:
    data = np.full(2**20, ord("x"), np.uint8)
    path = tiny(
        tmp_path / "s",
        item_ids__offsets=np.array([0, 0, 0, 0, 2**20]), item_ids__bytes=data,
    )  # fmt: skip
    with pytest.raises(StoreError, match="ids of at most 256 characters"):
        use(path)
