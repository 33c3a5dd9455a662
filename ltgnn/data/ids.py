"""One numbering for ids that come in pieces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ltgnn.data._native import IdArray, int_ids, text_ids
from ltgnn.data.interactions import Interactions


class IdMap:
    """Numbers ids in order of first appearance; integers become text once a text id turns up.

    The codes given before stay right: an integer has one spelling. About 40 bytes an id.

    Example:
        >>> ids = IdMap()
        >>> ids.add(np.array([7, 5])).tolist(), ids.add(np.array(["x", "7"])).tolist()
        ([0, 1], [2, 0])
        >>> ids.ids().tolist()
        ['7', '5', 'x']
    """

    def __init__(self) -> None:
        self._table: Any = None
        self.is_text = False

    def __len__(self) -> int:
        return 0 if self._table is None else len(self._table)

    def add(self, ids: IdArray) -> npt.NDArray[np.int32]:
        """Codes of ids; new ones are entered. O(ids).

        Raises:
            ValueError: more than 2**31 - 2 different ids.
        """
        text = ids.dtype.kind == "U"
        if len(ids) == 0:
            return np.zeros(0, np.int32)
        if self._table is None:
            self._table, self.is_text = (text_ids() if text else int_ids()), text
        elif text and not self.is_text:
            former = self._table.ids()
            self._table, self.is_text = text_ids(), True
            self._table.add(_spelled(former))
        if not self.is_text:
            codes = self._table.add(np.ascontiguousarray(ids, np.int64))
        else:
            codes = self._table.add(np.ascontiguousarray(ids) if text else _spelled(ids))
        return np.asarray(codes, np.int32)

    def ids(self) -> IdArray:
        """The ids by code, int64 or text."""
        if self._table is None:
            return np.zeros(0, np.int64)
        return np.asarray(self._table.texts() if self.is_text else self._table.ids())

    def packed(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """Text ids as offsets int64 [size + 1] and UTF-8 bytes."""
        offsets, data = self._table.packed()
        return offsets, data

    @property
    def nbytes(self) -> int:
        """About how much memory the table takes."""
        text = self._table.total_bytes if self.is_text else 0
        return 56 * len(self) + int(text)


def join(files: Iterable[Iterable[Interactions]]) -> list[Interactions]:
    """Files that were read in pieces (see ``Format.read_pieces``), each whole, with one numbering.

    Raises:
        ValueError: some pieces have ids and others do not.
    """
    user_map, item_map = IdMap(), IdMap()
    num_users = num_items = 0
    by_file: list[list[tuple[Any, ...]]] = []
    has_ids: bool | None = None
    for pieces in files:
        parts: list[tuple[Any, ...]] = []
        for piece in pieces:
            if has_ids not in (None, piece.user_ids is not None):
                raise ValueError("expected external ids in all files or in none, got a mixture")
            has_ids = piece.user_ids is not None
            users, items = piece.users, piece.items
            if piece.user_ids is not None and piece.item_ids is not None:
                users = user_map.add(piece.user_ids)[users]
                items = item_map.add(piece.item_ids)[items]
            num_users = max(num_users, piece.num_users)
            num_items = max(num_items, piece.num_items)
            parts.append((users, items, piece.values, piece.times))
        by_file.append(parts)
    ids = (user_map.ids(), item_map.ids()) if has_ids else (None, None)
    if has_ids:
        num_users, num_items = len(user_map), len(item_map)
    result = []
    for parts in by_file:
        nothing = np.zeros(0, np.int32)
        columns = zip(*(parts or [(nothing, nothing, None, None)]), strict=True)
        users, items, values, times = (_concatenate(column) for column in columns)
        result.append(Interactions(users, items, num_users, num_items, values, times, *ids))
    return result


def _concatenate(arrays: Any) -> Any:
    """One behind the other; None unless all are there."""
    present = [array for array in arrays if array is not None]
    return np.concatenate(present) if len(present) == len(arrays) else None


def _spelled(ids: npt.NDArray[Any]) -> npt.NDArray[np.str_]:
    return ids.astype("U")
