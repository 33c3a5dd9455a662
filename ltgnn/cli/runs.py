"""Opens a finished or interrupted run for use."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser

from ltgnn.models import Recommender, ScoreMix
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
    present = [kind for kind in kinds if checkpoint.is_there(Path(folder) / kind)]
    if not present:
        raise FileNotFoundError(
            f"{folder} holds no trained model yet: train it with --resume {folder}"
        )
    model = build_model(experiment, data, folder=folder)
    saved = checkpoint.load_into(Path(folder) / present[0], model.state_dict())
    return experiment, data, model, len(saved.meta["history"]["epochs"])


def add_mix(parser: ArgumentParser) -> None:
    """The flags that `open_scorer` reads."""
    parser.add_argument(
        "--mix",
        type=str | None,
        default=None,
        help="another run, whose scores are added to this one's",
    )
    parser.add_argument(
        "--mix_weight", type=float, default=1.0,
        help="weight of the other's scores, each user's in standard deviations",
    )  # fmt: skip


def open_scorer(
    folder: str | Path, mix: str | None, weight: float
) -> tuple[Experiment, RunData, Recommender | ScoreMix, int]:
    """As `open_model`; with another run to mix in, what ranks is the mix.

    Args:
        folder: of the run.
        mix: folder of a run over the same training data, or None.
        weight: of the other run's scores.

    Raises:
        FileNotFoundError, CheckpointError: as `open_model`, for either.
        ValueError: the runs do not have the same training interactions.
    """
    experiment, data, model, epoch = open_model(folder)
    if mix is None:
        return experiment, data, model, epoch
    other = open_model(mix)[2]
    return experiment, data, ScoreMix([model, other], [1.0, weight]), epoch
