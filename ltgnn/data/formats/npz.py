"""Numpy archives (``.npz``): a matrix saved by ``scipy.sparse.save_npz``, or plain arrays.

- CSR, CSC or COO, users in rows: each stored entry is an interaction and its number the value; of a
  boolean matrix no value is kept.
- Arrays ``users`` and ``items``, and perhaps ``values`` and ``times``, of one length.

Ids are the indices. The archive is read as a stream, so that it may be larger than the memory (of a CSR
matrix, indptr is held). Pickled objects are refused.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from os import PathLike
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ltgnn.data._native import display_name
from ltgnn.data.formats.base import Format, ReadOptions, refuse_options
from ltgnn.data.ids import join
from ltgnn.data.interactions import Interactions

NAME = "npz"
MAGIC = b"PK\x03\x04"

_WHOLE = 256 << 20
_BYTES_A_PAIR = 32  # of memory, about, while a piece is read
_MAX_RATIO, _FLOOR = 200, 256 << 20  # as ``ltgnn.data.source`` for gzip


def read_file(path: str | PathLike[str], *, max_bytes: int | None = None) -> Interactions:
    """Reads one archive.

    Returns:
        Interactions in the order of the archive (CSC: by item); ids are the indices.

    Raises:
        ValueError: not an archive of this kind, damaged, inconsistent, or too large.

    Example:
        >>> import pathlib, tempfile, numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "pairs.npz"
        ...     np.savez(file, users=[0, 0, 2], items=[1, 3, 0])
        ...     pairs = read_file(file)
        >>> pairs.num_users, pairs.num_items, len(pairs)
        (3, 4, 3)
    """
    return read_files([path], ReadOptions(max_bytes=max_bytes))[0]


def read_files(paths: Sequence[str | PathLike[str]], options: ReadOptions) -> list[Interactions]:
    """Reads archives that number users and items alike."""
    return join(read_pieces(path, options, _WHOLE) for path in paths)


def read_pieces(
    path: str | PathLike[str], options: ReadOptions, piece_bytes: int
) -> Iterator[Interactions]:
    """Reads one archive in pieces."""
    refuse_options(NAME, options)
    name = display_name(path)
    step = max(1024, piece_bytes // _BYTES_A_PAIR)
    try:
        with zipfile.ZipFile(path) as archive, ExitStack() as stack:
            _check_size(archive, os.path.getsize(path), options.max_bytes)
            members = set(archive.namelist())
            if {"format.npy", "shape.npy"} <= members:
                pieces = _matrix(_Opener(archive, stack, options.on_bytes), step)
            elif {"users.npy", "items.npy"} <= members:
                pieces = _pairs(_Opener(archive, stack, options.on_bytes), members, step)
            else:
                raise ValueError(
                    f"expected a scipy matrix or arrays users and items, got {sorted(members)[:8]}"
                )
            yield from pieces
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{name}: expected an intact npz archive: {error}") from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name}: {error}") from error


def matches(sample: bytes) -> bool:
    """Whether the content starts like a zip archive."""
    return sample.startswith(MAGIC)


class _Stream:
    """One array of an archive, read from front to end; tells `on_bytes` of its share of `packed` bytes."""

    def __init__(
        self, file: IO[bytes], name: str, packed: int, on_bytes: Callable[[int], object] | None
    ) -> None:
        self.name, self._file = name, file
        self._packed, self._on_bytes, self._done = packed, on_bytes, 0
        version = np.lib.format.read_magic(self._file)
        read_header: Callable[..., Any] = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, self.dtype = read_header(self._file, max_header_size=4096)
        if self.dtype.hasobject or len(shape) > 1:
            raise ValueError(f"{name}: expected a 1-D array of numbers, got {self.dtype} {shape}")
        self.length = int(shape[0]) if shape else 1

    def read(self, count: int) -> npt.NDArray[Any]:
        """The next ``count`` elements."""
        size = count * self.dtype.itemsize
        data = self._file.read(size)
        if len(data) != size:
            raise ValueError(f"{self.name}: expected {self.length} elements, got fewer")
        if self._on_bytes is not None and count:
            before, self._done = self._done, self._done + count
            share = [self._packed * done // self.length for done in (before, self._done)]
            self._on_bytes(share[1] - share[0])
        return np.frombuffer(data, self.dtype)


class _Opener:
    """Opens the arrays of an archive; they are closed with the stack."""

    def __init__(
        self,
        archive: zipfile.ZipFile,
        stack: ExitStack,
        on_bytes: Callable[[int], object] | None = None,
    ) -> None:
        self._archive, self._stack, self._on_bytes = archive, stack, on_bytes

    def stream(self, name: str) -> _Stream:
        try:
            file = self._archive.open(f"{name}.npy")
        except KeyError:
            raise ValueError(
                f"expected an array {name}, got {self._archive.namelist()[:8]}"
            ) from None
        packed = self._archive.getinfo(f"{name}.npy").compress_size
        return _Stream(self._stack.enter_context(file), name, packed, self._on_bytes)

    def whole(self, name: str) -> npt.NDArray[Any]:
        stream = self.stream(name)
        return stream.read(stream.length)


def _matrix(opener: _Opener, step: int) -> Iterator[Interactions]:
    kind = _text(opener.whole("format"))
    shape = opener.whole("shape")
    if shape.dtype.kind not in "iu" or len(shape) != 2:
        raise ValueError("shape: expected two integers")
    num_users, num_items = (int(size) for size in shape)
    if kind not in ("csr", "csc", "coo"):
        raise ValueError(f"expected a matrix of format csr, csc or coo, got {kind!r}")
    data = opener.stream("data")
    if kind == "coo":
        streams = [opener.stream("row"), opener.stream("col"), data]
        columns = _zip(streams, step)
    else:
        indptr = opener.whole("indptr")
        streams = [opener.stream("indices"), data]
        rows = num_users if kind == "csr" else num_items
        length = streams[0].length
        if indptr.dtype.kind not in "iu" or len(indptr) != rows + 1:
            raise ValueError(f"indptr: expected {rows + 1} integers, got {len(indptr)}")
        if indptr[0] != 0 or indptr[-1] != length or (indptr[1:] < indptr[:-1]).any():
            raise ValueError(f"indptr: expected to ascend from 0 to {length}")
        columns = _expand(indptr, _zip(streams, step), swap=kind == "csc")
    keep = data.dtype.kind in "iuf"
    for users, items, values in columns:
        yield Interactions(users, items, num_users, num_items, values if keep else None)


def _pairs(opener: _Opener, members: set[str], step: int) -> Iterator[Interactions]:
    names = [name for name in ("users", "items", "values", "times") if f"{name}.npy" in members]
    num_users = num_items = 0
    for arrays in _zip([opener.stream(name) for name in names], step):
        columns = dict(zip(names, arrays, strict=True))
        for name in ("users", "items"):
            if columns[name].dtype.kind not in "iu":
                raise ValueError(f"{name}: expected integers, got {columns[name].dtype}")
        num_users = max(num_users, int(columns["users"].max()) + 1)
        num_items = max(num_items, int(columns["items"].max()) + 1)
        yield Interactions(
            columns["users"], columns["items"], max(0, num_users), max(0, num_items),
            columns.get("values"), columns.get("times"),
        )  # fmt: skip


def _zip(streams: Sequence[_Stream], step: int) -> Iterator[tuple[npt.NDArray[Any], ...]]:
    """Pieces of several arrays of one length, side by side."""
    lengths = {stream.name: stream.length for stream in streams}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"expected arrays of one length, got {lengths}")
    for done in range(0, streams[0].length, step):
        count = min(step, streams[0].length - done)
        yield tuple(stream.read(count) for stream in streams)


def _expand(
    indptr: npt.NDArray[Any], pieces: Iterator[tuple[npt.NDArray[Any], ...]], swap: bool
) -> Iterator[tuple[npt.NDArray[Any], ...]]:
    """(users, items, values) from indices and values by row."""
    done = 0
    for indices, values in pieces:
        # Row r of element e: indptr[r] <= e < indptr[r + 1]. Only the rows of this piece are spread out.
        stop = done + len(indices)
        first = int(np.searchsorted(indptr, done, side="right")) - 1
        last = int(np.searchsorted(indptr, stop, side="left"))
        bounds = np.clip(indptr[first : last + 1], done, stop)
        rows = np.repeat(np.arange(first, last), np.diff(bounds))
        yield (indices, rows, values) if swap else (rows, indices, values)
        done = stop


def _text(array: npt.NDArray[Any]) -> str:
    if array.dtype.kind not in "SU" or array.size != 1:
        raise ValueError("format: expected text")
    value = array[0]
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _check_size(archive: zipfile.ZipFile, packed: int, max_bytes: int | None) -> None:
    size = sum(info.file_size for info in archive.infolist())
    limit = max_bytes if max_bytes is not None else max(_FLOOR, _MAX_RATIO * packed)
    if size > limit:
        raise ValueError(
            f"expected at most {limit} bytes (unpacked), got {size}; "
            "pass a larger max_bytes if that is right"
        )


FORMAT = Format(NAME, matches, read_files, read_pieces)

__all__ = ["FORMAT", "NAME", "matches", "read_file", "read_files", "read_pieces"]
