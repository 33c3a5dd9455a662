"""LibFM and libsvm text: ``label index:value index:value ...``, one interaction a row.

Of each row two features are the user and the item; the others (context, attributes) are checked and
skipped. Which ones, ``columns`` says: by place in the row, counted from 0 (the default: the first two),
or by a range of feature indices, ``{"user": "0-956", "item": "957-5038"}``, which does not depend on the
order in which a row lists them. The indices become external ids. The label becomes the value, and a row
whose label is 0 or less (a negative sample) is left out.

Source of the format: Rendle, *Factorization Machines with libFM*, TIST 2012; Chang and Lin, *LIBSVM*.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from os import PathLike

from ltgnn.data._native import LibFmArrays, display_name, parse_libfm
from ltgnn.data.formats.base import (
    PIECE_BYTES,
    Columns,
    Format,
    ReadOptions,
    is_watched,
    refuse_options,
    typed_place,
)
from ltgnn.data.ids import join
from ltgnn.data.interactions import Interactions
from ltgnn.data.source import last_line_end, parse_pieces, read_bytes

NAME = "libfm"
TAKES = frozenset({"columns"})

_FEATURE = re.compile(rb"\d+:[-+.\deE]+|qid:\d+|\d+:\S*(nan|inf)\S*", re.IGNORECASE)
_RANGE = re.compile(r"(\d{1,18})-(\d{1,18})")
_SAMPLE_LINES = 100

Field = tuple[int, int, int]  # place, low, high


def read_file(
    path: str | PathLike[str], *, columns: Columns | None = None, max_bytes: int | None = None
) -> Interactions:
    """Reads one file, plain or gzip.

    Args:
        path: the file.
        columns: "user" and "item", each a place in the row from 0, or a range of feature indices like
            "957-5038".
        max_bytes: see ``ltgnn.data.read``.

    Returns:
        Interactions in file order; ids are feature indices, values are labels.

    Raises:
        ValueError: malformed content, named as ``path:LINE:COL`` (COL counts bytes), nan or infinity, a
            row without a user or an item, or too large.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "train.libfm"
        ...     _ = file.write_text("1 9:1 3:1" + chr(10) + "-1 4:1 8:1" + chr(10))
        ...     pairs = read_file(file, columns={"user": "0-4", "item": "5-9"})
        >>> pairs.user_ids.tolist(), pairs.item_ids.tolist(), len(pairs)
        ([3], [9], 1)
    """
    return read_files([path], ReadOptions(columns=columns, max_bytes=max_bytes))[0]


def read_files(paths: Sequence[str | PathLike[str]], options: ReadOptions) -> list[Interactions]:
    """Reads files that share their ids, numbered in order of first appearance over all files."""
    user, item = _fields(options)
    if is_watched(paths, options):
        return join(read_pieces(path, options, PIECE_BYTES) for path in paths)
    return join(
        [_interactions(parse_libfm(read_bytes(path, max_bytes=options.max_bytes),
                                   display_name(path), user=user, item=item))]
        for path in paths
    )  # fmt: skip


def read_pieces(
    path: str | PathLike[str], options: ReadOptions, piece_bytes: int
) -> Iterator[Interactions]:
    """Reads one file in pieces of whole lines, each with a numbering of its own."""
    user, item = _fields(options)
    name = display_name(path)

    def parse(data: bytes, first_line: int, is_first: bool) -> Interactions:
        table = parse_libfm(data, name, user=user, item=item, first_line=first_line)
        if options.on_left_out is not None:
            options.on_left_out(table.num_left_out)
        return _interactions(table)

    return parse_pieces(
        path,
        piece_bytes,
        last_line_end,
        parse,
        max_bytes=options.max_bytes,
        on_bytes=options.on_bytes,
    )


def matches(sample: bytes) -> bool:
    """Whether the first rows are a number and then nothing but ``index:value``."""
    lines = sample.removeprefix(b"\xef\xbb\xbf").splitlines()[:_SAMPLE_LINES]
    rows = [row for row in (line.split(b"#", 1)[0].split() for line in lines) if row]
    return bool(rows) and all(_is_row(row) for row in rows[: max(1, len(rows) // 2)])


def _is_row(row: list[bytes]) -> bool:
    try:
        float(row[0])
    except ValueError:
        return False
    return len(row) > 2 and all(_FEATURE.fullmatch(token) for token in row[1:])


def _interactions(table: LibFmArrays) -> Interactions:
    return Interactions(
        table.users, table.items, len(table.user_ids), len(table.item_ids), table.values, None,
        table.user_ids, table.item_ids,
    )  # fmt: skip


def _fields(options: ReadOptions) -> tuple[Field, Field]:
    refuse_options(NAME, options, TAKES)
    columns = options.columns if options.columns is not None else {"user": 0, "item": 1}
    if set(columns) != {"user", "item"}:
        raise ValueError(
            f"format {NAME!r}: columns: expected 'user' and 'item', got {sorted(columns)}"
        )
    return _field(columns["user"]), _field(columns["item"])


def _field(which: str | int) -> Field:
    which = typed_place(which)
    if isinstance(which, int) and not isinstance(which, bool) and which >= 0:
        return which, 0, 0
    found = _RANGE.fullmatch(which) if isinstance(which, str) else None
    if found is None:
        raise ValueError(
            f"format {NAME!r}: columns: expected a place from 0 or a range of feature indices like "
            f"'957-5038', got {which!r}"
        )
    return -1, int(found[1]), int(found[2])


FORMAT = Format(NAME, matches, read_files, read_pieces, TAKES)

__all__ = ["FORMAT", "NAME", "matches", "read_file", "read_files", "read_pieces"]
