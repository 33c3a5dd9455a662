"""Splits the interactions of a range of users, so that ranges can be split one by one.

The rules are those of ``ltgnn.data.splits``. The draws, and the choice between equal times, are not: they depend
on seed, user number and item number alone, not on the place in the file, so that a split is the same for any
order of the input and any amount of memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ltgnn.data.conversion.buckets import Bucket

TRAIN, VALID, TEST = 0, 1, 2

_STREAM_TEST, _STREAM_VALID = 1, 2
_SHIFT = np.uint64(32)


@dataclass(frozen=True)
class SplitRule:
    """What to hold out.

    Args:
        test: how test interactions are chosen.
        test_fraction: share of each user's for "random".
        valid_fraction: share of the rest for validation.
        seed: of the draws.

    Raises:
        ValueError: a fraction or the seed is out of range.
    """

    test: Literal["none", "random", "leave_last_out"] = "none"
    test_fraction: float = 0.0
    valid_fraction: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("test_fraction", "valid_fraction"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name}: expected at least 0 and below 1, got {getattr(self, name)}"
                )
        if not 0 <= self.seed < 1 << 64:
            raise ValueError(f"seed: expected 0 to 2**64 - 1, got {self.seed}")

    def drawn(self) -> dict[str, float | int]:
        """What the draws were made with, as far as it had a say."""
        fractions = {"test_fraction": self.test_fraction} if self.test == "random" else {}
        if self.valid_fraction:
            fractions["valid_fraction"] = self.valid_fraction
        return {**fractions, "seed": self.seed} if fractions else {}

    def parts(self) -> list[int]:
        """The parts that result."""
        valid = [VALID] if self.valid_fraction else []
        return [TRAIN, *valid] + ([TEST] if self.test != "none" else [])


def split(bucket: Bucket, rule: SplitRule) -> npt.NDArray[np.uint8]:
    """The part of each interaction of a bucket of users: uint8 [pairs]. O(E log E)."""
    parts = np.full(len(bucket.columns), TRAIN, np.uint8)
    users = np.repeat(np.arange(len(bucket.counts), dtype=np.uint32), bucket.counts)
    if rule.test == "random":
        held = _draw(bucket, users, rule.test_fraction, rule.seed, _STREAM_TEST)
        parts[held] = TEST
    elif rule.test == "leave_last_out":
        parts[_last(bucket, users)] = TEST
    if rule.valid_fraction:
        rest = np.flatnonzero(parts == TRAIN)
        counts = np.bincount(users[rest], minlength=len(bucket.counts))
        part = Bucket(bucket.first, counts, bucket.columns[rest], {}, 0)
        held = _draw(part, users[rest], rule.valid_fraction, rule.seed, _STREAM_VALID)
        parts[rest[held]] = VALID
    return parts


def _draw(
    bucket: Bucket, users: npt.NDArray[np.uint32], fraction: float, seed: int, stream: int
) -> npt.NDArray[np.intp]:
    """Places of a random share of each user's pairs: rounded, halves up, but never all of them."""
    counts = bucket.counts
    wanted = np.minimum(np.floor(fraction * counts + 0.5).astype(np.int64), counts - 1)
    wanted = np.maximum(wanted, 0)
    # A draw is the item under a permutation of the 32-bit integers that is the user's own: no two of a
    # user's draws are equal, and the smallest `wanted` of them are well defined.
    draws = _permuted(bucket.columns, _user_keys(bucket.first, len(counts), seed, stream), users)
    keyed = users.astype(np.uint64)
    keyed <<= _SHIFT
    keyed |= draws
    ascending = np.sort(keyed)
    starts = np.cumsum(counts) - counts
    chosen = wanted > 0
    limits = np.zeros(len(counts), np.uint64)
    limits[chosen] = ascending[(starts + wanted - 1)[chosen]]
    held: npt.NDArray[np.intp] = np.flatnonzero((keyed <= limits[users]) & chosen[users])
    return held


def _last(bucket: Bucket, users: npt.NDArray[np.uint32]) -> npt.NDArray[np.intp]:
    """The place of each user's latest pair, of several the one of the largest item; not of a lone pair."""
    times = bucket.extra["times"]
    starts = (np.cumsum(bucket.counts) - bucket.counts)[bucket.counts > 0]
    if len(starts) == 0:
        return np.zeros(0, np.intp)
    latest = np.repeat(np.maximum.reduceat(times, starts), bucket.counts[bucket.counts > 0])
    places = np.flatnonzero(times == latest)
    last_of_user = np.append(users[places][1:] != users[places][:-1], True)
    places = places[last_of_user]
    last: npt.NDArray[np.intp] = places[bucket.counts[users[places]] > 1]
    return last


def _user_keys(first: int, count: int, seed: int, stream: int) -> npt.NDArray[np.uint64]:
    """64 bits for each user: splitmix64 of seed, stream and user."""
    base = (seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03) % (1 << 64)
    state = np.arange(first, first + count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        state = (state + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(base)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def _permuted(
    items: npt.NDArray[np.int32], keys: npt.NDArray[np.uint64], users: npt.NDArray[np.uint32]
) -> npt.NDArray[np.uint32]:
    """Items under a permutation for each key: every step can be undone."""
    key = keys[users]
    low, high = key.astype(np.uint32), (key >> _SHIFT).astype(np.uint32)
    x = items.view(np.uint32) ^ low
    with np.errstate(over="ignore"):
        x *= np.uint32(0x9E3779B1)
        x ^= x >> np.uint32(15)
        x += high
        x *= np.uint32(0x85EBCA77)
        x ^= x >> np.uint32(13)
        x ^= low
        x *= np.uint32(0xC2B2AE3D)
        x ^= x >> np.uint32(16)
    return x
