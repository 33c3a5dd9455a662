"""LightGCN text: one line per user, ``uid item item ...``, ids from 0.

A user may have no items, lines may come in any order and a user may have several lines. Used by
NGCF, LightGCN, UltraGCN, LTGNN and most work in between. Source of the format: Wang et al., *Neural
Graph Collaborative Filtering*, SIGIR 2019.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike

from ltgnn.data._native import display_name, parse_lightgcn
from ltgnn.data.formats.base import PIECE_BYTES, Format, ReadOptions, is_watched, refuse_options
from ltgnn.data.ids import join
from ltgnn.data.interactions import Interactions
from ltgnn.data.source import last_line_end, parse_pieces, read_bytes

NAME = "lightgcn"

_SAMPLE_LINES = 2000
_MAX_TABLE_COLUMNS = 4  # user, item, value, time


def read_file(path: str | PathLike[str], *, max_bytes: int | None = None) -> Interactions:
    """Reads one file, plain or gzip.

    Args:
        path: the file.
        max_bytes: see ``ltgnn.data.read``.

    Returns:
        Interactions in file order; ids are the indices, so there are no id maps.

    Raises:
        ValueError: malformed content, named as ``path:LINE:COL`` (COL counts bytes), or too large.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "train.txt"
        ...     _ = file.write_text("0 2 1" + chr(10) + "1" + chr(10))
        ...     pairs = read_file(file)
        >>> pairs.items.tolist(), pairs.num_users, pairs.num_items
        ([2, 1], 2, 3)
    """
    return read_files([path], ReadOptions(max_bytes=max_bytes))[0]


def read_files(paths: Sequence[str | PathLike[str]], options: ReadOptions) -> list[Interactions]:
    """Reads files that share their ids: every result counts the users and items of all of them."""
    refuse_options(NAME, options)
    if is_watched(paths, options):
        return join(read_pieces(path, options, PIECE_BYTES) for path in paths)
    parts = [
        parse_lightgcn(read_bytes(path, max_bytes=options.max_bytes), display_name(path))
        for path in paths
    ]
    num_users = max((part.num_users for part in parts), default=0)
    num_items = max((part.num_items for part in parts), default=0)
    return [Interactions(part.users, part.items, num_users, num_items) for part in parts]


def read_pieces(
    path: str | PathLike[str], options: ReadOptions, piece_bytes: int
) -> Iterator[Interactions]:
    """Reads one file in pieces of whole lines."""
    refuse_options(NAME, options)
    name = display_name(path)

    def parse(data: bytes, first_line: int, is_first: bool) -> Interactions:
        return Interactions(*parse_lightgcn(data, name, first_line=first_line))

    return parse_pieces(
        path,
        piece_bytes,
        last_line_end,
        parse,
        max_bytes=options.max_bytes,
        on_bytes=options.on_bytes,
    )


def matches(sample: bytes) -> bool:
    """Whether a sample reads like LightGCN text rather than a table.

    Only the first line must be flawless, so that a typing error further down is reported by this
    format, with its place. Tables with constant width are told apart by their first column: here
    each line is another user.
    """
    lines = [line.split() for line in sample.removeprefix(b"\xef\xbb\xbf").splitlines()]
    rows = [line for line in lines[:_SAMPLE_LINES] if line]
    if not rows:
        return True
    whole = [row for row in rows if all(token.isdigit() for token in row)]
    if not all(_is_integer(token) for token in rows[0]) or 2 * len(whole) < len(rows):
        return False
    widths = {len(row) for row in whole}
    if len(widths) > 1 or widths == {1} or max(widths, default=0) > _MAX_TABLE_COLUMNS:
        return True
    users = [int(row[0][:20]) for row in whole]
    increasing = all(left < right for left, right in zip(users, users[1:], strict=False))
    return increasing and b"\t" not in sample


def _is_integer(token: bytes) -> bool:
    return token.removeprefix(b"-").isdigit()


FORMAT = Format(NAME, matches, read_files, read_pieces)

__all__ = ["FORMAT", "NAME", "matches", "read_file", "read_files", "read_pieces"]
