"""Splits of interactions into a rest and a held-out part, for all users at once.

Every split keeps the order of the input in both parts, is a partition (nothing lost, nothing
twice), leaves each user who has interactions at least one of them, and is a function of its
arguments alone. A pair that repeats counts as one, and all of it falls to one side: what is held out
is never known from the rest.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ltgnn.data.interactions import Interactions

Split = tuple[Interactions, Interactions]

# One stream of random numbers per purpose: the same seed for both must not correlate them.
_STREAM_TEST = 1
_STREAM_HOLD_OUT = 2


def random_per_user(interactions: Interactions, fraction: float, seed: int = 0) -> Split:
    """Holds out a random share of each user's interactions.

    Of n distinct pairs, ``fraction * n`` rounded to the nearest integer (halves up) are held out, but
    never all of them. O(E log E) for E interactions.

    Args:
        interactions: what to split.
        fraction: share to hold out, from 0 up to but not including 1.
        seed: not negative; the same seed gives the same split on every machine.

    Returns:
        ``(rest, held)``.

    Raises:
        ValueError: fraction or seed out of range.

    Example:
        >>> pairs = Interactions([0] * 5 + [1], [0, 1, 2, 3, 4, 0], num_users=2, num_items=5)
        >>> rest, held = random_per_user(pairs, 0.2, seed=0)
        >>> len(rest), held.users.tolist()
        (5, [0])
    """
    return _random(interactions, fraction, seed, _STREAM_TEST)


def hold_out(train: Interactions, fraction: float, seed: int = 0) -> Split:
    """Like ``random_per_user`` with draws of its own: takes validation data from a train split.

    Returns:
        ``(rest, held)``.

    Raises:
        ValueError: fraction or seed out of range.

    Example:
        >>> pairs = Interactions([0] * 10, list(range(10)), num_users=1, num_items=10)
        >>> [len(part) for part in hold_out(pairs, 0.1)]
        [9, 1]
    """
    return _random(train, fraction, seed, _STREAM_HOLD_OUT)


def leave_last_out(interactions: Interactions, n: int = 1) -> Split:
    """Holds out the last ``n`` pairs of each user by time, each with whatever repeats it.

    Interactions at the same time count as later the later they stand in the input. Users with n or
    fewer pairs keep their first one. O(E log E).

    Returns:
        ``(rest, held)``.

    Raises:
        ValueError: there are no times, or n is negative.

    Example:
        >>> pairs = Interactions([0, 0, 0], [5, 6, 7], 1, 8, times=[3.0, 1.0, 2.0])
        >>> leave_last_out(pairs)[1].items.tolist()
        [5]
    """
    if n < 0:
        raise ValueError(f"leave_last_out: n must not be negative, got {n}")
    if interactions.times is None:
        raise ValueError(
            "leave_last_out: expected interactions with times, got none; name the time column "
            "(columns={'time': ...}) or split at random"
        )
    pairs = _Pairs(interactions, interactions.times)
    users, last = interactions.users[pairs.last], pairs.last
    order = np.lexsort((last, interactions.times[last], users))
    rank, size = _rank_in_group(users[order])
    return pairs.split(order[size - 1 - rank < np.minimum(n, size - 1)])


def _random(interactions: Interactions, fraction: float, seed: int, stream: int) -> Split:
    if not 0 <= fraction < 1:
        raise ValueError(f"fraction: expected at least 0 and below 1, got {fraction}")
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"seed: expected 0 to 2**64 - 1, got {seed}")
    key = np.array([seed, stream], dtype=np.uint64)
    draws = np.random.Generator(np.random.Philox(key=key)).random(len(interactions))
    pairs = _Pairs(interactions)
    users = interactions.users[pairs.first]
    order = np.lexsort((draws[pairs.first], users))
    rank, size = _rank_in_group(users[order])
    wanted = np.floor(fraction * size + 0.5).astype(np.int64)
    return pairs.split(order[rank < np.minimum(wanted, size - 1)])


def _rank_in_group(
    sorted_keys: npt.NDArray[np.integer],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Position within its run of equal keys, and the length of that run, for each entry.

    Works from the runs rather than from counts per user: one huge user id costs nothing.
    """
    positions = np.arange(len(sorted_keys), dtype=np.int64)
    if len(sorted_keys) == 0:
        return positions, positions
    starts = np.flatnonzero(np.diff(sorted_keys, prepend=sorted_keys[0] - 1))
    sizes = np.diff(starts, append=len(sorted_keys))
    return positions - np.repeat(starts, sizes), np.repeat(sizes, sizes)


class _Pairs:
    """The distinct pairs of some interactions.

    Args:
        interactions: where pairs may repeat.
        times: what orders the repeats of a pair; None: where they stand.

    Attributes:
        of: [interactions], which pair each is of.
        first, last: [pairs], where each pair stands first, and last, in that order.
    """

    def __init__(
        self, interactions: Interactions, times: npt.NDArray[np.float64] | None = None
    ) -> None:
        self.interactions = interactions
        users, items = interactions.users, interactions.items
        later = (users[1:] > users[:-1]) | ((users[1:] == users[:-1]) & (items[1:] > items[:-1]))
        if later.all():  # sorted and distinct, as most files are
            self.of = self.first = self.last = np.arange(len(users))
            return
        keys = (items, users) if times is None else (times, items, users)
        order = np.lexsort(keys)  # stable: repeats, at one time, stay in the order of the input
        users, items = users[order], items[order]
        new = np.ones(len(order), np.bool_)
        new[1:] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
        starts = np.flatnonzero(new)
        self.of = np.empty(len(order), np.int64)
        self.of[order] = np.cumsum(new) - 1
        self.first = order[starts]
        self.last = order[np.append(starts[1:], len(order)) - 1]

    def split(self, held: npt.NDArray[np.integer]) -> Split:
        """The rest, and all interactions of the pairs that are held out."""
        mask = np.zeros(len(self.first), np.bool_)
        mask[held] = True
        mask = mask[self.of]
        return self.interactions.select(~mask), self.interactions.select(mask)
