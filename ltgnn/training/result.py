"""What a run's result says: one JSON object."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from ltgnn.models import Recommender
from ltgnn.training.experiment_settings import PROTOCOLS, Experiment
from ltgnn.training.memory import peak_bytes
from ltgnn.training.run_data import RunData
from ltgnn.training.trainer import History


def result_record(
    experiment: Experiment,
    data: RunData,
    model: Recommender,
    history: History,
    *,
    protocol: str,
    graph_seconds: float,
) -> dict[str, Any]:
    """The result of a run that has ended.

    Args:
        experiment: its settings.
        data: its data.
        model: trained.
        history: of every epoch.
        protocol: which epoch is reported; a key of `PROTOCOLS`.
        graph_seconds: what reading the data and making graph and model took.
    """
    chosen = history.last_epoch if protocol == "last" else history.best_epoch
    record = history.record(chosen or history.last_epoch)
    seconds = [other["seconds"] for other in history.epochs]
    result: dict[str, Any] = {
        "model": experiment.model,
        "dataset": data.name,
        "num_users": data.num_users,
        "num_items": data.num_items,
        "num_train": data.sizes["train"],
        "epochs": history.last_epoch,
        "best_epoch": chosen,
        "protocol": protocol,
        "protocol_meaning": PROTOCOLS[protocol],
        **{f"valid_{k}": value for k, value in record.get("valid", {}).items() if "@" in k},
        **{name: value for name, value in record.get("test", {}).items() if "@" in name},
        "eval_users": experiment.eval_users or "all",
        "num_users_evaluated": record.get("test", {}).get("num_users", 0.0),
        "seconds_per_epoch": sum(seconds) / len(seconds) if seconds else 0.0,
        "train_seconds": sum(seconds),
        **({} if model.is_trained else {"fit_seconds": sum(seconds)}),
        "eval_seconds": sum(other.get("eval_seconds", 0.0) for other in history.epochs),
        "graph_seconds": graph_seconds,
        "peak_rss_mb": peak_bytes() / 2**20,
        "threads": torch.get_num_threads(),
        "seed": experiment.train.seed,
        "tables": experiment.tables,
        "settings": asdict(model.config),
    }
    best_on_test = max(
        (other["test"][experiment.train.monitor] for other in history.epochs if "test" in other),
        default=None,
    )
    if best_on_test is not None:
        result[f"best_on_test_{experiment.train.monitor}"] = best_on_test
    return result
