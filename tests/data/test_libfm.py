"""LibFM: which feature is what, and what is refused at which place."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltgnn.data import convert, detect, read
from ltgnn.data._native import parse_libfm
from ltgnn.data.formats import ReadOptions, libfm

FIRST, SECOND = (0, 0, 0), (1, 0, 0)


def test_rows_left_out_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.libfm"
    path.write_text("1 5:1 9:1\n-1 6:1 9:1\n\n# a note\n0 5:1 8:1\n2 6:1 8:1\n-3 6:1 8:1")
    assert parse_libfm(path.read_bytes(), "f", user=FIRST, item=SECOND).num_left_out == 3
    told: list[int] = []
    list(libfm.read_pieces(path, ReadOptions(on_left_out=told.append), 16))
    assert len(told) > 1 and sum(told) == 3
    assert convert(path, tmp_path / "a.store", split="none")["left_out"] == 3


def test_shortest_rows() -> None:
    """There must be room for all of them; user and item may be one feature."""
    table = parse_libfm(b"1 0:1\n" * 5000 + b"1 7:1", "f", user=FIRST, item=FIRST)
    assert len(table.users) == 5001 and table.user_ids.tolist() == [0, 7]


def test_by_place_and_by_range(tmp_path: Path) -> None:
    path = tmp_path / "a.libfm"
    path.write_text(
        "1 5:1 105:1 200:.5\n-1 6:1 105:1\n4.5\t106:1\t5:2 # note\r\n\n0 7:1 108:1\n1 qid:3 6:1 105:1"
    )
    by_range = libfm.read_file(path, columns={"user": "0-99", "item": "100-199"})
    by_place, as_typed = (
        libfm.read_file(path, columns=c)
        for c in ({"user": 0, "item": 1}, {"user": "0", "item": "1"})
    )
    assert np.array_equal(by_place.users, as_typed.users)
    assert np.array_equal(by_place.items, as_typed.items)
    assert by_range.user_ids is not None and by_range.item_ids is not None
    assert by_range.user_ids[by_range.users].tolist() == [5, 5, 6]
    assert by_range.item_ids[by_range.items].tolist() == [105, 106, 105]
    assert by_range.values is not None and by_range.values.tolist() == [1, 4.5, 1]
    by_place = libfm.read_file(path)
    assert by_place.user_ids is not None
    assert by_place.user_ids[by_place.users].tolist() == [5, 106, 6]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1 2:nan 3:1\n", "f:1:5: expected a finite number as feature value, got 'nan'"),
        (b"1 2:1 3:inf\n", "f:1:9: expected a finite number as feature value, got 'inf'"),
        (b"1 2:1 3:1 4:-inf\n", "f:1:13: expected a finite number as feature value, got '-inf'"),
        (b"1 2:1 3:1\nnan 2:1 3:1\n", "f:2:1: expected a finite number as label, got 'nan'"),
        (b"1e39 2:1 3:1\n", "f:1:1: expected a value within the range of float32, got '1e39'"),
        (b"1 2:1 x\n", "f:1:7: expected a feature as INDEX:VALUE, got 'x'"),
        (b"1 2:1 x:1\n", "f:1:7: expected a feature index from 0 up, got 'x:1'"),
        (b"1 2:1 -3:1\n", "f:1:7: expected a feature index from 0 up, got '-3:1'"),
        (b"1 2:1 3:\n", "f:1:9: expected a finite number as feature value, got an empty field"),
        (b"1 2:1 03:1\n", "f:1:7: expected a feature index from 0 up, got '03:1'"),
        (b"1 2:1\n", "f:1:1: expected an item feature, got a row without one"),
        (b"1\n", "f:1:1: expected a user feature, got a row without one"),
        (b"1 2:0 3:1\n", "f:1:3: expected a user feature with a value that is not 0, got '2:0'"),
        (b"1 2:1 99999999999999999999:1\n", "f:1:7: expected a feature index from 0 up, got"),
        (b"1 2:1 3:1\n\0", "f:2:1: expected a finite number as label, got '\\x00'"),
    ],
)
def test_refuses_with_place(text: bytes, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_libfm(text, "f", user=FIRST, item=SECOND)
    assert str(caught.value).startswith(message)


def test_two_features_of_one_role() -> None:
    with pytest.raises(ValueError, match="f:1:7: expected one user feature in a row, got '3:1'"):
        parse_libfm(b"1 2:1 3:1 9:1", "f", user=(-1, 0, 5), item=(-1, 6, 9))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user": 0}, "expected 'user' and 'item', got"),
        ({"user": 0, "item": 1, "time": 2}, "expected 'user' and 'item', got"),
        ({"user": -1, "item": 1}, "expected a place from 0 or a range"),
        ({"user": "a", "item": 1}, "expected a place from 0 or a range"),
        ({"user": "5-2", "item": 1}, "feature range: expected LOW-HIGH"),
    ],
)
def test_refuses_options(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    path = tmp_path / "a"
    path.write_text("1 2:1 3:1\n")
    with pytest.raises(ValueError, match=message):
        read(path, columns=columns)
    with pytest.raises(ValueError, match="format 'libfm': delimiter and header mean nothing here"):
        libfm.read_files([path], ReadOptions(header=True))


def test_is_told_from_other_formats(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for text, name in [
        ("1 2:1 3:1\n", "libfm"),
        ("-1 2:1 3:1 # x\n1 3:nan 4:1\n", "libfm"),
        ("0 1 2\n", "lightgcn"),
        ("1::2::3\n1::3::4\n", "delimited"),
        ("1 12:30\n", "delimited"),
        ("ann 12:30\n", "delimited"),
    ]:
        path.write_text(text)
        assert detect(path) == name


rows = st.lists(
    st.tuples(
        st.integers(-2, 5), st.permutations(range(4)), st.integers(0, 9), st.integers(10, 19)
    ),
    max_size=30,
)


@given(rows, st.booleans())
def test_any_order_of_features(drawn: list[tuple[int, list[int], int, int]], packed: bool) -> None:
    lines = []
    for label, order, user, item in drawn:
        features = [f"{user}:1", f"{item}:1", "20:0.25", "31:-1e3"]
        lines.append(" ".join([str(label), *(features[k] for k in order)]))
    table = parse_libfm("\n".join(lines).encode(), "f", user=(-1, 0, 9), item=(-1, 10, 19))
    kept = [(user, item, label) for label, _, user, item in drawn if label > 0]
    users, items = table.user_ids[table.users].tolist(), table.item_ids[table.items].tolist()
    assert list(zip(users, items, table.values.tolist(), strict=True)) == kept


@given(st.binary(max_size=80) | st.text("01:. -#\n\tqidnae", max_size=80).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        table = parse_libfm(data, "f", user=FIRST, item=SECOND)
    except ValueError as error:
        assert str(error).startswith("f:")
    else:
        assert np.isfinite(table.values).all() and (table.values > 0).all()


def test_files_share_ids(tmp_path: Path) -> None:
    (tmp_path / "train.libfm").write_text("1 5:1 6:1\n")
    (tmp_path / "test.libfm.gz").write_bytes(gzip.compress(b"1 4:1 6:1\n1 5:1 7:1\n"))
    data = read(tmp_path)
    assert data.test is not None and data.test.user_ids is not None
    assert data.test.user_ids.tolist() == [5, 4] and data.test.users.tolist() == [1, 0]
    assert data.num_items == 2


@pytest.mark.skipif("LTGNN_DATA" not in os.environ, reason="LTGNN_DATA names no folder of data")
@pytest.mark.parametrize(("part", "count"), [("validation", 19063), ("test", 9536)])
def test_frappe(part: str, count: int) -> None:
    path = Path(os.environ["LTGNN_DATA"]) / "frappe" / f"frappe.{part}.libfm.gz"
    columns = {"user": "0-956", "item": "957-5038"}
    by_range = read(path, split="none", columns=columns).train
    by_place = read(path, split="none").train
    for pairs in (by_range, by_place):
        assert len(pairs) == count
        assert pairs.user_ids is not None and pairs.item_ids is not None
        assert pairs.user_ids.min() >= 0 and pairs.user_ids.max() <= 956
        assert pairs.item_ids.min() >= 957 and pairs.item_ids.max() <= 5038
        assert pairs.values is not None and (pairs.values == 1).all()
    assert np.array_equal(by_range.users, by_place.users)
