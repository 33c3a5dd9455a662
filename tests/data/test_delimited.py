"""Tables: layouts, ids, and what is refused at which place."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltgnn.data import Interactions, detect
from ltgnn.data import read as ltgnn_read
from ltgnn.data._native import parse_delimited
from ltgnn.data.formats import ReadOptions, delimited


def external(pairs: Interactions) -> list[tuple[Any, Any]]:
    assert pairs.user_ids is not None and pairs.item_ids is not None
    users, items = pairs.user_ids[pairs.users], pairs.item_ids[pairs.items]
    return list(zip(users.tolist(), items.tolist(), strict=True))


def read(tmp_path: Path, text: str | bytes, **options: Any) -> Interactions:
    path = tmp_path / "t"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return delimited.read_file(path, **options)


@pytest.mark.parametrize("delimiter", ["\t", ",", ";", "|", " ", "::"])
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\n\n"])
def test_delimiters_are_found(tmp_path: Path, delimiter: str, line_break: str) -> None:
    rows = [["9", "70", "4.5", "100"], ["8", "70", "1", "101"], ["9", "71", "2e0", "102.5"]]
    text = line_break.join(delimiter.join(row) for row in rows)
    for end in ("", line_break):
        pairs = read(tmp_path, text + end)
        assert external(pairs) == [(9, 70), (8, 70), (9, 71)]
        assert pairs.users.tolist() == [0, 1, 0]  # in order of first appearance
        assert pairs.values is not None and pairs.values.tolist() == [4.5, 1.0, 2.0]
        assert pairs.times is not None and pairs.times.tolist() == [100.0, 101.0, 102.5]
        assert pairs.users.dtype == np.int32 and pairs.values.dtype == np.float32


def test_a_decimal_comma_is_no_delimiter(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a finite number as value, got '3,5'"):
        read(tmp_path, "1;2;3,5\n1;3;4,0\n")
    assert external(read(tmp_path, "1,2,3;5\n", columns={"user": 0, "item": 2})) == [(1, "3;5")]


def test_columns_of_a_wide_table(tmp_path: Path) -> None:
    names = ["who", "what", *(f"f{k}" for k in range(2000))]
    rows = [names, [str(k) for k in range(2002)]]
    text = "\n".join(",".join(row) for row in rows)
    assert external(read(tmp_path, text, columns={"user": "f5", "item": "f1999"})) == [(7, 2001)]
    with pytest.raises(ValueError, match="t:1:1: expected a column named 'nope'"):
        read(tmp_path, text, columns={"user": "f5", "item": "nope"})
    with pytest.raises(ValueError, match="t:1:.*at most 65536 columns, got 65537"):
        read(tmp_path, ",".join(map(str, range(65537))), delimiter=",")


def test_a_tab_as_it_is_typed(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text("a b\tc d\n")
    train = ltgnn_read(path, delimiter=r"\t", header=False, split="none").train
    assert external(train) == [("a b", "c d")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"header": "no"}, "header: expected True, False or 'auto', got 'no'"),
        ({"columns": ["u", "i"]}, "columns: expected a mapping like .* got list"),
    ],
)
def test_options_of_the_wrong_kind(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        read(tmp_path, "1,2\n", **options)


@pytest.mark.parametrize(
    "header",
    ["userId,movieId,rating,timestamp", "user_id:token,item_id:token,rating:float,timestamp:float"],
)
def test_known_names(tmp_path: Path, header: str) -> None:
    pairs = read(tmp_path, header + "\n1,2,3.5,4\n")
    assert external(pairs) == [(1, 2)]
    assert pairs.values is not None and pairs.values[0] == 3.5
    assert pairs.times is not None and pairs.times[0] == 4.0


def test_columns_by_name_and_number(tmp_path: Path) -> None:
    text = "when,who,what\n5,ann,x\n6,bob,y\n"
    by_name = read(tmp_path, text, columns={"user": "who", "item": "what", "time": "when"})
    by_number = read(tmp_path, text, columns={"user": 1, "item": 2, "time": 0}, header=True)
    assert external(by_name) == external(by_number) == [("ann", "x"), ("bob", "y")]
    assert by_name.times is not None and by_name.times.tolist() == [5.0, 6.0]


def test_columns_typed_as_text(tmp_path: Path) -> None:
    """A command line has no numbers: digits are a place, and no sign of a header; unless a header has the name."""
    columns = {"user": "1", "item": "0"}
    assert external(read(tmp_path, "10,7,5\n11,8,4\n", columns=columns)) == [(7, 10), (8, 11)]
    named = read(tmp_path, "a,0,1\n3,10,7\n", columns=columns, header=True)
    assert external(named) == [(7, 10)]


def test_header_above_numbers_without_known_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"t:1:1: expected a header with a user and an item col"):
        read(tmp_path, "a,b\n1,2\n")


def test_text_without_header(tmp_path: Path) -> None:
    assert external(read(tmp_path, "ann,x\nbob,y\n")) == [("ann", "x"), ("bob", "y")]


def test_header_only_and_empty(tmp_path: Path) -> None:
    for text in ("user,item\n", "", "\n \r\n"):
        pairs = read(tmp_path, text)
        assert (len(pairs), pairs.num_users, pairs.num_items) == (0, 0, 0)


def test_ids_keep_their_spelling(tmp_path: Path) -> None:
    pairs = read(tmp_path, "7,1\n007,-5\n7,9223372036854775807\n")
    assert external(pairs) == [("7", 1), ("007", -5), ("7", 9223372036854775807)]
    big = read(tmp_path, "1,9223372036854775808\n")
    assert external(big) == [(1, "9223372036854775808")]


def test_quotes(tmp_path: Path) -> None:
    text = 'user,item,note\n"a, ""b""",1,"two\nlines"\n "c" ,"2", x\n'
    assert external(read(tmp_path, text)) == [('a, "b"', 1), ("c", 2)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1,2,3\n1,2,x\n", "f:2:5: expected a finite number as value, got 'x'"),
        (b"1,2,3\n1,2,nan\n", "f:2:5: expected a finite number as value, got 'nan'"),
        (b"1,2,-inf\n", "f:1:5: expected a finite number as value, got '-inf'"),
        (b"1,2,1e999\n", "f:1:5: expected a finite number as value, got '1e999'"),
        (b"1,2,1e39\n", "f:1:5: expected a value within the range of float32, got '1e39'"),
        (b"1,2,0x10\n", "f:1:5: expected a finite number as value, got '0x10'"),
        (b"1,2,1.2.3\n", "f:1:5: expected a finite number as value, got '1.2.3'"),
        (b"1,2,.\n", "f:1:5: expected a finite number as value, got '.'"),
        (b"1,2,3 4\n", "f:1:5: expected a finite number as value, got '3 4'"),
        (b"1,2,\n", "f:1:5: expected a finite number as value, got an empty field"),
        (b"1,,3\n", "f:1:3: expected an item id, got an empty field"),
        (b",2,3\n", "f:1:1: expected a user id, got an empty field"),
        (b"1,2,3\n\n1,2\n", "f:3:1: expected 3 columns, got 2"),
        (b"1,2,3\n1,2,3,4\n", "f:2:1: expected 3 columns, got 4"),
        (b"1,2\n", "f:1:1: expected at least 3 columns, got 2"),
        (b"1,2,3\n1,2\x00,3\n", "f:2:4: expected text, got a NUL byte (binary or UTF-16 file?)"),
        (b'1,"2,3\n4,5,6\n', "f:1:3: expected a closing quote for this field, got end of file"),
        (
            b'1,"2"3,4\n',
            "f:1:6: expected a delimiter or a line break after the closing quote, got '3'",
        ),
        (b"\xff,2,3\n", "f:1:1: expected a user id in UTF-8, got '\\xff'"),
        (b"\xed\xa0\x80,2,3\n", "f:1:1: expected a user id in UTF-8, got '\\xed\\xa0\\x80'"),
        (b"a\x07,2,3\n", "f:1:1: expected a user id without control characters, got 'a\\x07'"),
        (
            b"1," + b"y" * 257 + b",3",
            "f:1:3: expected an item id of at most 256 bytes, got 257 bytes",
        ),
    ],
)
def test_refuses_with_place(text: bytes, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_delimited(text, "f", ",", user=0, item=1, value=2)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("justoneword\nanother\n", {}, "t:1:1: expected at least two columns"),
        ("1,2,3,4,5\n", {}, "t:1:1: expected at most 4 columns"),
        ("1,2\n", {"columns": {"user": 0}}, "columns: expected 'user', 'item'"),
        ("1,2\n", {"columns": {"user": 0, "item": 5}}, "expected a column from 0 to 1, got 5"),
        ("a,b\n", {"columns": {"user": "a", "item": "z"}}, "expected a column named 'z'"),
        ("1,2\n", {"columns": {"user": 1, "item": 1}}, "already has another role"),
        ("1,2\n", {"delimiter": "ab"}, "delimiter: expected one character or '::'"),
        ("15253\n", {"delimiter": "5"}, "delimiter: expected one character or '::', and no digit"),
        ("1,2\n", {"max_bytes": 3}, "t: expected at most 3 bytes"),
    ],
)
def test_refuses_options(tmp_path: Path, text: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        read(tmp_path, text, **options)


def test_one_long_id_cannot_multiply_memory() -> None:
    text = b"".join(b"u%d,1\n" % i for i in range(150_000)) + b"x" * 256 + b",1\n"
    with pytest.raises(ValueError, match="expected ids of similar length"):
        parse_delimited(text, "f", ",", user=0, item=1)


def test_files_share_ids(tmp_path: Path) -> None:
    train, test = tmp_path / "train.tsv", tmp_path / "test.tsv.gz"
    train.write_text("5\ta\n4\tb\n")
    test.write_bytes(gzip.compress(b"5\tc\nx9\tb\n"))  # text: 5 and 4 become text as well
    first, second = delimited.read_files([train, test], ReadOptions())
    assert external(first) == [("5", "a"), ("4", "b")]
    assert external(second) == [("5", "c"), ("x9", "b")]
    assert first.num_users == second.num_users == 3
    assert first.user_ids is second.user_ids


identifier = st.one_of(
    st.integers(-(2**63) + 1, 2**63 - 1).map(str),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).filter(
        lambda text: text == text.strip(" ") and text != ""
    ),
)
number = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(identifier, identifier, number), min_size=1, max_size=20))
def test_round_trip_through_csv(rows: list[tuple[str, str, float]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows(rows)
    table = parse_delimited(buffer.getvalue().encode(), "f", ",", user=0, item=1, value=2)
    users = [str(user) for user in table.user_ids[table.users].tolist()]
    items = [str(item) for item in table.item_ids[table.items].tolist()]
    assert table.values is not None
    assert [(*pair, v) for *pair, v in zip(users, items, table.values.tolist(), strict=True)] == [
        (user, item, float(np.float32(value))) for user, item, value in rows
    ]
    assert len(set(users)) == len(table.user_ids)
    assert [str(x) for x in table.user_ids.tolist()] == list(dict.fromkeys(users))


@given(
    st.binary(max_size=120) | st.text('01a.,:;|\t "\r\n\0é', max_size=60).map(str.encode),
    st.sampled_from(["\t", ",", " ", "::", "|"]),
    st.booleans(),
)
def test_any_bytes_are_read_or_refused(data: bytes, delimiter: str, header: bool) -> None:
    try:
        table = parse_delimited(
            data, "f", delimiter, user=1, item=0, value=2, time=3, has_header=header
        )
    except ValueError as error:
        assert str(error).startswith("f:")
    else:
        assert table.values is not None and np.isfinite(table.values).all()
        if len(table.users):
            assert table.users.max() + 1 == len(table.user_ids)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("0 1 2\n1 4\n", "lightgcn"),
        ("0 1 2\n1 4 5\n", "lightgcn"),  # even, but another user on each line
        ("0 1 2\n0 4 5\n", "delimited"),
        ("1\t51\t7\n2\t51\t8\n", "delimited"),
        ("0 1 2 3\n1 3 oops\n", "lightgcn"),  # a typing error does not make it a table
        ("user item\n0 5\n1 6\n", "delimited"),
        ("a,b\nc,d\n", "delimited"),
        ("", "lightgcn"),
    ],
)
def test_detect(tmp_path: Path, text: str, name: str) -> None:
    path = tmp_path / "any.name"
    for content in (text.encode(), gzip.compress(text.encode())):
        path.write_bytes(content)
        assert detect(path) == name


def test_detect_refuses_binary(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes(b"\x80\x02}q\x00X\x05\x00\x00\x00" * 10)
    with pytest.raises(ValueError, match="expected one of the formats"):
        detect(path)
