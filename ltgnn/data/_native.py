"""The compiled text readers, typed: the only place that imports ``ltgnn._io``."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

IdArray = npt.NDArray[np.int64] | npt.NDArray[np.str_]


class LightGcnArrays(NamedTuple):
    """Parsed LightGCN text."""

    users: npt.NDArray[np.int32]  # [num_interactions]
    items: npt.NDArray[np.int32]  # [num_interactions]
    num_users: int
    num_items: int


class LibFmArrays(NamedTuple):
    """Parsed LibFM text; codes count from 0 in order of first appearance."""

    users: npt.NDArray[np.int32]  # [num_interactions]
    user_ids: npt.NDArray[np.int64]  # [num_users]
    items: npt.NDArray[np.int32]  # [num_interactions]
    item_ids: npt.NDArray[np.int64]  # [num_items]
    values: npt.NDArray[np.float32]  # [num_interactions]: the labels
    num_left_out: int  # rows with a label of 0 or less


class DelimitedArrays(NamedTuple):
    """Parsed delimited text; codes count from 0 in order of first appearance."""

    users: npt.NDArray[np.int32]  # [num_interactions]
    user_ids: IdArray  # [num_users]
    items: npt.NDArray[np.int32]  # [num_interactions]
    item_ids: IdArray  # [num_items]
    values: npt.NDArray[np.float32] | None  # [num_interactions]
    times: npt.NDArray[np.float64] | None  # [num_interactions]


def _module() -> Any:
    try:
        return importlib.import_module("ltgnn._io")
    except ImportError as error:
        raise ImportError(
            "ltgnn._io, the compiled file reader, cannot be loaded: build the package first "
            f"(pip install .); {error}"
        ) from error


def display_name(path: str | os.PathLike[str]) -> str:
    """The path as text that can always be encoded, for error messages."""
    return os.fsencode(path).decode("utf-8", "replace")


def parse_lightgcn(
    data: bytes, name: str, num_threads: int = 0, *, first_line: int = 1
) -> LightGcnArrays:
    """Parses LightGCN text; ``num_threads`` 0 chooses by size and never changes the result."""
    return LightGcnArrays(*_module().parse_lightgcn(data, name, num_threads, first_line))


def parse_libfm(
    data: bytes,
    name: str,
    *,
    user: tuple[int, int, int],
    item: tuple[int, int, int],
    first_line: int = 1,
) -> LibFmArrays:
    """Parses LibFM text; a field is (place, low, high), by range of indices where place is -1."""
    return LibFmArrays(
        *_module().parse_libfm(data, name, user=user, item=item, first_line=first_line)
    )


def parse_delimited(
    data: bytes,
    name: str,
    delimiter: str,
    *,
    user: int,
    item: int,
    value: int = -1,
    time: int = -1,
    has_header: bool = False,
    text_users: bool = False,
    text_items: bool = False,
    first_line: int = 1,
    num_threads: int = 0,
) -> DelimitedArrays:
    """Parses delimited text; ``user`` to ``time`` are columns from 0, -1 for "there is none".

    ``num_threads`` 0 chooses by size and never changes the result.
    """
    return DelimitedArrays(
        *_module().parse_delimited(
            data,
            name,
            delimiter,
            num_threads,
            user=user,
            item=item,
            value=value,
            time=time,
            has_header=has_header,
            text_users=text_users,
            text_items=text_items,
            first_line=first_line,
        )
    )


def preview_rows(data: bytes, delimiter: str, max_rows: int) -> Sequence[Sequence[str]]:
    """The first rows of delimited text; stops silently at the first malformed one."""
    rows: list[list[str]] = _module().preview_rows(data, delimiter, max_rows)
    return rows


def last_row_end(data: bytes, delimiter: str) -> int:
    """How many of the bytes, which start a row of delimited text, are whole rows."""
    return int(_module().last_row_end(data, delimiter))


def int_ids() -> Any:
    """An empty table: ``add(int64 [n]) -> codes int32 [n]``, ``ids() -> int64``, ``len``."""
    return _module().IntIds()


def text_ids() -> Any:
    """An empty table: ``add(text [n]) -> codes int32 [n]``, ``texts()``, ``packed()``, ``len``.

    ``packed()`` is (offsets int64 [size + 1], UTF-8 bytes uint8).
    """
    return _module().TextIds()


def guarded_map(file: int, offset: int, size: int) -> Any:
    """A read-only map of ``size`` bytes of an open file; an object with the buffer protocol.

    A page that cannot be read, as the file was truncated or the disk fails, is zeros instead of the
    end of the process; ``damaged`` is True from then on. ``offset``: a multiple of the page size.
    """
    return _module().GuardedMap(file, offset, size)
