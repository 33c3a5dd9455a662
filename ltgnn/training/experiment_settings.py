"""Everything that determines a run, as one value that JSON can hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ltgnn.models import MODELS
from ltgnn.models.base import config_from_dict
from ltgnn.training.config import TrainConfig

Protocol: TypeAlias = Literal["auto", "validation", "test", "last"]

PROTOCOLS = {
    "validation": "epoch chosen on a validation split held out of train, scored on test",
    "test": "best epoch on test, as published results report it",
    "last": "last epoch, scored on test",
}


@dataclass(frozen=True)
class Experiment:
    """Everything that determines a run.

    Attributes:
        data: a file, folder or block store, or None for the built-in synthetic data. A block store is never loaded
            whole, except to draw a split that it does not hold.
        data_options: options of `ltgnn.data.load`.
        model: a name in `MODELS`.
        settings: the model's settings; the rest take their defaults.
        train: how to train.
        protocol: which epoch is reported: 'validation' (chosen on a validation split held out of train), 'test'
            (best on test, as published results are), 'last', or 'auto': 'test' where the data came with a test
            file and without a validation file, as public benchmarks do, else 'validation'; of a block store without
            a validation part 'last'.
        valid_fraction: what 'validation' holds out of each user's training interactions.
        ks: cut-offs of the metrics.
        eval_users: score a seeded sample of so many users of each split; 0: all. The result says how many.
        tables: where the model's tables and the graph's indices live: 'memory', or 'mmap': files that are mapped,
            in the run's folder or, without one, where temporary files go. They are gone when the run ends.
        memory: most memory to take, such as '12GB'; None: what the machine has free. A run that is going to need
            more is refused before work starts.
    """

    data: str | None = None
    data_options: dict[str, Any] = field(default_factory=dict)
    model: str = "ltgnn"
    settings: dict[str, Any] = field(default_factory=dict)
    train: TrainConfig = field(default_factory=TrainConfig)
    protocol: Protocol = "auto"
    valid_fraction: float = 0.1
    ks: tuple[int, ...] = (5, 10, 20, 50)
    eval_users: int = 0
    tables: Literal["memory", "mmap"] = "memory"
    memory: str | None = None

    def __post_init__(self) -> None:
        if self.protocol != "auto" and self.protocol not in PROTOCOLS:
            raise ValueError(
                f"protocol must be auto, {', '.join(PROTOCOLS)}, got {self.protocol!r}"
            )
        if self.eval_users < 0:
            raise ValueError(f"eval_users must not be negative, got {self.eval_users}")
        if self.tables not in ("memory", "mmap"):
            raise ValueError(f"tables must be 'memory' or 'mmap', got {self.tables!r}")
        if self.model not in MODELS:
            raise ValueError(
                f"no model named {self.model!r}; there are {', '.join(sorted(MODELS))}"
            )
        if len(set(self.ks)) != len(self.ks) or min(self.ks, default=0) < 1:
            raise ValueError(f"ks must be different numbers from 1, got {list(self.ks)}")
        cut = int(self.train.monitor.partition("@")[2])
        if cut not in self.ks:
            raise ValueError(f"monitor must be at one of ks {list(self.ks)}, got {cut}")
        config_from_dict(MODELS[self.model].config_type, self.settings)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Experiment:
        """The inverse of `dataclasses.asdict`, for configs read back from JSON."""
        parts = dict(values)
        parts["train"] = TrainConfig(**parts["train"])
        parts["ks"] = tuple(parts["ks"])
        return cls(**parts)
