"""Bytes of data files: plain or gzip, bounded.

Files are read, never mapped: a mapped file that another process truncates kills this one.
"""

from __future__ import annotations

import gzip
import zlib
from os import PathLike

from ltgnn.data._native import display_name

GZIP_MAGIC = b"\x1f\x8b"

_CHUNK = 1 << 20
# Text shrinks 3 to 20 times. Far more than that, at a size that hurts, is an attack or an accident.
_BOMB_RATIO = 200
_BOMB_FLOOR = 256 << 20


def read_bytes(path: str | PathLike[str], *, max_bytes: int | None = None) -> bytes:
    """Reads a file whole; gzip is recognised by its first bytes and unpacked.

    Args:
        path: the file.
        max_bytes: largest number of (unpacked) bytes to accept. None: no limit for plain files;
            gzip data that unpacks to over 256 MiB and over 200 times its size is refused.

    Returns:
        The unpacked content.

    Raises:
        ValueError: the content is larger than allowed, or the gzip data are damaged.
        OSError: the file cannot be read.

    Example:
        >>> import gzip, pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "a.txt"
        ...     _ = file.write_bytes(gzip.compress(b"0 1 2"))
        ...     read_bytes(file)
        b'0 1 2'
    """
    with open(path, "rb") as file:
        if max_bytes is None:
            data = file.read()
        else:
            data = file.read(max_bytes + 1)
            if len(data) > max_bytes:
                raise ValueError(_too_large(path, max_bytes))
    if not data.startswith(GZIP_MAGIC):
        return data
    return _unpack(path, data, max_bytes)


def read_prefix(path: str | PathLike[str], size: int = 1 << 16) -> tuple[bytes, bool]:
    """Reads the first ``size`` unpacked bytes, and whether they are the whole file."""
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            stream = gzip.GzipFile(fileobj=file) if packed else file
            data = stream.read(size + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(_damaged(path, error)) from error
    return data[:size], len(data) <= size


def _unpack(path: str | PathLike[str], packed: bytes, max_bytes: int | None) -> bytes:
    limit = max_bytes
    if limit is None:
        limit = max(_BOMB_FLOOR, _BOMB_RATIO * len(packed))
    chunks: list[bytes] = []
    size = 0
    at = 0
    # A gzip file is one or more members. Input and output both go in bounded steps: a bomb is
    # noticed one chunk late at most, and no rest of the input is ever copied whole.
    while packed.startswith(GZIP_MAGIC, at):
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        while not member.eof:
            piece = member.unconsumed_tail
            if not piece:
                piece = packed[at : at + _CHUNK]
                at += len(piece)
            try:
                chunk = member.decompress(piece, _CHUNK)
            except zlib.error as error:
                raise ValueError(_damaged(path, error)) from error
            if not chunk and not piece and not member.eof:
                raise ValueError(_damaged(path, "it ends in the middle"))
            size += len(chunk)
            if size > limit:
                raise ValueError(_too_large(path, limit))
            chunks.append(chunk)
        at -= len(member.unused_data)
    if packed[at:].strip(b"\0"):
        raise ValueError(_damaged(path, f"{len(packed) - at} bytes of something else follow"))
    return b"".join(chunks)


def _too_large(path: str | PathLike[str], limit: int) -> str:
    return (
        f"{display_name(path)}: expected at most {limit} bytes (unpacked), got more; "
        "pass a larger max_bytes if that is right"
    )


def _damaged(path: str | PathLike[str], reason: object) -> str:
    return f"{display_name(path)}: expected intact gzip data, got damaged ones: {reason}"


__all__ = ["GZIP_MAGIC", "read_bytes", "read_prefix"]
