"""Tables of interactions: csv, tsv, blanks, ``::`` and the like, with or without a header.

One row per interaction: a user id, an item id and, where there are such columns, a value and a time
in seconds. Ids may be integers or text. They are numbered in order of first appearance and kept in
``Interactions.user_ids`` and ``item_ids``. Integers count as such only in the usual spelling: a
file with an id like ``007`` has text ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from ltgnn.data._native import (
    DelimitedArrays,
    IdArray,
    display_name,
    last_row_end,
    parse_delimited,
    preview_rows,
)
from ltgnn.data.formats.base import (
    LAYOUT_OPTIONS,
    PIECE_BYTES,
    Columns,
    Format,
    Header,
    ReadOptions,
    is_watched,
)
from ltgnn.data.formats.layout import Layout, find_layout, sniff_delimiter
from ltgnn.data.ids import join
from ltgnn.data.interactions import Interactions
from ltgnn.data.source import last_line_end, parse_pieces, read_bytes, read_prefix

NAME = "delimited"

_PREFIX_BYTES = 1 << 20  # enough rows to tell a layout by


def read_file(
    path: str | PathLike[str],
    *,
    columns: Columns | None = None,
    delimiter: str | None = None,
    header: Header = "auto",
    max_bytes: int | None = None,
) -> Interactions:
    """Reads one table, plain or gzip.

    Args:
        path: the file.
        columns: column of each role ("user", "item", "value", "time"), by name or number from 0.
            None: by well-known names, or in that order where there is no header.
        delimiter: one character, "::", or " " for runs of blanks and tabs; None: find out.
        header: whether the first row holds names; "auto": find out.
        max_bytes: see ``ltgnn.data.read``.

    Returns:
        Interactions in file order, with id maps.

    Raises:
        ValueError: malformed content, named as ``path:LINE:COL`` (COL counts bytes), too large, or
            options that do not fit the file.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "ratings.csv"
        ...     _ = file.write_text("userId,movieId,rating" + chr(10) + "ann,7,4.5")
        ...     pairs = read_file(file)
        >>> str(pairs.user_ids[pairs.users[0]]), int(pairs.item_ids[pairs.items[0]])
        ('ann', 7)
    """
    return read_files([path], ReadOptions(columns, delimiter, header, max_bytes))[0]


def read_files(paths: Sequence[str | PathLike[str]], options: ReadOptions) -> list[Interactions]:
    """Reads tables that share their ids, numbered in order of first appearance over all files."""
    if is_watched(paths, options):
        return join(read_pieces(path, options, PIECE_BYTES) for path in paths)
    names = [display_name(path) for path in paths]
    contents = [read_bytes(path, max_bytes=options.max_bytes) for path in paths]
    layouts = [
        find_layout(data, name, options) if _has_rows(data) else None
        for data, name in zip(contents, names, strict=True)
    ]

    def parse(text_users: bool, text_items: bool) -> list[DelimitedArrays]:
        return [
            _parse(data, name, layout, text_users, text_items)
            for data, name, layout in zip(contents, names, layouts, strict=True)
        ]

    parts = parse(False, False)
    mixed_users = _is_mixed([part.user_ids for part in parts])
    mixed_items = _is_mixed([part.item_ids for part in parts])
    if mixed_users or mixed_items:  # integers in one file, text in another: text in all of them
        parts = parse(mixed_users, mixed_items)
    user_ids, users = _merge([part.user_ids for part in parts], [part.users for part in parts])
    item_ids, items = _merge([part.item_ids for part in parts], [part.items for part in parts])
    return [
        Interactions(
            users[i], items[i], len(user_ids), len(item_ids), part.values, part.times,
            user_ids, item_ids,
        )
        for i, part in enumerate(parts)
    ]  # fmt: skip


def read_pieces(
    path: str | PathLike[str], options: ReadOptions, piece_bytes: int
) -> Iterator[Interactions]:
    """Reads one table in pieces of whole rows, each with a numbering of its own."""
    name = display_name(path)
    prefix, whole = read_prefix(path, _PREFIX_BYTES)
    if not whole:
        prefix = prefix[: last_line_end(prefix) or len(prefix)]
    if not prefix.strip():
        if whole:
            return
        raise ValueError(
            f"{name}:1:1: expected a row within the first {_PREFIX_BYTES} bytes, got blank lines"
        )
    layout = find_layout(prefix, name, options)
    # Without a row the first is malformed: the parser says how.
    width = len(next(iter(preview_rows(prefix, layout.delimiter, 1)), ()))

    def parse(data: bytes, first_line: int, is_first: bool) -> Interactions:
        first_row = preview_rows(data, layout.delimiter, 1)
        if first_row and len(first_row[0]) != width:  # within a piece the parser sees to it
            raise ValueError(
                f"{name}:{first_line}:1: expected {width} columns, got {len(first_row[0])}"
            )
        # In one thread: parse_pieces has two pieces parsed at a time.
        part = _parse(data, name, layout, False, False, first_line, is_first, num_threads=1)
        return Interactions(
            part.users, part.items, len(part.user_ids), len(part.item_ids), part.values, part.times,
            part.user_ids, part.item_ids,
        )  # fmt: skip

    def cut(data: bytes) -> int:
        return last_row_end(data, layout.delimiter)

    yield from parse_pieces(
        path, piece_bytes, cut, parse, max_bytes=options.max_bytes, on_bytes=options.on_bytes
    )


def matches(sample: bytes) -> bool:
    """Whether a sample reads like a table: a delimiter cuts it into two columns or more."""
    return b"\0" not in sample and sniff_delimiter(sample) is not None


def _parse(
    data: bytes,
    name: str,
    layout: Layout | None,
    text_users: bool,
    text_items: bool,
    first_line: int = 1,
    is_first: bool = True,
    num_threads: int = 0,
) -> DelimitedArrays:
    if layout is None:
        layout = Layout(",", False, {"user": 0, "item": 1})  # empty: any layout will do
    return parse_delimited(
        data,
        name,
        layout.delimiter,
        user=layout.columns["user"],
        item=layout.columns["item"],
        value=layout.columns.get("value", -1),
        time=layout.columns.get("time", -1),
        has_header=layout.has_header and is_first,
        text_users=text_users,
        text_items=text_items,
        first_line=first_line,
        num_threads=num_threads,
    )


def _has_rows(data: bytes) -> bool:
    # The start is enough, nearly always: a copy of the whole takes as long as reading it.
    return bool(data[:_PREFIX_BYTES].strip() or data.strip())


def _is_mixed(ids: Sequence[IdArray]) -> bool:
    return len({part.dtype.kind for part in ids if len(part)}) > 1


def _merge(
    ids: Sequence[IdArray], codes: Sequence[npt.NDArray[np.int32]]
) -> tuple[IdArray, list[npt.NDArray[Any]]]:
    """One numbering for several files, in order of first appearance."""
    if len(ids) == 1:
        return ids[0], [codes[0]]
    filled = [part for part in ids if len(part)]
    if not filled:
        return ids[0], list(codes)
    everything: npt.NDArray[Any] = np.concatenate(filled)
    unique, first, inverse = np.unique(everything, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    new_codes = rank[inverse.reshape(-1)]
    ends = np.cumsum([len(part) for part in ids])
    tables = np.split(new_codes, ends[:-1])
    return unique[order], [table[part] for table, part in zip(tables, codes, strict=True)]


FORMAT = Format(NAME, matches, read_files, read_pieces, frozenset(LAYOUT_OPTIONS))
