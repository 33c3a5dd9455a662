"""What one training step sees."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """What one training step sees.

    Attributes:
        users, items: [batch], int64: observed pairs, item numbers from 0.
        negatives: [batch], int64, an item that the user lacks, or [batch, n], several, for a config whose
            `draws_per_pair` is n; None for losses that need none.
        seed: what the step's own sampling draws from.
        learning_rate_factor: factor of the config's learning rate, from the trainer's schedule.
        log_q: [batch], the logarithm of the probability that a place of a batch holds the item; for configs with
            `log_q`.
    """

    users: Tensor
    items: Tensor
    negatives: Tensor | None
    seed: int
    learning_rate_factor: float = 1.0
    log_q: Tensor | None = None
