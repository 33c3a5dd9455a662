"""The synthetic set: exact counts, no repeated pair, long tails, tastes worth learning."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse

from ltgnn.data import Dataset, synthetic


def all_keys(data: Dataset) -> npt.NDArray[np.int64]:
    return np.concatenate(
        [
            part.users.astype(np.int64) * data.num_items + part.items
            for part in data.parts().values()
        ]
    )


def recall(scores: npt.NDArray[np.float64], data: Dataset, k: int = 20) -> float:
    assert data.test is not None
    scores = scores.copy()
    scores[data.train.users, data.train.items] = -np.inf
    top = np.argpartition(-scores, k, axis=1)[:, :k]
    relevant = data.test.to_scipy().toarray() > 0
    hits = np.take_along_axis(relevant, top, axis=1).sum(axis=1)
    return float((hits / np.maximum(relevant.sum(axis=1), 1)).mean())


@pytest.mark.parametrize(
    "counts",
    [(2000, 3000, 100_000), (50, 80, 613), (100, 20, 1000), (5, 10, 25), (1, 10, 5), (0, 0, 0)],
)
def test_counts(counts: tuple[int, int, int]) -> None:
    data = synthetic(*counts, valid_fraction=0.1)
    assert (data.num_users, data.num_items) == counts[:2]
    keys = all_keys(data)
    assert len(keys) == counts[2] == len(np.unique(keys))
    degrees = np.bincount(keys // max(1, counts[1]), minlength=counts[0])
    assert (degrees >= 5).all()


def test_seed() -> None:
    first, again, other = (synthetic(60, 90, 900, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(all_keys(first), all_keys(again))
    assert not np.array_equal(all_keys(first), all_keys(other))


def test_share_per_user() -> None:
    data = synthetic()
    assert data.test is not None
    held = np.bincount(data.test.users, minlength=data.num_users)
    total = held + np.bincount(data.train.users, minlength=data.num_users)
    assert (held == np.floor(0.2 * total + 0.5)).all()


def test_degrees_have_long_tails() -> None:
    data = synthetic()
    for side in (data.train.users, data.train.items):
        degrees = np.sort(np.bincount(side))[::-1]
        assert degrees[0] > 10 * np.median(degrees)
        ranks = np.arange(20, 300)
        slope = np.polyfit(np.log(ranks), np.log(degrees[ranks]), 1)[0]
        assert -1.2 < slope < -0.4  # log degree falls in a straight line over log rank


def test_taste_beats_popularity() -> None:
    data = synthetic()
    train = data.train.to_scipy().astype(np.float64)
    popularity = np.asarray(train.sum(axis=0)).ravel()
    by_popularity = recall(np.tile(popularity, (data.num_users, 1)), data)
    scale = sparse.diags(1 / np.sqrt(np.maximum(popularity, 1)))
    normal = train @ scale
    likeness = (normal.T @ normal).toarray()
    np.fill_diagonal(likeness, 0)
    by_neighbours = recall(train @ likeness, data)
    assert by_popularity < 0.5 * by_neighbours


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((10, 100, 49), r"must lie from 50 \(5 per user\) to 500 .* got 49"),
        ((10, 100, 501), "got 501"),
        ((10, 4, 30), "num_items must be at least 10, twice what each user has, got 4"),
        ((-1, 5, 5), "num_users must not be negative, got -1"),
    ],
)
def test_refuses(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        synthetic(*arguments)
    with pytest.raises(ValueError, match="num_communities must be at least 1, got 0"):
        synthetic(num_communities=0)
