"""Parquet: types of columns, nulls, and what happens without pyarrow."""

from __future__ import annotations

import datetime
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltgnn.data import detect, read
from ltgnn.data.formats import ReadOptions, parquet

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")


def write(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def test_reads(tmp_path: Path) -> None:
    path = write(
        tmp_path / "any.name", rating=[1.5, 2, 3], user_id=["ann", "bob", "ann"], other=[[1], [], [2]],
        item_id=pa.array([7, 8, 7], pa.uint16()), timestamp=pa.array([1, 2, 3], pa.int32()),
    )  # fmt: skip
    assert detect(path) == "parquet"
    pairs = read(path, split="none").train
    assert pairs.user_ids is not None and pairs.user_ids.tolist() == ["ann", "bob"]
    assert pairs.item_ids is not None and pairs.item_ids.tolist() == [7, 8]
    assert (pairs.users.tolist(), pairs.items.tolist()) == ([0, 1, 0], [0, 1, 0])
    assert pairs.values is not None and pairs.values.tolist() == [1.5, 2, 3]
    assert pairs.times is not None and pairs.times.tolist() == [1, 2, 3]


def test_dictionaries_timestamps_and_named_columns(tmp_path: Path) -> None:
    when = [datetime.datetime(1970, 1, 1, 0, 0, 1), datetime.datetime(2020, 1, 1)]
    path = write(
        tmp_path / "a", who=pa.array(["x", "y"]).dictionary_encode(), what=["p", "q"],
        at=pa.array(when, pa.timestamp("us")),
    )  # fmt: skip
    pairs = read(path, split="none", columns={"user": "who", "item": 1, "time": "at"}).train
    assert pairs.user_ids is not None and pairs.user_ids.tolist() == ["x", "y"]
    assert pairs.times is not None and pairs.times.tolist() == [1, 1577836800]


@pytest.mark.parametrize("kind", ["s", "ms", "us", "date"])
def test_times_far_from_now(tmp_path: Path, kind: str) -> None:
    days = [datetime.date(1600, 2, 29), datetime.date(2021, 1, 1), datetime.date(9999, 12, 31)]
    at = pa.array(days) if kind == "date" else pa.array(days).cast(pa.timestamp(kind))
    pairs = read(write(tmp_path / "a", user=[1, 1, 1], item=[1, 2, 3], time=at), split="none").train
    seconds = [86400 * (day.toordinal() - datetime.date(1970, 1, 1).toordinal()) for day in days]
    assert pairs.times is not None and pairs.times.tolist() == seconds


def test_ids_that_other_formats_take(tmp_path: Path) -> None:
    ids = ["Ann\u00a0Lee", "\u3000", "\u200dx"]
    pairs = read(write(tmp_path / "a", user=[1, 1, 1], item=ids), split="none").train
    assert pairs.item_ids is not None and pairs.item_ids.tolist() == ids


def test_pieces_and_files_share_ids(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", user=[5, 4, 5], item=[1, 2, 3])
    write(tmp_path / "test.parquet", user=["5", "x"], item=[3, 4])  # text: 5 and 4 become text too
    data = read(tmp_path)
    assert data.test is not None and data.test.user_ids is not None
    assert data.test.user_ids.tolist() == ["5", "4", "x"] and data.test.users.tolist() == [0, 2]
    pieces = list(parquet.read_pieces(tmp_path / "train.parquet", ReadOptions(), 1))
    assert sum(map(len, pieces)) == 3


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"user": [1, None], "item": [1, 2]}, {}, "'user': expected no null, got one in row 1"),
        ({"user": [1.5, 2], "item": [1, 2]}, {}, "expected integers or text as ids, got double"),
        ({"user": [1], "thing": [1]}, {}, "expected a user and an item column, got"),
        ({"user": [""], "item": [1]}, {}, "expected ids of 1 to 256 bytes"),
        ({"user": ["a\nb"], "item": [1]}, {}, "without control characters"),
        ({"user": ["a" * 257], "item": [1]}, {}, "expected ids of 1 to 256 bytes"),
        ({"user": [1], "item": [1], "rating": [np.nan]}, {}, "finite in float32, got nan"),
        ({"user": [1], "item": [1], "rating": [np.inf]}, {}, "finite in float32, got inf"),
        ({"user": [1], "item": [1], "rating": ["x"]}, {}, "'rating': expected real numbers"),
        ({"user": [2**63], "item": [1]}, {}, "expected ids below 2"),
        (
            {"user": [1], "item": [1]},
            {"columns": {"user": "x", "item": 0}},
            "a user column 'x', got",
        ),
        (
            {"user": [1], "item": [1]},
            {"columns": {"user": 0, "item": 0}},
            "a user and an item column",
        ),
        ({"user": [1], "item": [1]}, {"max_bytes": 10}, "expected at most 10 bytes"),
    ],
)
def test_refuses(
    tmp_path: Path, columns: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    if columns["user"] == [2**63]:
        columns = {**columns, "user": pa.array([2**63], pa.uint64())}
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path / "a", **columns), format="parquet", **options)


def test_damage_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a", user=list(range(50)), item=[str(k) for k in range(50)])
    data = path.read_bytes()
    for size in range(4, len(data), 41):
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match="expected an intact parquet file"):
            read(path)


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a", user=[1], item=[2])
    true_import = importlib.import_module

    def without(name: str, package: str | None = None) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError("No module named 'pyarrow'")
        return true_import(name, package)

    monkeypatch.setattr("importlib.import_module", without)
    with pytest.raises(ImportError, match=r'need pyarrow.*pip install "ltgnn\[parquet\]"'):
        read(path)
