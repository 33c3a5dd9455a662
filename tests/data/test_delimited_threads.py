"""Delimited text read by several threads, and numbers read eight digits at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltgnn.data._native import parse_delimited


def outcome(data: bytes, delimiter: str, num_threads: int, **options: Any) -> Any:
    """The parsed columns, or the message of the error."""
    try:
        table = parse_delimited(
            data, "f", delimiter, user=0, item=1, num_threads=num_threads, **options
        )
    except ValueError as error:
        return str(error)
    return [None if column is None else (str(column.dtype), column.tolist()) for column in table]


ids = st.integers(0, 30).map(str) | st.sampled_from(["007", "x7", "-3", "12345678901", "é", ""])
values = st.sampled_from(["1", "4.5", "1e3", "99999999", "-2", "nan", "x"])
valid_values = st.sampled_from(["1", "4.5", "1e3", "99999999", "-2"])


@given(
    st.lists(st.tuples(ids, ids, valid_values), max_size=40),
    st.lists(st.tuples(ids, ids, values), max_size=3),
    st.lists(st.tuples(ids, ids, valid_values), max_size=20),
    st.sampled_from(["\n", "\r\n", "\n\n \n"]),
    st.sampled_from([",", " ", "::", "\t"]),
    st.booleans(),
    st.sampled_from(["", "\n\n\n\n", "\ufeff"]),
)
def test_threads_change_nothing(
    rows: list[tuple[str, ...]],
    odd: list[tuple[str, ...]],
    more: list[tuple[str, ...]],
    line_break: str,
    delimiter: str,
    has_header: bool,
    start: str,
) -> None:
    lines = [delimiter.join(row) for row in (*rows, *odd, *more)]
    data = (start + line_break.join(lines)).encode()
    expected = outcome(data, delimiter, 1, value=2, has_header=has_header)
    for num_threads in (2, 3, 7):
        assert outcome(data, delimiter, num_threads, value=2, has_header=has_header) == expected


@given(st.text('01a,"\n\r é\0', max_size=80).map(str.encode), st.booleans())
def test_threads_change_nothing_of_any_text(data: bytes, has_header: bool) -> None:
    expected = outcome(data, ",", 1, has_header=has_header)
    for num_threads in (2, 5):
        assert outcome(data, ",", num_threads, has_header=has_header) == expected


@pytest.mark.parametrize("num_threads", [1, 2, 5])
@pytest.mark.parametrize("text_ids", [False, True])
def test_codes_in_order_of_first_appearance(num_threads: int, text_ids: bool) -> None:
    rng = np.random.default_rng(num_threads)
    pairs = rng.integers(-50, 1000, (5000, 2)) * 10 ** rng.integers(0, 9, (5000, 1))
    times = rng.integers(0, 10**16, 5000)
    prefix = "u" if text_ids else ""
    lines = [
        f"{prefix}{u},{i},{t}" for (u, i), t in zip(pairs.tolist(), times.tolist(), strict=True)
    ]
    # Blank lines at the start of a piece: its rows have to move up behind those of the piece before.
    lines[700:700] = [""] * 999
    data = "\n".join(["user,item,time", *lines]).encode()
    table = parse_delimited(
        data, "f", ",", user=0, item=1, time=2, has_header=True, num_threads=num_threads
    )
    users = [f"{prefix}{user}" for user in pairs[:, 0].tolist()]
    assert [str(user) for user in table.user_ids.tolist()] == list(dict.fromkeys(users))
    assert [str(user) for user in table.user_ids[table.users].tolist()] == users
    assert table.item_ids.tolist() == list(dict.fromkeys(pairs[:, 1].tolist()))
    assert table.item_ids[table.items].tolist() == pairs[:, 1].tolist()
    assert table.times is not None and table.times.tolist() == times.astype(float).tolist()


@pytest.mark.parametrize("num_threads", [1, 3])
def test_short_rows_of_many_columns(num_threads: int) -> None:
    """No shorter row is possible: there must be room for all of them."""
    table = parse_delimited(
        b"1,,,,,,,,,2\n" * 5000, "f", ",", user=0, item=9, num_threads=num_threads
    )
    assert len(table.users) == 5000 and table.item_ids.tolist() == [2]
    bare = parse_delimited(
        b"1,2\n" * 5000 + b"3,4", "f", ",", user=0, item=1, num_threads=num_threads
    )
    assert len(bare.users) == 5001 and bare.user_ids.tolist() == [1, 3]


@pytest.mark.parametrize("num_threads", [1, 4])
def test_the_first_error_wins(num_threads: int) -> None:
    rows = [b"%d,%d,1" % (i % 7, i) for i in range(100)]
    rows[80] = b"1,2"
    rows[60] = b"1,2,z"
    data = b"\n".join(rows)
    message = "f:61:5: expected a finite number as value, got 'z'"
    assert outcome(data, ",", num_threads, value=2) == message
    assert outcome(data.replace(b"1,2,z", b"1,2,1"), ",", num_threads, value=2).startswith("f:81:1")


@pytest.mark.parametrize("num_threads", [1, 4])
def test_a_quoted_line_break_is_never_cut(num_threads: int) -> None:
    data = b"".join(b'%d,2,"a\n7,8,9\n"\n' % i for i in range(60))
    table = parse_delimited(data, "f", ",", user=0, item=1, num_threads=num_threads)
    assert table.user_ids[table.users].tolist() == list(range(60))
    assert table.item_ids.tolist() == [2]


@given(
    st.integers(0, 10**20) | st.sampled_from([10**e + d for e in range(1, 20) for d in (-1, 0, 1)]),
    st.sampled_from(["", "0", "-", "+", " "]),
    st.integers(0, 20),
)
def test_integers_of_any_length(number: int, sign: str, behind: int) -> None:
    text = sign + str(number)
    data = f"{text},{text},{text}\n".encode() + b"1,1,1\n" * behind
    table = parse_delimited(data, "f", ",", user=0, item=1, time=2)
    canonical = str(int(text)) == text.strip(" ") and abs(int(text)) < 2**63
    kind = np.dtype(np.int64).kind if canonical else "U"
    assert table.user_ids.dtype.kind == table.item_ids.dtype.kind == kind
    assert str(table.user_ids[0]) == text.strip(" ")
    assert table.times is not None and table.times[0] == float(text)
