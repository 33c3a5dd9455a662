"""Bytes of data files: plain or gzip, bounded.

Files are read, never mapped: a mapped file that another process truncates kills this one.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterator
from os import PathLike
from typing import Any, TypeVar

from ltgnn.data._native import display_name
from ltgnn.data.ordered import ordered

GZIP_MAGIC = b"\x1f\x8b"

T = TypeVar("T")

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


def read_pieces(
    path: str | PathLike[str],
    piece_bytes: int,
    cut: Callable[[bytes], int],
    *,
    max_bytes: int | None = None,
    on_bytes: Callable[[int], object] | None = None,
) -> Iterator[bytes]:
    """Reads a file, plain or gzip, in pieces of whole rows.

    Args:
        path: the file.
        piece_bytes: about how large the pieces are; a row longer than 16 of them is refused.
        cut: how many of the bytes, which start a row, are whole rows; 0 for none.
        max_bytes: see ``read_bytes``.
        on_bytes: called with how many bytes of the file, packed, were read since the last call.

    Raises:
        ValueError, OSError: as ``read_bytes``.
    """
    with open(path, "rb") as file:
        packed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        limit = max_bytes
        if limit is None and packed:
            limit = max(_BOMB_FLOOR, _BOMB_RATIO * os.fstat(file.fileno()).st_size)
        stream: Any = gzip.GzipFile(fileobj=file) if packed else file
        rest, total, place = b"", 0, 0
        while True:
            try:
                fresh = stream.read(max(piece_bytes, len(rest)))
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise ValueError(_damaged(path, error)) from error
            total += len(fresh)
            if on_bytes is not None:
                on_bytes(file.tell() - place)
                place = file.tell()
            if limit is not None and total > limit:
                raise ValueError(_too_large(path, limit))
            data = rest + fresh if rest else fresh
            if not fresh:
                if data:
                    yield data
                return
            end = cut(data)
            if end == 0 and len(data) > 16 * piece_bytes:
                raise ValueError(
                    f"{display_name(path)}: expected rows of at most {16 * piece_bytes} bytes, got "
                    "more (a quote that is never closed?); allow more memory if that is right"
                )
            rest = data[end:]
            if end:
                yield data[:end] if rest else data


def parse_pieces(
    path: str | PathLike[str],
    piece_bytes: int,
    cut: Callable[[bytes], int],
    parse: Callable[[bytes, int, bool], T],
    *,
    max_bytes: int | None = None,
    on_bytes: Callable[[int], object] | None = None,
) -> Iterator[T]:
    """Parses a file piece by piece, with the right line numbers in errors.

    Lines are counted only when there is an error to report: the piece is then parsed once more. Two
    pieces are parsed at a time, in threads.

    Args:
        path, piece_bytes, cut, max_bytes, on_bytes: as ``read_pieces``.
        parse: called with a piece, the number of its first line, and whether it is the first piece.
    """

    def numbered() -> Iterator[tuple[bytes, int]]:
        done = 0
        for piece in read_pieces(path, piece_bytes, cut, max_bytes=max_bytes, on_bytes=on_bytes):
            yield piece, done
            done += len(piece)

    def work(element: tuple[bytes, int]) -> T:
        piece, done = element
        try:
            return parse(piece, 1, done == 0)
        except ValueError:
            if done == 0:
                raise
            return parse(piece, 1 + _count_lines(path, done), False)

    yield from ordered(work, numbered())


def last_line_end(data: bytes) -> int:
    """How many bytes are whole lines."""
    return data.rfind(b"\n") + 1


def _count_lines(path: str | PathLike[str], size: int) -> int:
    """Line breaks among the first ``size`` unpacked bytes."""
    count = done = 0
    for piece in read_pieces(path, _CHUNK, len):
        part = piece[: size - done]
        count += part.count(b"\n")
        done += len(part)
        if done == size:
            break
    return count


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


__all__ = [
    "GZIP_MAGIC",
    "last_line_end",
    "parse_pieces",
    "read_bytes",
    "read_pieces",
    "read_prefix",
]
