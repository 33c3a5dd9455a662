"""How a block store lies on disk, and what its header must look like before anything in it is used.

One file, little-endian::

    preamble   64 bytes: magic, version, 0, header bytes, file bytes, digest (BLAKE2b-256 of the 32
               bytes before it and the header)
    header     JSON: format, block_bytes, meta, and of each array its name, dtype, shape, offset and
               digests
    arrays     in the header's order, each from the next multiple of 4096; zeros in between

An array is cut into blocks of ``block_bytes`` (the last one is shorter), and each block has a digest
of its own (BLAKE2b-128), so that a part of an array can be read and checked without the rest.

A header is believed only after its digest fits **and** every field has been checked: a digest keeps
out damage, not malice. Offsets must be the ones that follow from the shapes, so that no array can
overlap another or lie outside the file.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MAGIC = b"\x89LTGNNB\n"  # not text, and spoilt by a transfer that changes line ends
VERSION = 1
FORMAT = "ltgnn block store"
PREAMBLE = struct.Struct("<8sIIQQ32s")
ALIGNMENT = 4096
BLOCK_BYTES = 4 << 20
MAX_HEADER = 64 << 20
DIGEST_BYTES = 16
DTYPES = {name: np.dtype(name) for name in ("<i8", "<i4", "<f8", "<f4", "|u1")}

_MAX_ARRAYS = 1024
_MAX_BYTES = 1 << 60
_NAME = re.compile(r"[a-z][a-z_]{0,31}(/[a-z][a-z_]{0,31}){0,3}")
_HEX = re.compile(r"[0-9a-f]*")


class StoreError(ValueError):
    """A block store is damaged, truncated or not a block store; the message names the block."""


@dataclass(frozen=True)
class ArrayInfo:
    """One array of a store.

    Args:
        name: like ``train/by_user/indices``.
        dtype: one of ``DTYPES``.
        length: number of elements; arrays are 1-D.
        offset: of its first byte in the file.
        digests: 16 bytes for each block.
    """

    name: str
    dtype: str
    length: int
    offset: int
    digests: bytes

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.length * DTYPES[self.dtype].itemsize


@dataclass(frozen=True)
class Header:
    """What the header says, checked."""

    block_bytes: int
    meta: dict[str, Any]
    arrays: Sequence[ArrayInfo]
    file_bytes: int


def digest(data: bytes | memoryview) -> bytes:
    """The digest of one block."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def num_blocks(nbytes: int, block_bytes: int) -> int:
    """Number of blocks of an array."""
    return -(-nbytes // block_bytes)


def aligned(offset: int) -> int:
    """The next place where an array may start."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def check_array(name: str, dtype: str, length: int) -> None:
    """Refuses what no store may hold.

    Raises:
        ValueError: a name outside ``a_b/c_d``, an unknown dtype, an impossible length.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"expected an array name like 'train/by_user/indices', got {name!r:.60}")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"{name}: expected a dtype of {list(DTYPES)}, got {dtype!r:.60}")
    if type(length) is not int or not 0 <= length < _MAX_BYTES // 8:
        raise ValueError(f"{name}: expected a length from 0 up, got {length!r:.60}")


def pack(arrays: Sequence[ArrayInfo], meta: dict[str, Any], block_bytes: int) -> bytes:
    """Preamble and header; their size depends on names, dtypes, lengths and meta, not on digests.

    Offsets are given anew, see ``place``.

    Raises:
        ValueError: the header would be larger than a reader accepts, or meta is no JSON.
    """
    fields = [
        {"name": a.name, "dtype": a.dtype, "shape": [a.length], "digests": a.digests.hex()}
        for a in arrays
    ]
    text = json.dumps(
        {"format": FORMAT, "block_bytes": block_bytes, "meta": meta, "arrays": fields},
        allow_nan=False,
    ).encode()
    if len(text) > MAX_HEADER:
        raise ValueError(f"block store: expected a header of at most {MAX_HEADER} bytes")
    offsets, file_bytes = place([a.nbytes for a in arrays], len(text))
    start = PREAMBLE.pack(MAGIC, VERSION, 0, len(text), file_bytes, bytes(32))[:32]
    return start + hashlib.blake2b(start + text, digest_size=32).digest() + text


def place(sizes: Sequence[int], header_bytes: int) -> tuple[list[int], int]:
    """Offsets of arrays of these sizes, and the size of the file."""
    offsets, end = [], PREAMBLE.size + header_bytes
    for nbytes in sizes:
        offsets.append(aligned(end))
        end = offsets[-1] + nbytes
    return offsets, end


def header_bytes_of(preamble: bytes, file_bytes: int) -> int:
    """Checks a preamble as far as it goes; how many bytes of header follow."""
    if len(preamble) < PREAMBLE.size:
        raise StoreError(f"expected a block store, got a file of {len(preamble)} bytes")
    magic, version, zero, header_bytes, _, _ = PREAMBLE.unpack(preamble)
    if magic != MAGIC:
        raise StoreError("expected a block store, got a file without its magic bytes")
    if version != VERSION or zero != 0:
        raise StoreError(
            f"expected a block store of version {VERSION}, got version {version}: "
            "another release of ltgnn wrote it, or its header is damaged"
        )
    if header_bytes > MAX_HEADER:
        raise StoreError(f"header: expected at most {MAX_HEADER} bytes, got {header_bytes}")
    if PREAMBLE.size + header_bytes > file_bytes:
        raise StoreError(
            f"header: expected {header_bytes} bytes, but the file ends at byte {file_bytes}"
        )
    return int(header_bytes)


def unpack(preamble: bytes, text: bytes) -> Header:
    """Checks preamble and header, digest first, then every field.

    Raises:
        StoreError: whatever is wrong.
    """
    start, expected = preamble[:32], preamble[32:64]
    if hashlib.blake2b(start + text, digest_size=32).digest() != expected:
        raise StoreError("header: damaged, its digest does not match")
    try:
        fields = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"header: expected JSON: {error}") from error
    if not isinstance(fields, dict) or set(fields) != {"format", "block_bytes", "meta", "arrays"}:
        raise StoreError("header: expected format, block_bytes, meta and arrays, no more")
    if fields["format"] != FORMAT or not isinstance(fields["meta"], dict):
        raise StoreError(f"header: expected format {FORMAT!r} and an object meta")
    block_bytes, entries = fields["block_bytes"], fields["arrays"]
    if type(block_bytes) is not int or not 64 <= block_bytes <= 1 << 30 or block_bytes % 64:
        raise StoreError(f"header: expected block_bytes as a multiple of 64, got {block_bytes!r}")
    if not isinstance(entries, list) or len(entries) > _MAX_ARRAYS:
        raise StoreError(f"header: expected a list of at most {_MAX_ARRAYS} arrays")
    infos = [_array(entry, block_bytes) for entry in entries]
    if len({info.name for info in infos}) != len(infos):
        raise StoreError("header: expected distinct array names")
    offsets, file_bytes = place([info.nbytes for info in infos], len(text))
    arrays = [
        ArrayInfo(info.name, info.dtype, info.length, offset, info.digests)
        for info, offset in zip(infos, offsets, strict=True)
    ]
    if PREAMBLE.unpack(preamble)[4] != file_bytes:
        raise StoreError("header: the size of the file does not follow from its arrays")
    return Header(block_bytes, fields["meta"], arrays, file_bytes)


def _array(entry: Any, block_bytes: int) -> ArrayInfo:
    if not isinstance(entry, dict) or set(entry) != {"name", "dtype", "shape", "digests"}:
        raise StoreError("header: expected name, dtype, shape and digests of an array, no more")
    name, dtype, shape, digests = (entry[key] for key in ("name", "dtype", "shape", "digests"))
    if not isinstance(shape, list) or len(shape) != 1:
        raise StoreError(f"header: {name!r:.60}: expected a shape of one size, got {shape!r:.60}")
    try:
        check_array(name, dtype, shape[0])
    except ValueError as error:
        raise StoreError(f"header: {error}") from None
    nbytes = math.prod(shape) * DTYPES[dtype].itemsize
    expected = 2 * DIGEST_BYTES * num_blocks(nbytes, block_bytes)
    good = isinstance(digests, str) and len(digests) == expected and _HEX.fullmatch(digests)
    if not good:
        raise StoreError(f"header: {name}: expected {expected} hexadecimal digits of digests")
    return ArrayInfo(name, dtype, shape[0], 0, bytes.fromhex(digests))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
