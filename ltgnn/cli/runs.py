"""Opens a finished or interrupted run for use."""

from __future__ import annotations

from pathlib import Path

from ltgnn.models import Recommender
from ltgnn.training import checkpoint
from ltgnn.training.experiment import Experiment, build_model, open_run
from ltgnn.training.run_data import RunData


def open_model(folder: str | Path) -> tuple[Experiment, RunData, Recommender, int]:
    """Settings, data, trained model, and its epoch: the best one, or the last where the protocol says so.

    Raises:
        FileNotFoundError: there is no run, or nothing was trained yet.
        CheckpointError: its checkpoints are damaged.
    """
    experiment, data = open_run(folder)
    kinds = ("last", "best") if experiment.protocol == "last" else ("best", "last")
    present = [kind for kind in kinds if (Path(folder) / kind).exists()]
    if not present:
        raise FileNotFoundError(
            f"{folder} holds no trained model yet: train it with --resume {folder}"
        )
    model = build_model(experiment, data, folder=folder)
    saved = checkpoint.load_into(Path(folder) / present[0], model.state_dict())
    return experiment, data, model, len(saved.meta["history"]["epochs"])
