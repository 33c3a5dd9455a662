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

from ltgnn.data import Dataset, has_given_split, hold_out, is_store, load
from ltgnn.graph import MappedStorage, TableStorage
from ltgnn.models import MODELS, Recommender, create
from ltgnn.models.base import config_from_dict
from ltgnn.training.config import TrainConfig
from ltgnn.training.memory import require_memory
from ltgnn.training.run_data import DatasetInMemory, DatasetInStore, RunData, load_run_data
from ltgnn.training.run_dir import read_json, write_json
from ltgnn.training.scoring import score
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
    data, protocol = open_data(experiment)
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


def resume(run_dir: str | os.PathLike[str], *, progress: bool = False) -> dict[str, Any]:
    """Take up a run that was interrupted, with its own settings and data; on the CPU to the same bits.

    Raises:
        FileNotFoundError: there is no run in run_dir.
        CheckpointError: its data, or all its checkpoints, are damaged.
    """
    start = time.perf_counter()
    experiment, data = open_run(run_dir)
    check_memory(experiment, data)
    read_seconds = time.perf_counter() - start
    return _go_on(
        experiment, data, experiment.protocol, run_dir, progress, read_seconds, resumed=True
    )


def open_run(run_dir: str | os.PathLike[str]) -> tuple[Experiment, RunData]:
    """The settings and the data of a run."""
    folder = Path(run_dir)
    if not (folder / "config.json").exists():
        raise FileNotFoundError(f"{folder} holds no run (config.json is missing)")
    return Experiment.from_dict(read_json(folder / "config.json")), load_run_data(folder)


def open_data(experiment: Experiment) -> tuple[RunData, str]:
    """The data, with the split that the protocol needs, and the protocol that 'auto' comes to."""
    path, options, asked = experiment.data, experiment.data_options, experiment.protocol
    if path is not None and path != "synthetic" and is_store(path):
        store = DatasetInStore(path)
        if _serves_as_it_is(store, options, asked):
            if asked == "auto":
                given = store.store.split == "given" and "test" in store.sizes
                asked = "validation" if store.has_validation else "test" if given else "last"
            return store, asked
    dataset = load(path, **options)
    if asked == "auto":
        split = options.get("split", "auto")
        given = path is not None and dataset.test is not None and split in ("auto", "given")
        given = given and dataset.valid is None and has_given_split(str(path))
        asked = "test" if given else "validation"
    if asked == "validation" and dataset.valid is None:
        train, valid = hold_out(dataset.train, experiment.valid_fraction, experiment.train.seed)
        dataset = Dataset(dataset.name, train, valid, dataset.test)
    return DatasetInMemory(dataset), asked


def _serves_as_it_is(store: DatasetInStore, options: dict[str, Any], protocol: str) -> bool:
    """Whether the parts of a store are the split that is asked for."""
    if protocol == "validation" and not store.has_validation:
        return False
    if options.get("valid_fraction", 0.0) or options.get("format", "auto") != "auto":
        return False
    if any(options.get(name) is not None for name in ("columns", "delimiter", "max_bytes")):
        return False
    split, is_split = options.get("split", "auto"), len(store.sizes) > 1
    return split in ("auto", "given") if is_split else split == "none"


def build_model(
    experiment: Experiment,
    data: RunData,
    *,
    folder: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Recommender:
    """The run's model, before training, over the graph of the training interactions.

    Args:
        experiment: names the model, its settings and where its tables live.
        data: the run's.
        folder: for tables that are mapped; None: where temporary files go.
        progress: show a progress bar.
    """
    storage = MappedStorage(folder) if experiment.tables == "mmap" else TableStorage()
    graph = data.build_graph(storage, progress=progress)
    seed = experiment.train.seed
    return create(experiment.model, graph, seed=seed, storage=storage, **experiment.settings)


def check_memory(experiment: Experiment, data: RunData) -> None:
    """Raise MemoryError where the run is going to need more memory than there is; see `training.memory`."""
    config = config_from_dict(MODELS[experiment.model].config_type, experiment.settings)
    require_memory(
        data, MODELS[experiment.model], config, experiment.train, tables=experiment.tables,
        eval_users=experiment.eval_users, limit=experiment.memory,
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
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
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
    if run_dir is not None:
        result["run"] = str(run_dir)
        write_json(Path(run_dir) / "result.json", result)
    return result
