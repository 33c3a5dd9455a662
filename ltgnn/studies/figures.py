"""What an ablation's runs come to: means, spreads, seconds to a level, curves."""

from __future__ import annotations

import math
import platform
from pathlib import Path
from typing import Any

import torch

from ltgnn import _library
from ltgnn._version import __version__
from ltgnn.studies.ablation import RunOutcome, cells_of
from ltgnn.studies.config import StudyConfig
from ltgnn.training.experiment import PROTOCOLS

Record = dict[str, Any]


def spread(values: list[float]) -> Record | None:
    """Mean and standard deviation (of a sample: over n - 1) of finite values; None of none.

    Returns:
        `{"mean", "std", "values"}`; std is None for a single value.

    Example:
        >>> from ltgnn.studies.figures import spread
        >>> spread([1.0, 3.0])
        {'mean': 2.0, 'std': 1.4142135623730951, 'values': [1.0, 3.0]}
    """
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    std = None
    if len(values) > 1:
        std = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))
    return {"mean": mean, "std": std, "values": list(values)}


def seconds_to(records: list[Record], metric: str, level: float) -> float | None:
    """Seconds of training, without evaluations, until a metric on test first reached a level; None: never.

    An epoch counts once it has been evaluated: with evaluations every few epochs it is an upper bound.

    Example:
        >>> from ltgnn.studies.figures import seconds_to
        >>> epochs = [{"seconds": 2.0}, {"seconds": 3.0, "test": {"recall@20": 0.16}}]
        >>> seconds_to(epochs, "recall@20", 0.15), seconds_to(epochs, "recall@20", 0.17)
        (5.0, None)
    """
    total = 0.0
    for record in records:
        total += float(record["seconds"])
        value = record.get("test", {}).get(metric)
        if value is not None and value >= level:
            return total
    return None


def curve(runs: list[list[Record]], metric: str) -> list[Record]:
    """The metric on test by epoch, over runs that were all evaluated there.

    Returns:
        One `{"epoch", "seconds", "mean", "low", "high"}` an epoch: mean seconds of training so far, mean, least and
        greatest value.
    """
    points: dict[int, list[tuple[float, float]]] = {}
    for records in runs:
        total = 0.0
        for record in records:
            total += record["seconds"]
            if metric in record.get("test", {}):
                points.setdefault(record["epoch"], []).append((total, record["test"][metric]))
    result = []
    for epoch, found in sorted(points.items()):
        if len(found) == len(runs):
            seconds, values = zip(*found, strict=True)
            result.append({
                "epoch": epoch, "seconds": math.fsum(seconds) / len(found),
                "mean": math.fsum(values) / len(found), "low": min(values), "high": max(values),
            })  # fmt: skip
    return result


def protocol_figures(outcomes: list[RunOutcome], config: StudyConfig) -> Record:
    """The figures of one cell under one protocol."""
    done = [outcome.run for outcome in outcomes if outcome.error is None]
    results = [run.result() for run in done]
    logs = [run.records() for run in done]
    names = list(
        dict.fromkeys([*config.metrics, *(n for r in results for n in r if _is_metric(n))])
    )
    levels = {}
    for level in config.levels:
        times = [seconds_to(records, config.metrics[0], level) for records in logs]
        reached = [seconds for seconds in times if seconds is not None]
        levels[f"{level:g}"] = {"reached": len(reached), "seconds": spread(reached)}
    return {
        "runs": len(done),
        "failed": len(outcomes) - len(done),
        "seeds": [run.experiment.train.seed for run in done],
        "metrics": {name: spread([r[name] for r in results if name in r]) for name in names},
        "best_epochs": [result["best_epoch"] for result in results],
        "epochs": [result["epochs"] for result in results],
        "seconds_per_epoch": spread([result["seconds_per_epoch"] for result in results]),
        "train_seconds": spread([result["train_seconds"] for result in results]),
        "peak_mb": spread([result["peak_rss_mb"] for result in results]),
        "seconds_to": levels,
        "curve": curve(logs, config.metrics[0]) if logs else [],
    }


def table(config: StudyConfig, outcomes: list[RunOutcome], *, name: str) -> Record:
    """Everything that the tables and plots show, as one JSON object.

    Args:
        config: the study.
        outcomes: how its runs ended.
        name: of the study.

    Returns:
        `rows`, one a cell, each with its figures by protocol ('auto' under what it came to); `failures`; and what
        was measured, on what.
    """
    rows, failures = [], []
    for cell, group in cells_of(outcomes):
        by_protocol: dict[str, list[RunOutcome]] = {}
        for outcome in group:
            by_protocol.setdefault(_protocol(outcome, group), []).append(outcome)
        rows.append({
            "name": cell.name,
            "settings": cell.overrides,
            "model": group[0].run.experiment.model,
            "protocols": {p: protocol_figures(found, config) for p, found in by_protocol.items()},
        })  # fmt: skip
        failures += [
            {"name": cell.name, "protocol": o.run.experiment.protocol, "seed": o.run.experiment.train.seed,
             "error": o.error, "details": o.details}
            for o in group if o.error is not None
        ]  # fmt: skip
    results = [outcome.run.result() for outcome in outcomes if outcome.error is None]
    first = results[0] if results else {}
    protocols = list(dict.fromkeys(p for row in rows for p in row["protocols"]))
    return {
        "ablation": name,
        **{key: first.get(key) for key in ("dataset", "num_users", "num_items")},
        "num_train": sorted({result["num_train"] for result in results}),
        "metrics": config.metrics,
        "levels": config.levels,
        "seeds": config.seeds,
        "protocols": {p: PROTOCOLS.get(p, "not known: no run is finished") for p in protocols},
        "machine": {**machine(), "threads": sorted({result["threads"] for result in results})},
        "rows": rows,
        "failures": failures,
    }


def machine() -> Record:
    """What the seconds depend on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines()
                 if line.startswith("model name")]  # fmt: skip
        cpu = f"{names[0]} x {len(names)}" if names else cpu
    return {
        "cpu": cpu, "instruction_set": _library.cpu_capability(), "ltgnn": __version__,
        "torch": torch.__version__, "python": platform.python_version(),
    }  # fmt: skip


def _is_metric(name: str) -> bool:
    return "@" in name and not name.startswith(("valid_", "best_on"))


def _protocol(outcome: RunOutcome, group: list[RunOutcome]) -> str:
    """The protocol of a run; of an unfinished 'auto' one what it came to in another run of the cell."""
    asked = outcome.run.experiment.protocol
    if asked != "auto":
        return asked
    alike = [outcome, *(o for o in group if o.run.experiment.protocol == "auto")]
    return next((str(o.run.result()["protocol"]) for o in alike if o.error is None), asked)
