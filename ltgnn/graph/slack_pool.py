"""SlackPool: sorted rows in one array, each with room behind it, and copies of them on other devices."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltgnn.ops.csr import SlackRows

Ids = npt.NDArray[np.int64]
_LEAST_ROOM = 4  # places behind a row that is laid out anew


class SlackPool:
    """Rows of sorted indices that grow and shrink one by one.

    A row that is full moves to the end of the pool with twice the room; when more than half of the pool is
    waste, all rows are laid out anew. Either costs O(1) an insertion on average (and the room at the end is made
    by doubling). Callers check what they insert and delete.

    Attributes:
        begin, degree, room: [num_rows], int64: where each row starts, its length, its places.
        pool: the indices.
        end: first place of the pool that no row has.
    """

    def __init__(self, degree: Ids, indices: npt.NDArray[Any], dtype: type[Any]) -> None:
        """Lay out rows of these lengths, whose indices are `indices` one row after another."""
        self.degree = degree.astype(np.int64)
        self.begin = np.zeros(len(degree), dtype=np.int64)
        self.room = np.zeros(len(degree), dtype=np.int64)
        self.pool: npt.NDArray[Any] = np.zeros(0, dtype=dtype)
        self.end = 0
        self._copies: dict[torch.device, _Copy] = {}
        self._own: SlackRows | None = None
        self._lay_out(indices)

    def __getstate__(self) -> dict[str, Any]:
        """For copies: tensors over the arrays would not be over the copied ones."""
        return {**self.__dict__, "_own": None, "_copies": {}}

    # ---- reading ----

    def has(self, row: int, column: int) -> bool:
        """Whether a row has an index."""
        indices = self.row(row)
        at = _place_in(indices, column)
        return bool(at < len(indices) and indices[at] == column)

    def row(self, row: int) -> npt.NDArray[Any]:
        """The indices of one row: a view."""
        begin = self.begin[row]
        return self.pool[begin : begin + self.degree[row]]

    def find(self, rows: Ids, columns: Ids) -> tuple[Ids, npt.NDArray[np.bool_]]:
        """For each pair, the first place in its row whose index is not below the column, and whether it is it.

        Complexity: O(num_pairs log(largest degree)): all pairs are bisected together.
        """
        low, high = np.zeros_like(rows), self.degree[rows]
        begin, degree = self.begin[rows], high.copy()
        while (open_ := low < high).any():
            middle = (low + high) // 2
            # A finished search may stand behind the last place: it looks at the first and stays.
            below = open_ & (self.pool[np.where(open_, begin + middle, 0)] < columns)
            low = np.where(below, middle + 1, low)
            high = np.where(open_ & ~below, middle, high)
        inside = low < degree
        return low, inside & (self.pool[np.where(inside, begin + low, 0)] == columns)

    def flat(self) -> npt.NDArray[Any]:
        """All indices, row after row: a copy."""
        return self.pool[_places(self.begin, self.degree)]

    # ---- changing ----

    def insert_one(self, row: int, column: int) -> None:
        """Insert an index that the row lacks."""
        length = int(self.degree[row])
        if length == self.room[row]:
            self._make_room(np.array([row]), np.array([length + 1]))
        begin = int(self.begin[row])
        at = begin + _place_in(self.pool[begin : begin + length], column)
        self.pool[at + 1 : begin + length + 1] = self.pool[at : begin + length]
        self.pool[at] = column
        self.degree[row] = length + 1

    def delete_one(self, row: int, column: int) -> None:
        """Delete an index that the row has."""
        begin, length = int(self.begin[row]), int(self.degree[row])
        at = begin + _place_in(self.pool[begin : begin + length], column)
        self.pool[at : begin + length - 1] = self.pool[at + 1 : begin + length]
        self.degree[row] = length - 1

    def insert(self, rows: Ids, columns: Ids) -> None:
        """Insert distinct pairs that are not there yet, sorted by row, then column."""
        changed, added = np.unique(rows, return_counts=True)
        lengths = self.degree[changed]
        wanted = lengths + added
        full = wanted > self.room[changed]
        if full.any():
            self._make_room(changed[full], wanted[full])
        # Each old index moves up by the new ones of its row that are below it.
        place = self.find(rows, columns)[0]
        counted = np.arange(len(rows)) - np.repeat(np.cumsum(added) - added, added)
        new_at = self.begin[rows] + place + counted
        old_at = _places(self.begin[changed], lengths)
        keys = self.pool[old_at]
        start = np.cumsum(lengths) - lengths  # of each changed row, among its old indices
        steps = np.zeros(len(old_at) + 1, dtype=np.int64)
        np.add.at(steps, np.repeat(start, added) + place, 1)
        # What is inserted behind a row's last index must not move the next row.
        before = np.repeat(np.cumsum(added) - added, lengths)
        self.pool[old_at + np.cumsum(steps[:-1]) - before] = keys
        self.pool[new_at] = columns
        self.degree[changed] = wanted

    def delete(self, rows: Ids, columns: Ids) -> None:
        """Delete distinct pairs that are there, sorted by row, then column."""
        changed, removed = np.unique(rows, return_counts=True)
        lengths = self.degree[changed]
        old_at = _places(self.begin[changed], lengths)
        start = np.cumsum(lengths) - lengths
        kept = np.ones(len(old_at), dtype=np.bool_)
        kept[np.repeat(start, removed) + self.find(rows, columns)[0]] = False
        keys = self.pool[old_at[kept]]
        self.degree[changed] = lengths - removed
        self.pool[_places(self.begin[changed], self.degree[changed])] = keys

    def changed(self, rows: Ids) -> None:
        """Tell the copies on other devices which rows are not what they were."""
        for copy in self._copies.values():
            copy.stale.append(rows)
        if self.end > 64 + 2 * len(self.degree) and self._waste() * 2 > self.end:
            self._lay_out(self.flat())

    def _waste(self) -> int:
        """Places below `end` that are in no row's room."""
        return self.end - self._in_rooms

    def _make_room(self, rows: Ids, wanted: Ids) -> None:
        """Move distinct rows to the end, each with twice the room that it is wanted to have at least."""
        room = np.maximum(2 * wanted, _LEAST_ROOM)
        needed = self.end + int(room.sum())
        if needed > len(self.pool):
            larger = np.zeros(max(needed, 2 * len(self.pool)), dtype=self.pool.dtype)
            larger[: self.end] = self.pool[: self.end]
            self.pool = larger
            self._moved()
        begin = self.end + np.cumsum(room) - room
        lengths = self.degree[rows]
        self.pool[_places(begin, lengths)] = self.pool[_places(self.begin[rows], lengths)]
        self._in_rooms += int(room.sum() - self.room[rows].sum())
        self.begin[rows], self.room[rows] = begin, room
        self.end = needed

    def _lay_out(self, indices: npt.NDArray[Any]) -> None:
        """Give every row its place anew, with an eighth of its length as room to grow."""
        self.room = self.degree + self.degree // 8 + _LEAST_ROOM
        begin = np.cumsum(self.room) - self.room
        self.begin[:] = begin
        self.end = self._in_rooms = int(self.room.sum())
        # Half as much again stays free at the end; memory that is never touched costs nothing.
        self.pool = np.zeros(self.end + self.end // 2, dtype=self.pool.dtype)
        self.pool[_places(begin, self.degree)] = indices
        self._moved()

    # ---- for operators ----

    def slack_rows(self, device: torch.device) -> SlackRows:
        """The rows as tensors on that device: on the CPU the arrays themselves, else a copy kept up to date."""
        if self._own is None:
            self._own = SlackRows(*map(torch.from_numpy, (self.begin, self.degree, self.pool)))
        if device.type == "cpu":
            return self._own
        if device not in self._copies:
            self._copies[device] = _Copy(device)
        return self._copies[device].refresh(self._own)

    def _moved(self) -> None:
        """The pool is another array now."""
        self._own = None
        for copy in self._copies.values():
            copy.rows = None


class _Copy:
    """The rows on another device. Only rows that have changed are sent, unless the pool itself has."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.rows: SlackRows | None = None
        self.stale: list[Ids] = []

    def refresh(self, own: SlackRows) -> SlackRows:
        """Bring the copy up to date."""
        if self.rows is None:
            tensors: tuple[Tensor, ...] = (own.row_begin, own.degree, own.indices)
            self.rows = SlackRows(*(t.to(self.device, copy=True) for t in tensors))
        elif self.stale:
            rows = np.unique(np.concatenate(self.stale))
            begin, degree = own.row_begin.numpy()[rows], own.degree.numpy()[rows]
            places = torch.from_numpy(_places(begin, degree))
            at = torch.from_numpy(rows).to(self.device)
            self.rows.row_begin[at] = torch.from_numpy(begin).to(self.device)
            self.rows.degree[at] = torch.from_numpy(degree).to(self.device)
            self.rows.indices[places.to(self.device)] = own.indices[places].to(self.device)
        self.stale.clear()
        return self.rows


def _place_in(indices: npt.NDArray[Any], column: int) -> int:
    """The first place whose index is not below `column`; of its own type, or numpy would copy all of them."""
    return int(indices.searchsorted(indices.dtype.type(column)))


def _places(begin: Ids, lengths: Ids) -> Ids:
    """begin[0], begin[0] + 1, ... for each of the ranges in turn."""
    shift = begin - (np.cumsum(lengths) - lengths)
    places: Ids = np.arange(int(lengths.sum())) + np.repeat(shift, lengths)
    return places
