"""epoch_pairs: a permutation, uniform, unlike from seed to seed, and past 2^31."""

from __future__ import annotations

import pytest
import torch
from ops.chi_square import chi_square, chi_square_limit

from ltgnn.ops import epoch_pairs
from ltgnn.ops.reference_pairs import entry_at


def places(count: int, seed: int, begin: int = 0, length: int | None = None) -> torch.Tensor:
    """Where the permutation sends positions: the column of an entry is its number."""
    indptr = torch.tensor([0, count])
    indices = torch.arange(count, dtype=torch.int32)
    length = count - begin if length is None else length
    return epoch_pairs(indptr, indices, count, begin, length, seed=seed)[1]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 17, 100, 101, 9999, 100_000])
@pytest.mark.parametrize("seed", [0, 1, -1])
def test_every_entry_once(count: int, seed: int) -> None:
    got = places(count, seed)
    assert torch.equal(got.sort().values, torch.arange(count))
    middle = places(count, seed, count // 3, count - count // 3 - count // 4)
    assert torch.equal(middle, got[count // 3 : count - count // 4])


def test_the_first_place_goes_everywhere() -> None:
    """Over seeds, position 0 and the last one are sent to each of 50 entries equally often."""
    for at in (0, 49):
        counts = torch.zeros(50, dtype=torch.int64)
        for seed in range(5000):
            counts[places(50, seed, at, 1)] += 1
        assert chi_square(counts) < chi_square_limit(50)


@pytest.mark.parametrize("seed", [0, 7])
def test_batches_spread_over_all_entries(seed: int) -> None:
    """Of a permutation of a million, any run of positions falls evenly into 100 parts of the entries."""
    count = 1_000_000
    got = places(count, seed)
    for part in got.split(100_000):
        counts = torch.bincount(part // (count // 100), minlength=100)
        assert chi_square(counts) < chi_square_limit(100)
    steps = (got[1:] - got[:-1]) % count  # neighbours are no nearer than others
    assert chi_square(torch.bincount(steps // (count // 100), minlength=100)) < chi_square_limit(
        100
    )
    low = torch.bincount(got[::97] % 64, minlength=64)
    assert chi_square(low) < chi_square_limit(64)


def test_seeds_are_unlike() -> None:
    count = 100_000
    first = places(count, 1).double()
    for seed in (2, 3, 2**62):
        other = places(count, seed).double()
        assert abs(torch.corrcoef(torch.stack([first, other]))[0, 1]) < 4 / count**0.5
        assert (first == other).sum() < 10  # one is expected


@pytest.mark.parametrize("count", [2**31 + 11, 2**40 + 1, 2**62])
def test_past_the_border(count: int) -> None:
    """The twin is what the native kernel is held to; here, that it is one to one on sizes no table could hold."""
    positions = [0, 1, 2, 2**31 - 1, 2**31, count // 2, count - 2, count - 1]
    sent = [entry_at(count, at, seed=9) for at in positions]
    assert len(set(sent)) == len(sent)
    assert all(0 <= entry < count for entry in sent)
