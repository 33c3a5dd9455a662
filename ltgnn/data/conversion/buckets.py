"""Sorts pairs by row that do not fit into memory: first into buckets of rows, then each bucket.

Every row's number of pairs is known. Rows are cut into ranges whose pairs fit; a first pass writes each
pair into its range's file, a second one reads, sorts and hands on one range after the other. Two passes
over the pairs, whatever their number: O(E log(bucket)) comparisons, 2 E records of disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ltgnn.data.conversion.spool import ArrayFile, Columns
from ltgnn.data.ordered import ordered

Key = npt.NDArray[np.uint64]  # row << 32 | column

BEST = 3 << 20

_SHIFT = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True)
class Bucket:
    """The pairs of a range of rows, ascending, none twice.

    Args:
        first: first row.
        counts: int64 [rows]: pairs of each row, after merging.
        columns: int32 [pairs].
        extra: values float32 and times float64, merged: values added up, the latest time; or absent.
        merged: pairs that were repetitions.
    """

    first: int
    counts: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int32]
    extra: dict[str, npt.NDArray[Any]]
    merged: int


def choose_bounds(counts: npt.NDArray[np.int64], most: int) -> list[int]:
    """Cuts rows into ranges of at most ``most`` pairs: [0, ..., number of rows].

    Ranges of ``BEST`` pairs are made where ``most`` is larger: they are sorted in the cache, and their
    arrays in memory that was used before. A row with more is a range by itself.

    Raises:
        ValueError: a single row has more than ``most``.
    """
    if len(counts) and int(counts.max()) > most:
        row = int(counts.argmax())
        raise ValueError(
            f"number {row} alone has {int(counts[row]):,} interactions, where {most:,} fit into memory "
            "at a time: allow more memory (--memory)"
        )
    most = min(most, BEST)
    ends = np.cumsum(counts)
    bounds, done = [0], 0
    while bounds[-1] < len(counts):
        bounds.append(max(bounds[-1] + 1, int(np.searchsorted(ends, done + most, side="right"))))
        done = int(ends[bounds[-1] - 1])
    return bounds if len(bounds) > 1 else [0, 0]


def sort_by_row(
    pieces: Iterable[Columns],
    counts: npt.NDArray[np.int64],
    most: int,
    names: list[str],
    folder: Path,
    progress: Callable[[int], object],
) -> Iterator[Bucket]:
    """Sorts pairs by row and column, and merges repetitions.

    Args:
        pieces: (rows int32, columns int32, and the extra columns), in any order, read once.
        counts: int64 [rows]: pairs of each row.
        most: pairs that may be in memory at a time.
        names: of the extra columns: "values", "times".
        folder: for scratch files; they are deleted as they are read.
        progress: called with numbers of pairs; each pair counts once in each of the two passes.

    Yields:
        Buckets that together hold all rows, in order.
    """
    bounds = choose_bounds(counts, most)
    files = [_files(folder, number, names) for number in range(len(bounds) - 1)]
    bucket_of = np.repeat(
        np.arange(len(files), dtype=np.uint8 if len(files) <= 256 else np.int32), np.diff(bounds)
    )

    def spread(piece: Columns) -> tuple[list[int], Columns]:
        key = _key(piece[0], piece[1])
        if len(files) == 1:
            return [0, len(key)], (key, *piece[2:])
        target = bucket_of[piece[0]]
        order = np.argsort(target, kind="stable")  # a radix sort, for these types
        ends = np.cumsum(np.bincount(target, minlength=len(files)))
        return [0, *ends.tolist()], tuple(column[order] for column in (key, *piece[2:]))

    for ends, columns in ordered(spread, pieces):
        for number in range(len(files)):
            start, stop = ends[number], ends[number + 1]
            for file, column in zip(files[number], columns, strict=True):
                file.append(column[start:stop])
        progress(ends[-1])

    def load(number: int) -> Bucket:
        columns = [file.read(0, file.length) for file in files[number]]
        for file in files[number]:
            file.remove()
        return _bucket(bounds[number], bounds[number + 1], columns, names)

    for bucket in ordered(load, range(len(files))):
        yield bucket
        progress(len(bucket.columns) + bucket.merged)


def _files(folder: Path, number: int, names: list[str]) -> list[ArrayFile]:
    kinds = {"key": "<u8", "values": "<f4", "times": "<f8"}
    return [ArrayFile(folder / f"bucket{number}.{name}", kinds[name]) for name in ("key", *names)]


def _key(rows: npt.NDArray[Any], columns: npt.NDArray[Any]) -> Key:
    key: Key = rows.astype(np.uint64)
    key <<= _SHIFT
    key |= columns.view(np.uint32)
    return key


def _bucket(first: int, stop: int, columns: list[npt.NDArray[Any]], names: list[str]) -> Bucket:
    key, *extra = columns
    read = len(key)
    if extra:
        order = stable_order(key)
        key, extra = key[order], [column[order] for column in extra]
        del order
    else:
        key.sort()
    new = np.ones(len(key), np.bool_)
    np.not_equal(key[1:], key[:-1], out=new[1:])
    kept: dict[str, npt.NDArray[Any]] = dict(zip(names, extra, strict=True))
    if not new.all():
        starts = np.flatnonzero(new)
        key = key[starts]
        if "values" in kept:
            with np.errstate(over="ignore"):
                sums = np.add.reduceat(kept["values"], starts, dtype=np.float64).astype(np.float32)
            kept["values"] = sums
            if not np.isfinite(sums).all():
                raise ValueError("the values of a repeated pair add up to more than float32 holds")
        if "times" in kept:
            kept["times"] = np.maximum.reduceat(kept["times"], starts)
    rows = (key >> _SHIFT).view(np.int64) - first
    counts = np.bincount(rows, minlength=stop - first)
    return Bucket(first, counts, (key & _LOW).astype(np.int32), kept, read - len(key))


def stable_order(key: Key) -> npt.NDArray[np.int64]:
    """Like ``np.argsort(key, kind="stable")``, several times faster where key and index fit 64 bits."""
    if len(key) == 0:
        return np.zeros(0, np.int64)
    bits = max(1, (len(key) - 1).bit_length())
    rows, columns = key >> _SHIFT, key & _LOW
    rows -= rows.min()
    column_bits = max(1, int(columns.max()).bit_length())
    if int(rows.max()).bit_length() + column_bits + bits > 64:
        return np.argsort(key, kind="stable")
    rows <<= np.uint64(column_bits)
    rows |= columns
    rows <<= np.uint64(bits)
    rows |= np.arange(len(key), dtype=np.uint64)
    rows.sort()
    rows &= np.uint64((1 << bits) - 1)
    return rows.view(np.int64)
