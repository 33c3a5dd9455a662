"""Who touched what: the arrays every later layer starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ltgnn.data._native import IdArray

IndexArray = npt.NDArray[np.int32] | npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Interactions:
    """User-item pairs, with optional values, times and external ids.

    Arrays are converted to the stated dtype and layout; values and times are rounded to it. Pairs may repeat
    and keep their order. Users and items without interactions are allowed: the counts say how many
    there are.

    Args:
        users: int32 [num_interactions], from 0 to num_users - 1 (int64 if num_users needs it).
        items: like users, of the same dtype, from 0 to num_items - 1.
        num_users: number of users.
        num_items: number of items.
        values: float32 [num_interactions], finite (ratings, counts), or None.
        times: float64 [num_interactions], finite, in seconds, or None.
        user_ids: external id of each user, int64 or str [num_users]; None: ids are the indices.
        item_ids: external id of each item, int64 or str [num_items]; None: ids are the indices.

    Raises:
        TypeError: an array of the wrong kind.
        ValueError: wrong lengths, an index out of range, a value or time that is not finite, an id past int64.

    Checks take O(num_interactions).

    Example:
        >>> pairs = Interactions([0, 0, 2], [1, 3, 0], num_users=3, num_items=4)
        >>> len(pairs), pairs.users.dtype.name
        (3, 'int32')
        >>> pairs.select(pairs.users == 0).items.tolist()
        [1, 3]
    """

    users: IndexArray
    items: IndexArray
    num_users: int
    num_items: int
    values: npt.NDArray[np.float32] | None = None
    times: npt.NDArray[np.float64] | None = None
    user_ids: IdArray | None = None
    item_ids: IdArray | None = None

    def __post_init__(self) -> None:
        """Checks and converts every field."""
        num_users = _count("num_users", self.num_users)
        num_items = _count("num_items", self.num_items)
        wide = max(num_users, num_items) > np.iinfo(np.int32).max
        dtype = np.int64 if wide else np.int32
        users = _indices("users", self.users, num_users, dtype)
        items = _indices("items", self.items, num_items, dtype)
        if len(users) != len(items):
            raise ValueError(
                f"Interactions: users and items must be equally long, got {len(users)} and "
                f"{len(items)}"
            )
        converted = {
            "num_users": num_users,
            "num_items": num_items,
            "users": users,
            "items": items,
            "values": _numbers("values", self.values, len(users), np.float32),
            "times": _numbers("times", self.times, len(users), np.float64),
            "user_ids": _ids("user_ids", self.user_ids, num_users),
            "item_ids": _ids("item_ids", self.item_ids, num_items),
        }
        for name, value in converted.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        """Number of interactions."""
        return len(self.users)

    def select(self, which: npt.ArrayLike) -> Interactions:
        """The interactions picked by a boolean mask or by positions; counts and ids stay.

        Args:
            which: bool [num_interactions] or integers [any].

        Returns:
            New interactions in the order of ``which``; O(result).

        Raises:
            IndexError: a mask of the wrong length, or a position out of range.

        Example:
            >>> pairs = Interactions([0, 1], [1, 0], num_users=2, num_items=2)
            >>> pairs.select([1]).users.tolist()
            [1]
        """
        index = np.asarray(which)
        if index.size == 0 and index.dtype != np.bool_:
            index = index.astype(np.int64)
        return Interactions(
            self.users[index],
            self.items[index],
            self.num_users,
            self.num_items,
            None if self.values is None else self.values[index],
            None if self.times is None else self.times[index],
            self.user_ids,
            self.item_ids,
        )

    def to_scipy(self) -> sparse.csr_matrix:
        """A float32 CSR matrix [num_users, num_items]; repeated pairs are added up.

        Without values every interaction counts 1. O(num_interactions + num_users).

        Example:
            >>> Interactions([0, 0], [1, 1], num_users=1, num_items=2).to_scipy().toarray()
            array([[0., 2.]], dtype=float32)
        """
        values = self.values
        if values is None:
            values = np.ones(len(self), dtype=np.float32)
        shape = (self.num_users, self.num_items)
        return sparse.coo_matrix((values, (self.users, self.items)), shape=shape).tocsr()

    @classmethod
    def from_scipy(cls, matrix: Any, *, keep_values: bool = True) -> Interactions:
        """The stored entries of any scipy sparse matrix [num_users, num_items], row by row.

        Args:
            matrix: the matrix; explicit zeros are entries too.
            keep_values: False drops the values: each entry is an interaction and no more. Values of
                boolean matrices are always dropped.

        Complexity: O(stored entries + num_users).

        Raises:
            TypeError: not a scipy sparse matrix.
            ValueError: a value is not finite in float32.

        Example:
            >>> from scipy.sparse import csr_matrix
            >>> Interactions.from_scipy(csr_matrix([[0, 3], [0, 0]])).values.tolist()
            [3.0]
        """
        if not sparse.issparse(matrix):
            raise TypeError(f"from_scipy: expected a sparse matrix, got {type(matrix).__name__}")
        coo = matrix.tocsr().tocoo()
        keep = keep_values and coo.dtype != np.bool_
        values = coo.data.astype(np.float32) if keep else None
        return cls(coo.row, coo.col, int(coo.shape[0]), int(coo.shape[1]), values)


def _count(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"Interactions: {name} must be an integer, got {type(value).__name__}")
    if value < 0:
        raise ValueError(f"Interactions: {name} must not be negative, got {value}")
    return int(value)


def _vector(name: str, value: Any) -> npt.NDArray[Any]:
    array = np.asarray(value)
    if array.ndim != 1:
        raise ValueError(f"Interactions: {name} must be 1-D, got {array.ndim}-D")
    return array


def _indices(name: str, value: Any, bound: int, dtype: type[np.signedinteger[Any]]) -> Any:
    array = _vector(name, value)
    if array.size == 0:
        return np.zeros(0, dtype)
    if array.dtype.kind not in "iu":
        raise TypeError(f"Interactions: {name} must be integers, got {array.dtype}")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= bound:
        wrong = low if low < 0 else high
        at = int(np.flatnonzero(array == wrong)[0])
        raise ValueError(
            f"Interactions: {name} must lie from 0 to {bound - 1}, got {wrong} at position {at}"
        )
    return np.ascontiguousarray(array, dtype)


def _numbers(name: str, value: Any, length: int, dtype: type[np.floating[Any]]) -> Any:
    if value is None:
        return None
    array = _vector(name, value)
    if len(array) != length:
        raise ValueError(
            f"Interactions: {name} must have one entry per interaction ({length}), got {len(array)}"
        )
    if array.size and array.dtype.kind not in "iuf":
        raise TypeError(f"Interactions: {name} must be real numbers, got {array.dtype}")
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype)
    finite = np.isfinite(array)
    if not finite.all():
        at = int(np.flatnonzero(~finite)[0])
        raise ValueError(
            f"Interactions: {name} must be finite in {array.dtype}, "
            f"got {array[at]} at position {at}"
        )
    return array


def _ids(name: str, value: Any, length: int) -> Any:
    if value is None:
        return None
    array = _vector(name, value)
    if len(array) != length:
        raise ValueError(f"Interactions: {name} must have {length} entries, got {len(array)}")
    if array.size == 0 and array.dtype.kind == "f":  # what numpy makes of an empty list
        array = array.astype(np.int64)
    if array.dtype.kind in "iu":
        past = np.flatnonzero(array > np.iinfo(np.int64).max)
        if past.size:
            raise ValueError(
                f"Interactions: {name} must fit int64, got {array[past[0]]} at position {past[0]}"
            )
        return np.ascontiguousarray(array, np.int64)
    if array.dtype.kind == "U":
        return np.ascontiguousarray(array)
    raise TypeError(f"Interactions: {name} must be integers or text, got {array.dtype}")
