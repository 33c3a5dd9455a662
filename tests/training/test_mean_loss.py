"""The mean of an epoch's losses, looked at at once or now and then."""

from __future__ import annotations

import pytest
import torch
from models.contract import checkerboard

from ltgnn.models import create
from ltgnn.training import TrainingError
from ltgnn.training.mean_loss import MeanLoss

LOSSES = [(0.5, 3), (0.25, 4), (0.125, 1), (2.0, 4), (1.0, 2)]


def mean_loss(look_every: int | None) -> MeanLoss:
    return MeanLoss(create("mf", checkerboard(), dim=2), 7, look_every=look_every)


@pytest.mark.parametrize("look_every", [None, 2, 3, 100])
def test_mean_over_pairs(look_every):
    mean = mean_loss(look_every)
    for loss, pairs in LOSSES:
        mean.add(torch.tensor(loss, dtype=torch.float64), pairs)
    assert mean.value() == sum(loss * pairs for loss, pairs in LOSSES) / 14


def test_nothing_is_zero():
    assert mean_loss(None).value() == 0.0


@pytest.mark.parametrize(("look_every", "found_at"), [(None, 2), (2, 2), (3, 3), (100, None)])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_found(look_every, found_at, bad):
    mean = mean_loss(look_every)
    for number in range(1, 5):
        loss = torch.tensor(bad if number == 2 else 1.0, dtype=torch.float64)
        if number == found_at:
            with pytest.raises(TrainingError, match="the loss is (nan|inf) in epoch 7"):
                mean.add(loss, 5)
            return
        mean.add(loss, 5)
    with pytest.raises(TrainingError, match="in epoch 7"):
        mean.value()
