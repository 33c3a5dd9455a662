"""LightGCN text: what is read, and what is refused at which place."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltgnn.data._native import parse_lightgcn
from ltgnn.data.formats import detect, lightgcn

ID = "id from 0 to 2147483646"


def parse(text: bytes, num_threads: int = 0) -> tuple[list[int], list[int], int, int]:
    users, items, num_users, num_items = parse_lightgcn(text, "f", num_threads)
    assert users.dtype == items.dtype == np.int32
    assert users.flags.c_contiguous
    return users.tolist(), items.tolist(), num_users, num_items


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", ([], [], 0, 0)),
        (b"\n\n \n\t\r\n\r\n", ([], [], 0, 0)),
        (b"0 1 2\n1 0\n", ([0, 0, 1], [1, 2, 0], 2, 3)),
        (b"0 1 2\r\n1 0\r\n", ([0, 0, 1], [1, 2, 0], 2, 3)),
        (b"0 1 2\r\n1 0\r", ([0, 0, 1], [1, 2, 0], 2, 3)),
        (b"0 1 2\n1 0", ([0, 0, 1], [1, 2, 0], 2, 3)),
        (b"  0\t 1  2 \n\n1\t0\t", ([0, 0, 1], [1, 2, 0], 2, 3)),
        (b"\xef\xbb\xbf0 1", ([0], [1], 1, 2)),
        (b"7", ([], [], 8, 0)),  # a user without items counts
        (b"3\n0 5\n3 1", ([0, 3], [5, 1], 4, 6)),  # any order, a user twice
        (b"0 2147483646", ([0], [2147483646], 1, 2147483647)),
        (b"0 0000000000000012", ([0], [12], 1, 13)),
    ],
)
def test_reads(text: bytes, expected: tuple[list[int], list[int], int, int]) -> None:
    for num_threads in range(5):
        assert parse(text, num_threads) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"0 1\n1 x\n", f"f:2:3: expected an item {ID}, got 'x'"),
        (b"0 1\n1 2x 3\n", f"f:2:3: expected an item {ID}, got '2x'"),
        (b"a 1", f"f:1:1: expected a user {ID}, got 'a'"),
        (b"0 1\n\n -1 4", f"f:3:2: expected a user {ID}, got '-1'"),
        (b"0 -1", f"f:1:3: expected an item {ID}, got '-1'"),
        (b"0 2147483647", f"f:1:3: expected an item {ID}, got '2147483647'"),
        (b"0 99999999999999999999", f"f:1:3: expected an item {ID}, got '99999999999999999999'"),
        (b"4294967296 1", f"f:1:1: expected a user {ID}, got '4294967296'"),
        (b"0 1.5", f"f:1:3: expected an item {ID}, got '1.5'"),
        (b"0 1,2", f"f:1:3: expected an item {ID}, got '1,2'"),
        (b"0 1\x002", f"f:1:3: expected an item {ID}, got '1\\x002'"),
        (b"0 1\n\x01\n", f"f:2:1: expected a user {ID}, got '\\x01'"),
        (b"0 1\r2 3\n", f"f:1:3: expected an item {ID}, got '1\\x0d2'"),
        (b"0 nan", f"f:1:3: expected an item {ID}, got 'nan'"),
        (b"0 \xc3\xa9", f"f:1:3: expected an item {ID}, got '\\xc3\\xa9'"),
        (b"0 " + b"z" * 99, f"f:1:3: expected an item {ID}, got '{'z' * 32}'..."),
    ],
)
def test_refuses_with_place(text: bytes, message: str) -> None:
    for num_threads in range(5):
        with pytest.raises(ValueError) as caught:
            parse(text, num_threads)
        assert str(caught.value) == message


def test_first_error_wins_whatever_the_threads() -> None:
    text = b"".join(b"%d 1\n" % i for i in range(100)) + b"x\n" + b"0 1\n" * 100 + b"y\n"
    for num_threads in (1, 2, 7):
        with pytest.raises(ValueError, match=r"^f:101:1: .* got 'x'$"):
            parse(text, num_threads)


rows = st.lists(
    st.tuples(st.integers(0, 2**31 - 2), st.lists(st.integers(0, 2**31 - 2), max_size=6)),
    max_size=20,
)


@given(rows, st.sampled_from([" ", "\t", "   "]), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_round_trip(rows: list[tuple[int, list[int]]], blank: str, line_break: str) -> None:
    text = line_break.join(blank.join(map(str, [user, *items])) for user, items in rows)
    users = [user for user, items in rows for _ in items]
    flat = [item for _, items in rows for item in items]
    expected = (
        users,
        flat,
        max((user + 1 for user, _ in rows), default=0),
        max((item + 1 for item in flat), default=0),
    )
    for num_threads in (1, 3):
        assert parse(text.encode(), num_threads) == expected


@given(st.binary(max_size=200) | st.text("01 9-x\t\r\n\0", max_size=80).map(str.encode))
def test_any_bytes_are_read_or_refused_alike(data: bytes) -> None:
    outcomes = []
    for num_threads in (1, 2, 5):
        try:
            outcomes.append(str(parse(data, num_threads)))
        except ValueError as error:
            assert str(error).startswith("f:")
            outcomes.append(str(error))
    assert len(set(outcomes)) == 1


def test_read_file_and_gzip(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.txt", tmp_path / "b"
    plain.write_bytes(b"0 1 2\n1 0\n")
    packed.write_bytes(gzip.compress(b"0 1 2\n") + gzip.compress(b"1 0\n"))  # two members
    for path in (plain, packed):
        pairs = lightgcn.read_file(path)
        assert (pairs.items.tolist(), pairs.num_users, pairs.num_items) == ([1, 2, 0], 2, 3)
        assert pairs.user_ids is None and pairs.values is None
        assert detect(path) == "lightgcn"


def test_file_name_stands_in_the_message(tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_text("0 1\n1 2\n2 q\n")
    with pytest.raises(ValueError, match=r"bad\.txt:3:3: expected an item id"):
        lightgcn.read_file(path)
