"""ScoreMix: the weighted sum of standardised scores."""

from __future__ import annotations

import pytest
import torch
from models.contract import SIDE, checkerboard, share_right, train

from ltgnn.graph import BipartiteGraph
from ltgnn.models import ScoreMix, create

EVERYONE = torch.arange(SIDE)


@pytest.fixture(scope="module")
def models():
    graph = checkerboard()
    return [train(name, graph, epochs=epochs) for name, epochs in (("mf", 10), ("chebycf", 1))]


@pytest.mark.parametrize("weights", [[1.0, 0.0], [1.0, 0.7], [-0.5, 2.0]])
def test_scores_are_the_standardised_sum(models, weights):
    wanted = torch.zeros(SIDE, SIDE, dtype=torch.float64)
    for model, weight in zip(models, weights, strict=True):
        scores = model.score_block(EVERYONE).double()
        for user in range(SIDE):
            mean = scores[user].mean()
            spread = ((scores[user] - mean) ** 2).mean().sqrt()
            wanted[user] += weight * scores[user] / spread
    mixed = ScoreMix(models, weights).score_block(EVERYONE)
    assert (mixed.double() - wanted).abs().max() < 1e-4


def test_a_user_scores_alike_alone_and_among_others(models):
    mix = ScoreMix(models, [1.0, 0.7])
    whole = mix.score_block(EVERYONE)
    for users in ([5], [39, 5, 0], [7] * 300):
        assert torch.equal(mix.score_block(torch.tensor(users)), whole[users])
    assert mix.score_block(EVERYONE[:0]).shape == (0, SIDE)
    for user in (-1, SIDE):
        with pytest.raises(IndexError, match=rf"users must be in \[0, {SIDE}\), got {user}"):
            mix.score_block(torch.tensor([user]))


def test_a_good_model_mends_a_bad_one(models):
    graph = checkerboard()
    bad = create("mf", graph, dim=16)
    assert share_right(ScoreMix([bad, models[1]], [1.0, 10.0])) > share_right(bad) + 0.2


def test_equal_scores_add_nothing():
    """Users without interactions have equal spectral scores: zeros."""
    graph = BipartiteGraph.from_edges([0, 1, 1], [0, 1, 2], num_users=4, num_items=5)
    first, second = create("mf", graph, dim=4), create("chebycf", graph, dim=2)
    second.fit()
    users = torch.tensor([2, 3])
    alone = ScoreMix([first], [1.0]).score_block(users)
    assert torch.equal(ScoreMix([first, second], [1.0, 5.0]).score_block(users), alone)


def test_what_does_not_fit_is_named(models):
    with pytest.raises(ValueError, match="equally many, at least one, got 2 and 1"):
        ScoreMix(models, [1.0])
    with pytest.raises(ValueError, match="equally many, at least one, got 0 and 0"):
        ScoreMix([], [])
    other = BipartiteGraph.from_edges(range(SIDE), range(SIDE))
    with pytest.raises(ValueError, match="the same training graph"):
        ScoreMix([models[0], create("mf", other)], [1.0, 1.0])
