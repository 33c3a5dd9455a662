"""Tiny studies, and run folders with figures that are known."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ltgnn.studies import Cell
from ltgnn.studies.run_folder import StudyRun
from ltgnn.training import TrainConfig
from ltgnn.training.experiment import Experiment

SMALL = {"num_users": 60, "num_items": 80, "num_interactions": 1200}


def small_experiment(
    *,
    model: str = "ltgnn",
    protocol: str = "test",
    train: dict[str, Any] | None = None,
    **settings: Any,
) -> Experiment:
    """A run of some milliseconds an epoch."""
    return Experiment(
        data_options=dict(SMALL), model=model, settings={"dim": 8, **settings},
        train=TrainConfig(**{"epochs": 3, "batch_size": 256, **(train or {})}),
        protocol=protocol,  # type: ignore[arg-type]
    )  # fmt: skip


def study_run(root: Path, experiment: Experiment, name: str = "cell") -> StudyRun:
    return StudyRun(Cell(name, {}), experiment, root)


def pretend_finished(run: StudyRun, records: list[dict[str, Any]], **result: Any) -> None:
    """Write the folder of a finished run with these epochs and this result."""
    pretend_interrupted(run, records)
    seconds = [record["seconds"] for record in records]
    values = {
        "protocol": run.experiment.protocol, "dataset": "made-up", "num_users": 3, "num_items": 4,
        "num_train": 5, "epochs": len(records), "best_epoch": 1, "threads": 1, "peak_rss_mb": 100.0,
        "seconds_per_epoch": sum(seconds) / len(seconds), "train_seconds": sum(seconds), **result,
    }  # fmt: skip
    (run.folder / "result.json").write_text(json.dumps(values))


def pretend_interrupted(run: StudyRun, records: list[dict[str, Any]]) -> None:
    """Write the folder of a run that has these epochs behind it."""
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "config.json").write_text(json.dumps(asdict(run.experiment)))
    (run.folder / "log.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))


def epoch(number: int, seconds: float, recall: float | None = None) -> dict[str, Any]:
    """A record as the trainer writes it."""
    record: dict[str, Any] = {"epoch": number, "loss": 1.0, "seconds": seconds}
    if recall is not None:
        record["test"] = {"recall@20": recall}
    return record


def without_times(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records by which two runs can be compared."""
    return [{k: v for k, v in record.items() if "seconds" not in k} for record in records]
