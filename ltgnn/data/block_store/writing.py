"""Writes a block store: whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ltgnn.data._native import display_name
from ltgnn.data.block_store import layout
from ltgnn.data.block_store.layout import ArrayInfo


@dataclass(frozen=True)
class ArraySource:
    """An array to be written: its length is known beforehand, its content comes in pieces.

    Args:
        name: see ``layout.ArrayInfo``.
        dtype: one of ``layout.DTYPES``.
        length: number of elements.
        pieces: 1-D arrays of this dtype that together have this length; read once.
    """

    name: str
    dtype: str
    length: int
    pieces: Iterable[npt.NDArray[Any]]

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.length * np.dtype(self.dtype).itemsize

    @classmethod
    def of(cls, name: str, array: npt.NDArray[Any]) -> ArraySource:
        """A source of one piece, little-endian."""
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        return cls(name, array.dtype.str, len(array), [array])


def write_blocks(
    path: str | PathLike[str],
    sources: Sequence[ArraySource],
    meta: dict[str, Any],
    *,
    overwrite: bool = False,
    block_bytes: int = layout.BLOCK_BYTES,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Writes arrays and meta to a new file.

    The file has a temporary name beside ``path`` until every byte of it is on the disk; then it takes
    the name in one step. A crash leaves the old file, or none, and perhaps a ``.NAME.*.tmp``.

    Args:
        path: the store.
        sources: in the order in which they lie in the file.
        meta: a JSON object.
        overwrite: replace a file that is there.
        block_bytes: a multiple of 64.
        progress: called with the number of bytes written since the last call.

    Raises:
        FileExistsError: path exists and overwrite is off.
        ValueError: a source that is not as it says, or meta that is no JSON.
        OSError: the disk is full or failing; nothing is left behind.
    """
    target = Path(path)
    _check_target(target, overwrite)
    infos = []
    for source in sources:
        layout.check_array(source.name, source.dtype, source.length)
        blank = bytes(layout.DIGEST_BYTES * layout.num_blocks(source.nbytes, block_bytes))
        infos.append(ArrayInfo(source.name, source.dtype, source.length, 0, blank))
    start = layout.pack(infos, meta, block_bytes)  # of its final size already
    offsets, file_bytes = layout.place(
        [info.nbytes for info in infos], len(start) - layout.PREAMBLE.size
    )
    scratch = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(scratch, "xb", buffering=0) as file:
            done = []
            for source, info, offset in zip(sources, infos, offsets, strict=True):
                file.seek(offset)
                digests = _write_array(file, source, block_bytes, progress)
                done.append(replace(info, digests=digests))
            file.truncate(file_bytes)  # arrays without elements may end it
            file.seek(0)
            _write(file, memoryview(layout.pack(done, meta, block_bytes)))
            os.fsync(file.fileno())
        _check_target(target, overwrite)
        os.replace(scratch, target)
        sync_folder(target.parent)
    except BaseException as error:
        with suppress(OSError):
            scratch.unlink()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(
                error.errno,
                f"{display_name(target)}: disk full: the store takes {file_bytes:,} bytes",
            ) from error
        raise


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_target(target: Path, overwrite: bool) -> None:
    if target.is_dir():
        raise IsADirectoryError(f"{display_name(target)} is a folder: a store is one file")
    if target.exists() and not overwrite:
        raise FileExistsError(
            f"{display_name(target)} exists: choose another name, or overwrite it"
        )


def _write_array(
    file: Any, source: ArraySource, block_bytes: int, progress: Callable[[int], object] | None
) -> bytes:
    """Writes the pieces where the file stands; returns the digests of their blocks."""
    dtype = layout.DTYPES[source.dtype]
    digests, length = [], 0
    block, room = hashlib.blake2b(digest_size=layout.DIGEST_BYTES), block_bytes
    for piece in source.pieces:
        if piece.dtype != dtype or piece.ndim != 1:
            raise ValueError(
                f"{source.name}: expected 1-D {dtype}, got {piece.ndim}-D {piece.dtype}"
            )
        if not len(piece):
            continue
        length += len(piece)
        if length > source.length:
            break
        data = np.ascontiguousarray(piece).view(np.uint8).data
        for at in range(0, len(data), layout.BLOCK_BYTES):  # digest while it is in the cache
            part = data[at : at + layout.BLOCK_BYTES]
            _write(file, part)
            while len(part) >= room:
                block.update(part[:room])
                digests.append(block.digest())
                part = part[room:]
                block, room = hashlib.blake2b(digest_size=layout.DIGEST_BYTES), block_bytes
            block.update(part)
            room -= len(part)
        if progress is not None:
            progress(len(data))
    if length != source.length:
        raise ValueError(f"{source.name}: expected {source.length} elements, got {length}")
    if room < block_bytes:
        digests.append(block.digest())
    return b"".join(digests)


def _write(file: Any, data: memoryview) -> None:
    done = 0
    while done < len(data):
        done += file.write(data[done:])
