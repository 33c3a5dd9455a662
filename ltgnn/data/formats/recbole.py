"""RecBole's atomic files of interactions (``.inter``): tab-separated, with a typed header.

The header names each column with its type, ``user_id:token  item_id:token  rating:float
timestamp:float``. User and item are tokens, value and time are floats; other columns are skipped, of
whatever type. Which column is what, is told by well-known names, or by ``columns``.

Source of the format: Zhao et al., *RecBole*, CIKM 2021.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from os import PathLike

from ltgnn.data._native import display_name
from ltgnn.data.formats import delimited
from ltgnn.data.formats.base import Format, ReadOptions, refuse_options
from ltgnn.data.formats.layout import role_of
from ltgnn.data.interactions import Interactions
from ltgnn.data.source import read_prefix

NAME = "recbole"
TAKES = frozenset({"columns"})

_TYPES = ("token", "token_seq", "float", "float_seq")
_TYPE_OF_ROLE = {"user": "token", "item": "token", "value": "float", "time": "float"}
_HEADER_BYTES = 1 << 16


def read_file(path: str | PathLike[str], *, max_bytes: int | None = None) -> Interactions:
    """Reads one ``.inter`` file, plain or gzip.

    Returns:
        Interactions in file order, with id maps.

    Raises:
        ValueError: malformed content, named as ``path:LINE:COL`` (COL counts bytes), a header without
            types or with the wrong ones, or too large.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "tiny.inter"
        ...     _ = file.write_text("item_id:token\\tuser_id:token\\nx\\t7\\n")
        ...     pairs = read_file(file)
        >>> pairs.user_ids.tolist(), pairs.item_ids.tolist()
        ([7], ['x'])
    """
    return read_files([path], ReadOptions(max_bytes=max_bytes))[0]


def read_files(paths: Sequence[str | PathLike[str]], options: ReadOptions) -> list[Interactions]:
    """Reads files with the same columns that share their ids, numbered over all files."""
    settled = [_settle(path, options) for path in paths]
    for path, other in zip(paths, settled, strict=True):
        if other != settled[0]:
            raise ValueError(
                f"{display_name(path)}:1:1: expected the columns of {display_name(paths[0])}, got others"
            )
    return delimited.read_files(paths, settled[0]) if settled else []


def read_pieces(
    path: str | PathLike[str], options: ReadOptions, piece_bytes: int
) -> Iterator[Interactions]:
    """Reads one file in pieces of whole rows, each with a numbering of its own."""
    return delimited.read_pieces(path, _settle(path, options), piece_bytes)


def matches(sample: bytes) -> bool:
    """Whether the first line is a header with a type for every column."""
    fields = _first_line(sample)
    return len(fields) > 1 and all(
        name and kind in _TYPES for name, _, kind in (field.rpartition(":") for field in fields)
    )


def _first_line(sample: bytes) -> list[str]:
    line = sample.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].removesuffix(b"\r")
    return line.decode("utf-8", "replace").split("\t")


def _settle(path: str | PathLike[str], options: ReadOptions) -> ReadOptions:
    """What the typed header says, as options of a delimited table."""
    refuse_options(NAME, options, TAKES)
    name = display_name(path)
    sample, _ = read_prefix(path, _HEADER_BYTES)
    fields = _first_line(sample)
    kinds: dict[str, str] = {}
    for field in fields:
        column, _, kind = field.rpartition(":")
        if not column or kind not in _TYPES or column in kinds:
            raise ValueError(
                f"{name}:1:1: expected a header of distinct NAME:TYPE with types {list(_TYPES)}, "
                f"separated by tabs, got {field[:60]!r}"
            )
        kinds[column] = kind
    columns = dict(options.columns) if options.columns is not None else {}
    if not columns:
        for column in kinds:
            role = role_of(column)
            if role is not None and kinds[column] == _TYPE_OF_ROLE[role]:
                columns.setdefault(role, column)
    if not {"user", "item"} <= set(columns):
        raise ValueError(
            f"{name}:1:1: expected a user and an item column of type token, got {fields}; "
            "pass columns={'user': ..., 'item': ...}"
        )
    for role, wanted in columns.items():
        place = isinstance(wanted, int) and 0 <= wanted < len(kinds)
        column = list(kinds)[int(wanted)] if place else str(wanted)
        kind = kinds.get(column.rpartition(":")[0] or column, "nothing")
        if kind != _TYPE_OF_ROLE.get(role, kind):
            raise ValueError(
                f"{name}:1:1: expected {column!r} of type {_TYPE_OF_ROLE[role]} as {role}, "
                f"got {kind}"
            )
    return replace(options, columns=columns, delimiter="\t", header=True)


FORMAT = Format(NAME, matches, read_files, read_pieces, TAKES)

__all__ = ["FORMAT", "NAME", "matches", "read_file", "read_files", "read_pieces"]
