"""The mean loss of an epoch, and the alarm where it is not finite."""

from __future__ import annotations

import math

from torch import Tensor

from ltgnn.models import Recommender


class TrainingError(RuntimeError):
    """Training cannot go on: the loss or an embedding is not finite."""


class MeanLoss:
    """Adds up the losses of an epoch's steps.

    On the CPU each loss is looked at as it comes. On a GPU that would be a wait for every step, so that losses are
    added there, and looked at together.

    Args:
        model: whose losses they are; named in errors with its step.
        epoch: likewise.
        look_every: steps between looks; None: each on the CPU, every 100 elsewhere.
    """

    def __init__(self, model: Recommender, epoch: int, *, look_every: int | None = None) -> None:
        self._model = model
        self._epoch = epoch
        self._look_every = look_every or (100 if model.e0.is_cuda else 1)
        self._total = 0.0
        self._pairs = 0
        self._waiting: Tensor | None = (
            None  # sum of the losses not yet looked at, times their pairs
        )
        self._steps = 0

    def add(self, loss: Tensor, pairs: int) -> None:
        """Count the loss of a step over so many pairs.

        Raises:
            TrainingError: this loss or, on a GPU, one since the last look is not finite.
        """
        self._pairs += pairs
        self._steps += 1
        part = loss * pairs
        self._waiting = part if self._waiting is None else self._waiting + part
        if self._steps % self._look_every == 0:
            self._look()

    def value(self) -> float:
        """The mean over all pairs; 0 for none.

        Raises:
            TrainingError: a loss is not finite.
        """
        self._look()
        return self._total / self._pairs if self._pairs else 0.0

    def _look(self) -> None:
        if self._waiting is None:
            return
        part = float(self._waiting)
        self._waiting = None
        if not math.isfinite(part):
            raise TrainingError(
                f"the loss is {part} in epoch {self._epoch}, step {int(self._model.step)}: the "
                "learning rate may be too high. The last checkpoint is kept"
            )
        self._total += part
