"""Opens a finished or interrupted run for use."""

from __future__ import annotations

from pathlib import Path

from ltgnn.data import Dataset
from ltgnn.models import Recommender
from ltgnn.training import checkpoint
from ltgnn.training.experiment import Experiment, build_model, open_run


def open_model(folder: str | Path) -> tuple[Experiment, Dataset, Recommender, int]:
    """Settings, data, trained model, and its epoch: the best one, or the last where the protocol says so.

    Raises:
        FileNotFoundError: there is no run, or nothing was trained yet.
        CheckpointError: its checkpoints are damaged.
    """
    experiment, dataset = open_run(folder)
    kinds = ("last", "best") if experiment.protocol == "last" else ("best", "last")
    present = [kind for kind in kinds if (Path(folder) / kind).exists()]
    if not present:
        raise FileNotFoundError(
            f"{folder} holds no trained model yet: train it with --resume {folder}"
        )
    saved = checkpoint.load(Path(folder) / present[0])
    model = build_model(experiment, dataset)
    model.load_state_dict(saved.tensors)
    return experiment, dataset, model, len(saved.meta["history"]["epochs"])
