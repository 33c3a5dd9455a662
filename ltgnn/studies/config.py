"""What a study is: settings that all runs share, and what is varied."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ltgnn.evaluation import METRICS
from ltgnn.training.experiment import PROTOCOLS

# Flags of `ltgnn train` that say where a run lies: a study decides that.
OWN_FOLDERS = ("out", "resume", "overwrite", "json", "estimate", "config")


class StudyError(RuntimeError):
    """Runs of a study failed; what the others came to is there."""


@dataclass(frozen=True)
class StudyConfig:
    """A study, as its YAML file has it.

    Attributes:
        base: settings of every run, by the keys that `ltgnn train --print_config` writes; the rest take their
            defaults.
        grid: lists of values by key; dots lead into groups (`ltgnn.fanout: [0, 4]`). Every combination is a cell.
        variants: further cells by name, each with the settings in which it departs from base.
        seeds: each cell is run once for each.
        protocols: likewise: 'test' (best on test), 'validation' (epoch chosen on a validation split), 'last';
            none: base's.
        metrics: those of the table, METRIC@K.
        levels: values of the first metric: how many seconds of training it took to get there.
        space: what `ltgnn tune` varies, by key: `{low, high}`, with `log: true` or `step`, or `{choices: [...]}`.

    Raises:
        ValueError: a setting is out of range; the message names it, what is accepted, and what came.
    """

    base: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, list[Any]] = field(default_factory=dict)
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    protocols: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=lambda: ["recall@20", "ndcg@20"])
    levels: list[float] = field(default_factory=list)
    space: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, value in self.base.items():
            if key in OWN_FOLDERS and value not in (None, False):
                raise ValueError(f"base: {key} must be left out: a study has folders of its own")
        varied = {"grid": list(self.grid), "space": list(self.space)}
        varied |= {f"variants: {name}": list(keys) for name, keys in self.variants.items()}
        for where, keys in varied.items():
            for key in keys:
                if key in (*OWN_FOLDERS, "seed", "protocol"):
                    raise ValueError(f"{where}: {key} cannot be varied here (seeds, protocols)")
        for key, values in self.grid.items():
            if not values:
                raise ValueError(f"grid: {key} must list at least one value, got none")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must be different numbers, at least one, got {self.seeds}")
        known = ("auto", *PROTOCOLS)
        if set(self.protocols) - set(known) or len(set(self.protocols)) != len(self.protocols):
            raise ValueError(f"protocols must be of {', '.join(known)}, got {self.protocols}")
        if "auto" in self.protocols and len(self.protocols) > 1:
            raise ValueError(
                f"protocols must be 'auto' alone or without it, which is one of the others, got {self.protocols}"
            )
        for name in self.metrics:
            metric, _, cut = name.partition("@")
            if metric not in METRICS or not cut.isdecimal():
                raise ValueError(
                    f"metrics must be METRIC@K, METRIC of {', '.join(METRICS)}, got {name!r}"
                )
        if not self.metrics:
            raise ValueError("metrics must name at least one, got none")


def nest(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with dots in their keys as nested groups.

    Example:
        >>> from ltgnn.studies.config import nest
        >>> nest({"model": "ltgnn", "ltgnn.fanout": 4, "ltgnn": {"alpha": 0.5}})
        {'model': 'ltgnn', 'ltgnn': {'fanout': 4, 'alpha': 0.5}}
    """
    result: dict[str, Any] = {}
    for key, value in settings.items():
        first, _, rest = key.partition(".")
        if rest:
            value = nest({rest: value})
        if isinstance(value, dict) and isinstance(result.get(first), dict):
            value = merge(result[first], value)
        result[first] = value
    return result


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Nested groups of `base`, with the values of `over` where both have one.

    Example:
        >>> from ltgnn.studies.config import merge
        >>> merge({"epochs": 5, "ltgnn": {"fanout": 4}}, {"ltgnn": {"alpha": 0.5}})
        {'epochs': 5, 'ltgnn': {'fanout': 4, 'alpha': 0.5}}
    """
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        result[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return result
