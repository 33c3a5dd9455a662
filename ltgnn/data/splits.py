"""Splits of interactions into a rest and a held-out part, for all users at once.

Every split keeps the order of the input in both parts, is a partition (nothing lost, nothing
twice), leaves each user who has interactions at least one of them, and is a function of its
arguments alone.
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

    Of n interactions, ``fraction * n`` rounded to the nearest integer (halves up) are held out, but
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
    """Holds out the last ``n`` interactions of each user by time.

    Interactions at the same time count as later the later they stand in the input. Users with n or
    fewer interactions keep their first one. O(E log E).

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
    order = np.lexsort((interactions.times, interactions.users))  # stable: ties by input order
    rank, size = _rank_in_group(interactions.users[order])
    return _partition(interactions, order, size - 1 - rank < np.minimum(n, size - 1))


def _random(interactions: Interactions, fraction: float, seed: int, stream: int) -> Split:
    if not 0 <= fraction < 1:
        raise ValueError(f"fraction: expected at least 0 and below 1, got {fraction}")
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"seed: expected 0 to 2**64 - 1, got {seed}")
    key = np.array([seed, stream], dtype=np.uint64)
    draws = np.random.Generator(np.random.Philox(key=key)).random(len(interactions))
    order = np.lexsort((draws, interactions.users))
    rank, size = _rank_in_group(interactions.users[order])
    wanted = np.floor(fraction * size + 0.5).astype(np.int64)
    return _partition(interactions, order, rank < np.minimum(wanted, size - 1))


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


def _partition(
    interactions: Interactions, order: npt.NDArray[np.intp], held: npt.NDArray[np.bool_]
) -> Split:
    mask = np.zeros(len(interactions), dtype=np.bool_)
    mask[order[held]] = True
    return interactions.select(~mask), interactions.select(mask)
