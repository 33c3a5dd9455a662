"""A whole run: data, graph, model, training, evaluation, result; and the same taken up again."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ltgnn.models import Recommender
from ltgnn.training.experiment_settings import PROTOCOLS, Experiment, Protocol
from ltgnn.training.phases import build_model, check_memory, open_data, open_run
from ltgnn.training.result import result_record
from ltgnn.training.run_data import RunData
from ltgnn.training.run_dir import write_json
from ltgnn.training.scoring import score
from ltgnn.training.trainer import Trainer

__all__ = [
    "PROTOCOLS",
    "Experiment",
    "Protocol",
    "build_model",
    "check_memory",
    "open_data",
    "open_run",
    "resume",
    "run",
]


def run(
    experiment: Experiment,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    progress: bool = False,
    on_epoch: Callable[[dict[str, Any]], object] | None = None,
) -> dict[str, Any]:
    """Do a run from the start.

    Args:
        experiment: what to do.
        run_dir: where to keep config, data, log, checkpoints and result; None: nowhere.
        overwrite: discard a run that is already there.
        progress: show progress bars.
        on_epoch: called with each epoch's record.

    Returns:
        The result, one JSON object: see the README.

    Raises:
        FileExistsError: run_dir holds a run, and overwrite is off.
        ValueError: data or settings are wrong.
        MemoryError: the run would need more memory than there is.
        TrainingError: the loss is not finite.
    """
    start = time.perf_counter()
    data, protocol = open_data(experiment, progress=progress)
    check_memory(experiment, data)
    if run_dir is not None:
        folder = Path(run_dir)
        if (folder / "config.json").exists():
            if not overwrite:
                raise FileExistsError(
                    f"{folder} holds a run: resume it, choose another folder, or overwrite it"
                )
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        data.keep(folder)
        config = {**asdict(experiment), "protocol": protocol}
        write_json(folder / "config.json", config)
        (folder / "log.jsonl").write_text("")
    read_seconds = time.perf_counter() - start
    return _go_on(experiment, data, protocol, run_dir, progress, read_seconds, on_epoch=on_epoch)


def resume(
    run_dir: str | os.PathLike[str],
    *,
    progress: bool = False,
    on_epoch: Callable[[dict[str, Any]], object] | None = None,
) -> dict[str, Any]:
    """Take up a run that was interrupted, with its own settings and data; on the CPU to the same bits.

    Args:
        run_dir: its folder.
        progress: show progress bars.
        on_epoch: called with the record of each epoch that is still to do.

    Raises:
        FileNotFoundError: there is no run in run_dir.
        CheckpointError: its data, or all its checkpoints, are damaged.
        ValueError: the block store that it trains on is damaged or another one.
        MemoryError, TrainingError: as for `run`.
    """
    start = time.perf_counter()
    experiment, data = open_run(run_dir)
    check_memory(experiment, data)
    read_seconds = time.perf_counter() - start
    return _go_on(
        experiment, data, experiment.protocol, run_dir, progress, read_seconds, resumed=True,
        on_epoch=on_epoch,
    )  # fmt: skip


def _go_on(
    experiment: Experiment,
    data: RunData,
    protocol: str,
    run_dir: str | os.PathLike[str] | None,
    progress: bool,
    read_seconds: float,
    *,
    resumed: bool = False,
    on_epoch: Callable[[dict[str, Any]], object] | None = None,
) -> dict[str, Any]:
    start = time.perf_counter()
    model = build_model(experiment, data, folder=run_dir, progress=progress)
    graph_seconds = read_seconds + time.perf_counter() - start
    splits = [part for part, size in data.sizes.items() if part != "train" and size]

    def evaluate(model: Recommender) -> dict[str, dict[str, float]]:
        return {
            split: score(
                model, data, split, experiment.ks, eval_users=experiment.eval_users,
                seed=experiment.train.seed, progress=progress,
            )
            for split in splits
        }  # fmt: skip

    trainer = Trainer(
        model,
        experiment.train,
        evaluate=evaluate if splits else None,
        monitor_split="valid" if protocol == "validation" else "test",
        run_dir=run_dir,
        progress=progress,
        on_epoch=on_epoch,
    )
    if resumed:
        trainer.resume()
    history = trainer.fit()
    result = result_record(
        experiment, data, model, history, protocol=protocol, graph_seconds=graph_seconds
    )
    if run_dir is not None:
        result["run"] = str(run_dir)
        write_json(Path(run_dir) / "result.json", result)
    return result
