"""Settings of training, apart from the model's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ltgnn.evaluation import METRICS


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        epochs: passes over the training interactions.
        batch_size: observed pairs in a step; 0: a power of two from 256 to 2048, for about 400 steps an epoch, and
            with losses of drawn negatives up to 32768 for about 3000 where there are millions of interactions.
        sampling: 'interactions': every pair once an epoch, shuffled; 'users': as many pairs, each of a uniform
            user and a uniform item of that user (the LTGNN authors' way).
        schedule: learning rate over the whole run: 'constant', or 'cosine' (falling to zero).
        seed: of everything random: the same seed gives the same bits, for any number of threads.
        eval_every: epochs between evaluations; the last epoch is always evaluated. 0: only the last.
        patience: stop after so many evaluations without a better value; 0: never.
        monitor: the metric that chooses the best epoch.
        checkpoint_every: epochs between checkpoints (an interrupted run goes on from the latest).

    Raises:
        ValueError: a setting is out of range; the message names it, what is accepted, and what came.
    """

    epochs: int = 20
    batch_size: int = 0
    sampling: Literal["interactions", "users"] = "interactions"
    schedule: Literal["constant", "cosine"] = "constant"
    seed: int = 0
    eval_every: int = 1
    patience: int = 0
    monitor: str = "recall@20"
    checkpoint_every: int = 1

    def __post_init__(self) -> None:
        for name, low in (("epochs", 0), ("batch_size", 0), ("eval_every", 0), ("patience", 0),
                          ("checkpoint_every", 1)):  # fmt: skip
            if getattr(self, name) < low:
                raise ValueError(f"{name} must be at least {low}, got {getattr(self, name)}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be in [0, 2^63), got {self.seed}")
        if self.sampling not in ("interactions", "users"):
            raise ValueError(f"sampling must be 'interactions' or 'users', got {self.sampling!r}")
        if self.schedule not in ("constant", "cosine"):
            raise ValueError(f"schedule must be 'constant' or 'cosine', got {self.schedule!r}")
        name, _, k = self.monitor.partition("@")
        if name not in METRICS or not k.isdigit() or int(k) < 1:
            raise ValueError(
                f"monitor must be METRIC@K with METRIC one of {', '.join(METRICS)}, "
                f"got {self.monitor!r}"
            )
