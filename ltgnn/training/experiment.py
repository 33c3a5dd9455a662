"""A whole run: data, graph, model, training, evaluation, result; and the same taken up again."""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch

from ltgnn.data import Dataset, has_given_split, hold_out, load
from ltgnn.evaluation import evaluate
from ltgnn.graph import BipartiteGraph
from ltgnn.models import MODELS, Recommender, create
from ltgnn.models.base import config_from_dict
from ltgnn.training.config import TrainConfig
from ltgnn.training.run_dir import load_dataset, read_json, save_dataset, write_json
from ltgnn.training.trainer import Trainer

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
        data: a file or folder, or None for the built-in synthetic data.
        data_options: options of `ltgnn.data.load`.
        model: a name in `MODELS`.
        settings: the model's settings; the rest take their defaults.
        train: how to train.
        protocol: which epoch is reported: 'validation' (chosen on a validation split held out of train), 'test'
            (best on test, as published results are), 'last', or 'auto': 'test' where the data came with a test
            file and without a validation file, as public benchmarks do, else 'validation'.
        valid_fraction: what 'validation' holds out of each user's training interactions.
        ks: cut-offs of the metrics.
    """

    data: str | None = None
    data_options: dict[str, Any] = field(default_factory=dict)
    model: str = "ltgnn"
    settings: dict[str, Any] = field(default_factory=dict)
    train: TrainConfig = field(default_factory=TrainConfig)
    protocol: Protocol = "auto"
    valid_fraction: float = 0.1
    ks: tuple[int, ...] = (5, 10, 20, 50)

    def __post_init__(self) -> None:
        if self.protocol != "auto" and self.protocol not in PROTOCOLS:
            raise ValueError(
                f"protocol must be auto, {', '.join(PROTOCOLS)}, got {self.protocol!r}"
            )
        if self.model not in MODELS:
            raise ValueError(
                f"no model named {self.model!r}; there are {', '.join(sorted(MODELS))}"
            )
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
        TrainingError: the loss is not finite.
    """
    start = time.perf_counter()
    dataset = load(experiment.data, **experiment.data_options)
    protocol = _settle(experiment, dataset)
    if protocol == "validation" and dataset.valid is None:
        train, valid = hold_out(dataset.train, experiment.valid_fraction, experiment.train.seed)
        dataset = Dataset(dataset.name, train, valid, dataset.test)
    if run_dir is not None:
        folder = Path(run_dir)
        if (folder / "config.json").exists():
            if not overwrite:
                raise FileExistsError(
                    f"{folder} holds a run: resume it, choose another folder, or overwrite it"
                )
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_dataset(folder, dataset)
        config = {**asdict(experiment), "protocol": protocol}
        write_json(folder / "config.json", config)
        (folder / "log.jsonl").write_text("")
    read_seconds = time.perf_counter() - start
    return _go_on(experiment, dataset, protocol, run_dir, progress, read_seconds, on_epoch=on_epoch)


def resume(run_dir: str | os.PathLike[str], *, progress: bool = False) -> dict[str, Any]:
    """Take up a run that was interrupted, with its own settings and data; on the CPU to the same bits.

    Raises:
        FileNotFoundError: there is no run in run_dir.
        CheckpointError: its data, or all its checkpoints, are damaged.
    """
    start = time.perf_counter()
    experiment, dataset = open_run(run_dir)
    read_seconds = time.perf_counter() - start
    return _go_on(
        experiment, dataset, experiment.protocol, run_dir, progress, read_seconds, resumed=True
    )


def open_run(run_dir: str | os.PathLike[str]) -> tuple[Experiment, Dataset]:
    """The settings and the data of a run."""
    folder = Path(run_dir)
    if not (folder / "config.json").exists():
        raise FileNotFoundError(f"{folder} holds no run (config.json is missing)")
    return Experiment.from_dict(read_json(folder / "config.json")), load_dataset(folder)


def build_model(experiment: Experiment, dataset: Dataset) -> Recommender:
    """The run's model, before training, over the graph of the training interactions."""
    train = dataset.train
    graph = BipartiteGraph.from_edges(
        train.users, train.items, num_users=dataset.num_users, num_items=dataset.num_items
    )
    seed = experiment.train.seed
    return create(experiment.model, graph, seed=seed, **experiment.settings)


def score(
    model: Recommender, dataset: Dataset, split: str, ks: tuple[int, ...]
) -> dict[str, float]:
    """Metrics on one split, by full ranking; what came before it is masked: train, for test also valid."""
    seen = dataset.train.to_scipy()
    if split == "test" and dataset.valid is not None:
        seen = seen + dataset.valid.to_scipy()
    users, items = model.embeddings()
    return evaluate(users, items, truth=dataset.parts()[split].to_scipy(), seen=seen, ks=ks)


def _settle(experiment: Experiment, dataset: Dataset) -> str:
    if experiment.protocol != "auto":
        return experiment.protocol
    split = experiment.data_options.get("split", "auto")
    given = experiment.data is not None and dataset.test is not None and split in ("auto", "given")
    given = given and dataset.valid is None and has_given_split(str(experiment.data))
    return "test" if given else "validation"


def _go_on(
    experiment: Experiment,
    dataset: Dataset,
    protocol: str,
    run_dir: str | os.PathLike[str] | None,
    progress: bool,
    read_seconds: float,
    *,
    resumed: bool = False,
    on_epoch: Callable[[dict[str, Any]], object] | None = None,
) -> dict[str, Any]:
    start = time.perf_counter()
    model = build_model(experiment, dataset)
    graph_seconds = read_seconds + time.perf_counter() - start
    splits = [name for name, part in dataset.parts().items() if name != "train" and len(part)]
    trainer = Trainer(
        model,
        experiment.train,
        evaluate=lambda m: {split: score(m, dataset, split, experiment.ks) for split in splits},
        monitor_split="valid" if protocol == "validation" else "test",
        run_dir=run_dir,
        progress=progress,
        on_epoch=on_epoch,
    )
    if resumed:
        trainer.resume()
    history = trainer.fit()
    chosen = history.last_epoch if protocol == "last" else history.best_epoch
    record = history.record(chosen or history.last_epoch)
    seconds = [other["seconds"] for other in history.epochs]
    result: dict[str, Any] = {
        "model": experiment.model,
        "dataset": dataset.name,
        "num_users": dataset.num_users,
        "num_items": dataset.num_items,
        "num_train": len(dataset.train),
        "epochs": history.last_epoch,
        "best_epoch": chosen,
        "protocol": protocol,
        "protocol_meaning": PROTOCOLS[protocol],
        **{f"valid_{k}": value for k, value in record.get("valid", {}).items() if "@" in k},
        **{name: value for name, value in record.get("test", {}).items() if "@" in name},
        "seconds_per_epoch": sum(seconds) / len(seconds) if seconds else 0.0,
        "train_seconds": sum(seconds),
        "eval_seconds": sum(other.get("eval_seconds", 0.0) for other in history.epochs),
        "graph_seconds": graph_seconds,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "threads": torch.get_num_threads(),
        "seed": experiment.train.seed,
        "settings": asdict(model.config),
    }
    best_on_test = max(
        (other["test"][experiment.train.monitor] for other in history.epochs if "test" in other),
        default=None,
    )
    if best_on_test is not None:
        result[f"best_on_test_{experiment.train.monitor}"] = best_on_test
    if run_dir is not None:
        result["run"] = str(run_dir)
        write_json(Path(run_dir) / "result.json", result)
    return result
