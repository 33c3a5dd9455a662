"""The parts of a data set as arrays in scratch files: rows by user, and of train also by item."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ltgnn.data.block_store import PARTS, ArraySource
from ltgnn.data.conversion.buckets import sort_by_row
from ltgnn.data.conversion.budget import Budget
from ltgnn.data.conversion.splitting import SplitRule, split
from ltgnn.data.conversion.spool import PIECE, ArrayFile, Columns, Degrees, Spool
from ltgnn.data.ids import IdMap

_DTYPES = {"values": "<f4", "times": "<f8"}


@dataclass
class Rows:
    """A CSR: the counts of its rows in memory, its indices in a file."""

    counts: npt.NDArray[np.int64]
    indices: ArrayFile

    def indptr(self) -> Iterator[npt.NDArray[np.int64]]:
        """int64 [rows + 1], piece by piece."""
        yield np.zeros(1, np.int64)
        done = 0
        for start in range(0, len(self.counts), PIECE):
            piece = np.cumsum(self.counts[start : start + PIECE]) + done
            done = int(piece[-1])
            yield piece


@dataclass
class Part:
    """Train, valid or test.

    Args:
        by_user: each user's items.
        extra: "values" and "times", in the order of by_user.
        merged: how many repetitions were merged.
        by_item: each item's users; of train only.
    """

    by_user: Rows
    extra: dict[str, ArrayFile] = field(default_factory=dict)
    merged: int = 0
    by_item: Rows | None = None

    @property
    def length(self) -> int:
        """Number of interactions."""
        return self.by_user.indices.length


def user_rows(
    name: str,
    spool: Spool,
    num_users: int,
    rule: SplitRule,
    budget: Budget,
    folder: Path,
    progress: Callable[[int], object],
) -> dict[str, Part]:
    """Sorts what was spooled by user, merges repetitions, and splits it.

    Args:
        name: the part the spool stands for; "train" is what is split.
        spool: the interactions.
        num_users: number of users.
        rule: how to split.
        budget: memory.
        folder: for scratch files.
        progress: called with numbers of pairs; each counts twice.

    Returns:
        The parts that result, by name.

    Raises:
        ValueError: "leave_last_out" without times, or not enough memory allowed.
    """
    names = list(spool.extra)
    if rule.test == "leave_last_out" and "times" not in names and len(spool):
        raise ValueError(
            "leave_last_out: expected interactions with times, got none; name the time column "
            "(columns={'time': ...}) or split at random"
        )
    codes = {PARTS.index(name): name} if name != "train" else {c: PARTS[c] for c in rule.parts()}
    parts = {}
    for part in codes.values():
        extra = {
            kind: ArrayFile(folder / f"{part}.by_user.{kind}", _DTYPES[kind]) for kind in names
        }
        indices = ArrayFile(folder / f"{part}.by_user.indices", "<i4")
        parts[part] = Part(Rows(np.zeros(num_users, np.int64), indices), extra)
    width = 8 + sum(np.dtype(_DTYPES[kind]).itemsize for kind in names)
    most = budget.elements(width if len(codes) == 1 else width + 4)
    pieces = spool.pieces(min(most, PIECE))
    counts = spool.degrees.of(num_users)
    for bucket in sort_by_row(pieces, counts, most, names, folder, progress):
        rows = slice(bucket.first, bucket.first + len(bucket.counts))
        parts[name].merged += bucket.merged
        if len(codes) == 1:
            chosen: Any = {name: slice(None)}
            parts[name].by_user.counts[rows] = bucket.counts
        else:
            which = split(bucket, rule)
            chosen = {part: np.flatnonzero(which == code) for code, part in codes.items()}
            users = np.repeat(np.arange(len(bucket.counts), dtype=np.int32), bucket.counts)
            for part, places in chosen.items():
                parts[part].by_user.counts[rows] = np.bincount(
                    users[places], minlength=len(bucket.counts)
                )
        for part, places in chosen.items():
            parts[part].by_user.indices.append(bucket.columns[places])
            for kind, file in parts[part].extra.items():
                file.append(bucket.extra[kind][places])
    return parts


def transpose(
    part: Part, num_items: int, budget: Budget, folder: Path, progress: Callable[[int], object]
) -> None:
    """Adds the rows by item to a part."""
    degrees = Degrees()
    for piece in part.by_user.indices.pieces():
        degrees.add(piece, num_items)
    rows = Rows(degrees.of(num_items), ArrayFile(folder / "train.by_item.indices", "<i4"))
    most = budget.elements(8)
    pieces = _swapped(part.by_user, min(most, PIECE))
    for bucket in sort_by_row(pieces, rows.counts, most, [], folder, progress):
        rows.indices.append(bucket.columns)
    part.by_item = rows


def _swapped(rows: Rows, step: int) -> Iterator[Columns]:
    """(columns, rows) of a CSR, both int32, piece by piece."""
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(rows.counts)])
    for start in range(0, rows.indices.length, step):
        stop = min(start + step, rows.indices.length)
        first = int(np.searchsorted(indptr, start, side="right")) - 1
        last = int(np.searchsorted(indptr, stop, side="left"))
        sizes = np.diff(np.clip(indptr[first : last + 1], start, stop))
        users = np.repeat(np.arange(first, last, dtype=np.int32), sizes)
        yield rows.indices.read(start, stop - start), users


def sources_of(parts: dict[str, Part], ids: dict[str, IdMap] | None) -> list[ArraySource]:
    """Everything a store holds, in the order in which it lies there."""
    sources = []
    for side, table in (ids or {}).items():
        if table.is_text:
            offsets, data = table.packed()
            sources.append(ArraySource.of(f"{side}_ids/offsets", offsets))
            sources.append(ArraySource.of(f"{side}_ids/bytes", data))
        else:
            sources.append(ArraySource.of(f"{side}_ids", table.ids()))
    for name, part in parts.items():
        for by, rows in (("user", part.by_user), ("item", part.by_item)):
            if rows is not None:
                length, indices = len(rows.counts) + 1, rows.indices
                sources += [
                    ArraySource(f"{name}/by_{by}/indptr", "<i8", length, rows.indptr()),
                    ArraySource(f"{name}/by_{by}/indices", "<i4", indices.length, indices.pieces()),
                ]
        for kind, file in part.extra.items():
            sources.append(
                ArraySource(f"{name}/{kind}", file.dtype.str, file.length, file.pieces())
            )
    return sources
