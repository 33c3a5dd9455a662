"""Parquet tables: one row an interaction. Needs pyarrow: ``pip install "ltgnn[parquet]"``.

User and item are integers or text, the value any real number; the time is seconds as a number, or a date
or timestamp, of which the seconds since 1970 (UTC) are kept. Which column is what, is told by well-known
names, or by ``columns``. Nulls, nan and infinities are refused.

Source of the format: https://parquet.apache.org/docs/file-format/
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from ltgnn.data._native import IdArray, display_name
from ltgnn.data.formats.base import Format, ReadOptions, refuse_options
from ltgnn.data.formats.layout import ROLES, role_of
from ltgnn.data.ids import join
from ltgnn.data.interactions import Interactions

NAME = "parquet"
MAGIC = b"PAR1"
TAKES = frozenset({"columns"})

_BYTES_A_ROW = 64  # of memory, about, while a batch is read
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_MAX_ID_BYTES = 256
_WHOLE = 64 << 20


def read_file(path: str | PathLike[str], **options: Any) -> Interactions:
    """Reads one file.

    Args:
        path: the file.
        options: ``columns`` and ``max_bytes`` of ``ltgnn.data.read``.

    Returns:
        Interactions in file order, with id maps.

    Raises:
        ImportError: pyarrow is not installed.
        ValueError: not parquet, damaged, too large, or no column for user or item.
    """
    return read_files([path], ReadOptions(**options))[0]


def read_files(paths: Sequence[str | PathLike[str]], options: ReadOptions) -> list[Interactions]:
    """Reads files that share their ids, numbered in order of first appearance over all files."""
    return join(read_pieces(path, options, _WHOLE) for path in paths)


def read_pieces(
    path: str | PathLike[str], options: ReadOptions, piece_bytes: int
) -> Iterator[Interactions]:
    """Reads one file batch by batch; each batch has a numbering of its own."""
    refuse_options(NAME, options, TAKES)
    arrow, parquet = _pyarrow()
    name = display_name(path)
    size = os.path.getsize(path)
    if options.max_bytes is not None and size > options.max_bytes:
        raise ValueError(
            f"{name}: expected at most {options.max_bytes} bytes, got {size}; "
            "pass a larger max_bytes if that is right"
        )
    rows = max(1024, piece_bytes // _BYTES_A_ROW)
    try:
        with parquet.ParquetFile(path, memory_map=False) as file:
            columns = _columns(file.schema_arrow.names, name, options)
            done = 0
            for batch in file.iter_batches(rows, columns=list(columns.values()), use_threads=True):
                yield _batch(batch, columns, name, done)
                done += batch.num_rows
                if options.on_bytes is not None:
                    options.on_bytes(size * batch.num_rows // max(1, file.metadata.num_rows))
    except (arrow.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"{name}: expected an intact parquet file: {error}") from error


def matches(sample: bytes) -> bool:
    """Whether the content starts like parquet."""
    return sample.startswith(MAGIC)


def _pyarrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ImportError(
            f'parquet files need pyarrow, which cannot be loaded: pip install "ltgnn[parquet]"; {error}'
        ) from error


def _columns(names: Sequence[str], file: str, options: ReadOptions) -> dict[str, str]:
    """The name of the column of each role."""
    if options.columns is None:
        found: dict[str, str] = {}
        for name in names:
            role = role_of(name)
            if role is not None:
                found.setdefault(role, name)
    else:
        found = {}
        for role, wanted in options.columns.items():
            if isinstance(wanted, int) and 0 <= wanted < len(names):
                wanted = names[wanted]
            if role not in ROLES or wanted not in names:
                raise ValueError(f"{file}: expected a {role} column {wanted!r}, got {list(names)}")
            found[role] = str(wanted)
    if not {"user", "item"} <= set(found) or len(set(found.values())) != len(found):
        raise ValueError(
            f"{file}: expected a user and an item column, got {list(names)}; "
            "pass columns={'user': ..., 'item': ...}"
        )
    return found


def _batch(batch: Any, columns: dict[str, str], file: str, done: int) -> Interactions:
    def column(role: str) -> Any:
        values = batch.column(batch.schema.get_field_index(columns[role]))
        if values.null_count:
            row = done + int(np.flatnonzero(np.asarray(values.is_null()))[0])
            raise ValueError(
                f"{file}: column {columns[role]!r}: expected no null, got one in row {row}"
            )
        return values

    users, user_ids = _ids(column("user"), file, columns["user"])
    items, item_ids = _ids(column("item"), file, columns["item"])
    values = _numbers(column("value"), file, columns["value"]) if "value" in columns else None
    times = _seconds(column("time"), file, columns["time"]) if "time" in columns else None
    try:
        return Interactions(
            users, items, len(user_ids), len(item_ids), values, times, user_ids, item_ids
        )
    except ValueError as error:
        raise ValueError(f"{file}: rows from {done}: {error}") from None


def _ids(values: Any, file: str, name: str) -> tuple[npt.NDArray[np.int32], IdArray]:
    """Codes in order of first appearance, and the ids."""
    types = importlib.import_module("pyarrow").types
    kind = values.type.value_type if types.is_dictionary(values.type) else values.type
    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    text = types.is_string(kind) or types.is_large_string(kind)
    if not text and not types.is_integer(kind):
        raise ValueError(f"{file}: column {name!r}: expected integers or text as ids, got {kind}")
    encoded = values.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    if not text:
        ids = encoded.dictionary.to_numpy(zero_copy_only=False)
        if ids.dtype == np.uint64 and len(ids) and int(ids.max()) > np.iinfo(np.int64).max:
            raise ValueError(f"{file}: column {name!r}: expected ids below 2**63, got {ids.max()}")
        return codes, ids.astype(np.int64)
    texts = encoded.dictionary.to_pylist()
    for one in texts:
        if not 0 < len(one.encode()) <= _MAX_ID_BYTES or any(c < " " or c == "\x7f" for c in one):
            raise ValueError(
                f"{file}: column {name!r}: expected ids of 1 to {_MAX_ID_BYTES} bytes without control "
                f"characters, got {one[:40]!r}"
            )
    return codes, np.array(texts, dtype=np.str_)


def _numbers(values: Any, file: str, name: str) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False)
    if array.dtype.kind not in "iufb":
        raise ValueError(f"{file}: column {name!r}: expected real numbers, got {values.type}")
    return array.astype(np.float32 if array.dtype.kind == "b" else array.dtype)


def _seconds(values: Any, file: str, name: str) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False)
    if array.dtype.kind == "M":
        if np.datetime_data(array.dtype)[0] not in _PER_SECOND:  # days
            array = array.astype("datetime64[s]")
        # In its own unit: as nanoseconds the year 2263 would be too late.
        per_second = _PER_SECOND[np.datetime_data(array.dtype)[0]]
        return np.where(np.isnat(array), np.nan, array.astype(np.int64) / per_second)
    return _numbers(values, file, name)


FORMAT = Format(NAME, matches, read_files, read_pieces, TAKES)

__all__ = ["FORMAT", "NAME", "matches", "read_file", "read_files", "read_pieces"]
