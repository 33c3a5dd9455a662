"""Splits: partitions, shares, determinism."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltgnn.data import Interactions, hold_out, leave_last_out, random_per_user

user_lists = st.lists(st.integers(0, 9), max_size=60)


def make(users: list[int]) -> Interactions:
    count = len(users)
    return Interactions(users, range(count), 12, count, times=np.arange(count)[::-1])


def counts(part: Interactions) -> np.ndarray:
    return np.bincount(part.users, minlength=part.num_users)


@given(user_lists, st.floats(0, 0.99), st.integers(0, 2**64 - 1))
def test_random_is_a_partition_with_the_right_shares(
    users: list[int], fraction: float, seed: int
) -> None:
    pairs = make(users)
    for split in (random_per_user, hold_out):
        rest, held = split(pairs, fraction, seed)
        assert sorted(rest.items.tolist() + held.items.tolist()) == list(range(len(pairs)))
        assert (np.diff(rest.items) > 0).all() and (np.diff(held.items) > 0).all()  # input order
        total = counts(pairs)
        expected = np.minimum(np.floor(fraction * total + 0.5), np.maximum(total - 1, 0))
        assert (counts(held) == expected).all()
        again = split(pairs, fraction, seed)[1]
        assert (again.items == held.items).all()


@given(user_lists, st.integers(0, 5))
def test_leave_last_out(users: list[int], n: int) -> None:
    pairs = make(users)  # the later in the input, the earlier
    rest, held = leave_last_out(pairs, n)
    total = counts(pairs)
    assert (counts(held) == np.minimum(n, np.maximum(total - 1, 0))).all()
    assert sorted(rest.items.tolist() + held.items.tolist()) == list(range(len(pairs)))
    for user in set(users):
        kept, gone = rest.times[rest.users == user], held.times[held.users == user]
        assert len(gone) == 0 or kept.max() < gone.min()


repeated = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 3)), max_size=60)


def pairs_of(part: Interactions) -> set[tuple[int, int]]:
    return set(zip(part.users.tolist(), part.items.tolist(), strict=True))


@given(repeated, st.floats(0, 0.99), st.integers(0, 3))
def test_a_pair_that_repeats_counts_once_and_falls_to_one_side(
    rows: list[tuple[int, int, int]], fraction: float, n: int
) -> None:
    """What is held out of a log of events is not known from the rest."""
    users, items, times = np.array(rows, np.int64).reshape(-1, 3).T
    log = Interactions(users, items, 5, 7, values=np.arange(len(rows)), times=times)
    latest: dict[tuple[int, int], tuple[int, int]] = {}
    for place, (user, item, when) in enumerate(rows):
        latest[user, item] = max(latest.get((user, item), (-1, -1)), (when, place))
    drawn, last = random_per_user(log, fraction, 3), leave_last_out(log, n)
    for rest, held in (drawn, last):
        assert not pairs_of(rest) & pairs_of(held)
        assert rest.values is not None and held.values is not None
        assert sorted([*rest.values, *held.values]) == list(range(len(rows)))
        assert (np.diff(rest.values) > 0).all() and (np.diff(held.values) > 0).all()  # input order
    for user in set(users.tolist()):
        own = sorted((when, pair) for pair, when in latest.items() if pair[0] == user)
        share = min(int(np.floor(fraction * len(own) + 0.5)), len(own) - 1)
        assert sum(one == user for one, _ in pairs_of(drawn[1])) == share
        newest = {pair for _, pair in own[len(own) - min(n, len(own) - 1) :]}
        assert {pair for pair in pairs_of(last[1]) if pair[0] == user} == newest


def test_ties_go_by_input_order() -> None:
    pairs = Interactions([0, 0, 0], [7, 8, 9], 1, 10, times=[1.0, 1.0, 1.0])
    assert leave_last_out(pairs)[1].items.tolist() == [9]


def test_seeds_and_purposes_draw_differently() -> None:
    pairs = make([0] * 200)
    first = random_per_user(pairs, 0.5, 0)[1].items
    assert not np.array_equal(first, random_per_user(pairs, 0.5, 1)[1].items)
    assert not np.array_equal(first, hold_out(pairs, 0.5, 0)[1].items)


def test_known_draw() -> None:
    """Pins the generator: the same seed must give the same split in every release."""
    held = random_per_user(make([0] * 10 + [1] * 5), 0.2, seed=7)[1]
    assert held.items.tolist() == [3, 9, 12]


def test_huge_user_id_costs_nothing() -> None:
    last = 2**31 - 2
    pairs = Interactions([last] * 4, [0, 1, 2, 3], 2**31 - 1, 4)
    assert [len(part) for part in random_per_user(pairs, 0.25)] == [3, 1]


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_refuses_fraction(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction: expected at least 0 and below 1, got"):
        random_per_user(make([0]), fraction)


def test_refuses_missing_times_and_bad_seed() -> None:
    pairs = Interactions([0], [0], 1, 1)
    with pytest.raises(ValueError, match="expected interactions with times, got none"):
        leave_last_out(pairs)
    with pytest.raises(ValueError, match="seed: expected 0 to"):
        random_per_user(pairs, 0.5, -1)
    with pytest.raises(ValueError, match="n must not be negative, got -1"):
        leave_last_out(make([0]), -1)
