"""Finds out how a table is laid out: its delimiter, its header and what its columns mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ltgnn.data._native import preview_rows
from ltgnn.data.formats.base import Columns, Header, ReadOptions, typed_place

DELIMITERS = ("\t", "::", ",", ";", "|", " ")  # the first that fits wins, but for these:
_WIDEST = (",", ";", "|")  # a comma may be a decimal one: the most columns win
ROLES = ("user", "item", "value", "time")

# Column names in lower case without punctuation.
_NAMES = {
    "user": "user userid uid username userindex useridx reviewerid customerid visitorid",
    "item": (
        "item itemid iid itemindex itemidx movieid artistid trackid songid albumid bookid isbn "
        "productid asin parentasin businessid gameid appid locationid poiid venueid articleid"
    ),
    "value": "value rating ratings weight count score plays playcount stars overall",
    "time": "time timestamp ts date unixtime unixreviewtime",
}
_ROLE_OF_NAME = {name: role for role, names in _NAMES.items() for name in names.split()}
_PREVIEW_ROWS = 50


@dataclass(frozen=True)
class Layout:
    """How to read a table: ``columns`` holds a column from 0 for each role there is."""

    delimiter: str
    has_header: bool
    columns: dict[str, int]


def sniff_delimiter(data: bytes) -> str | None:
    """The delimiter that cuts the first rows into equally many columns, two at least.

    Of a comma, a semicolon and a bar the one that makes the most columns. If the rows are uneven, the first
    one that cuts the first row: the parser then says where the file goes wrong. None: nothing fits.
    """
    fallback, fits = None, {}
    for delimiter in DELIMITERS:
        widths = [len(row) for row in preview_rows(data, delimiter, _PREVIEW_ROWS)]
        if not widths or widths[0] < 2:
            continue
        if len(set(widths)) == 1:
            fits[delimiter] = widths[0]
        fallback = fallback or delimiter
    first = next(iter(fits), fallback)
    if first not in fits or first not in _WIDEST:
        return first
    return max((one for one in _WIDEST if one in fits), key=fits.__getitem__)


def find_layout(data: bytes, name: str, options: ReadOptions) -> Layout:
    """Settles what the options leave open by looking at the first rows.

    Args:
        data: content of the file, not empty.
        name: file name, for errors.
        options: what the caller knows.

    Raises:
        ValueError: the layout cannot be told, or the options do not fit the file.
    """
    delimiter = options.delimiter
    if delimiter is None:
        delimiter = sniff_delimiter(data)
    if delimiter is None:
        first_line = data.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0][:60]
        shown = first_line.decode("utf-8", "replace").strip()
        raise ValueError(
            f"{name}:1:1: expected at least two columns separated by one of {list(DELIMITERS)}, "
            f"got {shown!r}; pass delimiter= if it is another"
        )
    rows = preview_rows(data, delimiter, _PREVIEW_ROWS)
    if not rows:  # nothing but a malformed row: let the parser describe it
        return Layout(delimiter, False, {"user": 0, "item": 1})
    has_header = _has_header(rows, options.header, options.columns)
    return Layout(delimiter, has_header, _columns(rows[0], has_header, name, options.columns))


def role_of(column_name: str) -> str | None:
    """The role a column name is known for: ``role_of("userId") == "user"``."""
    return _ROLE_OF_NAME.get(_plain(column_name))


def _plain(column_name: str) -> str:
    # RecBole writes "user_id:token"; the type behind the colon is no part of the name.
    return re.sub(r"[^a-z0-9]", "", column_name.split(":", 1)[0].lower())


def _has_header(rows: Sequence[Sequence[str]], header: Header, columns: Columns | None) -> bool:
    if header != "auto":
        return header
    if columns is not None and any(
        isinstance(typed_place(column), str) for column in columns.values()
    ):
        return True
    roles = {role_of(field) for field in rows[0]}
    if {"user", "item"} <= roles:
        return True
    # Names above numbers: no field of the first row is a number, but a whole column below it is.
    if len(rows) < 2 or any(_is_number(field) for field in rows[0]):
        return False
    return any(
        all(_is_number(field) for field in column) for column in zip(*rows[1:], strict=False)
    )


def _columns(
    first_row: Sequence[str], has_header: bool, name: str, wanted: Columns | None
) -> dict[str, int]:
    if wanted is not None:
        unknown = sorted(set(wanted) - set(ROLES))
        if unknown or not {"user", "item"} <= set(wanted):
            raise ValueError(
                "columns: expected 'user', 'item' and perhaps 'value', 'time', "
                f"got {sorted(wanted)}"
            )
        return {
            role: _position(column, first_row, has_header, name) for role, column in wanted.items()
        }
    if has_header:
        found: dict[str, int] = {}
        for position, field in enumerate(first_row):
            role = role_of(field)
            if role is not None:
                found.setdefault(role, position)
        if {"user", "item"} <= set(found):
            return found
        raise ValueError(
            f"{name}:1:1: expected a header with a user and an item column, got {list(first_row)}; "
            "pass columns={'user': ..., 'item': ...}, or header=False if these are data"
        )
    if len(first_row) > len(ROLES):
        raise ValueError(
            f"{name}:1:1: expected at most {len(ROLES)} columns (user, item, value, time) where no "
            f"header names them, got {len(first_row)}; pass columns={{'user': ..., 'item': ...}}"
        )
    return {role: position for position, role in enumerate(ROLES[: max(2, len(first_row))])}


def _position(column: str | int, first_row: Sequence[str], has_header: bool, name: str) -> int:
    if not (has_header and column in first_row):  # a name may be a number, too
        column = typed_place(column)
    if isinstance(column, int) and not isinstance(column, bool):
        if not 0 <= column < len(first_row):
            raise ValueError(
                f"{name}:1:1: expected a column from 0 to {len(first_row) - 1}, got {column}"
            )
        return column
    if not isinstance(column, str):
        raise TypeError(f"columns: expected a name or a number, got {type(column).__name__}")
    if not has_header:
        raise ValueError(f"columns: expected numbers where header is False, got {column!r}")
    for spelled in (list(first_row), [field.split(":", 1)[0] for field in first_row]):
        if column in spelled:
            return spelled.index(column)
    raise ValueError(f"{name}:1:1: expected a column named {column!r}, got {list(first_row)}")


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
