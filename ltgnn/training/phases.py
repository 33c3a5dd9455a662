"""What a run goes through before it trains: its data, its model, and whether there is memory for both."""

from __future__ import annotations

import os
from inspect import signature
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ltgnn.data import Dataset, has_given_split, hold_out, is_store, load, read
from ltgnn.data.store_options import check_store_options, keeps_its_split
from ltgnn.graph import MappedStorage, TableStorage
from ltgnn.models import MODELS, Recommender, create
from ltgnn.models.base import config_from_dict
from ltgnn.models.model_config import WARM_STARTS
from ltgnn.training.experiment_settings import Experiment
from ltgnn.training.memory import require_memory
from ltgnn.training.run_data import DatasetInMemory, DatasetInStore, RunData, load_run_data
from ltgnn.training.run_dir import read_json


def open_run(run_dir: str | os.PathLike[str]) -> tuple[Experiment, RunData]:
    """The settings and the data of a run."""
    folder = Path(run_dir)
    if not (folder / "config.json").exists():
        raise FileNotFoundError(f"{folder} holds no run (config.json is missing)")
    return Experiment.from_dict(read_json(folder / "config.json")), load_run_data(folder)


def open_data(experiment: Experiment, *, progress: bool = False) -> tuple[RunData, str]:
    """The data, with the split that the protocol needs, and the protocol that 'auto' comes to.

    Args:
        experiment: names the data, their options and the protocol.
        progress: show a progress bar where files are read.

    Raises:
        ValueError: there is nothing to train on, or the data or their options are wrong.
        OSError: a file cannot be read.
    """
    data, protocol = _open(experiment, progress)
    if not data.sizes["train"]:
        raise ValueError(
            f"{experiment.data or 'synthetic'}: expected data to train on, got no interactions "
            f"({data.describe()})"
        )
    return data, protocol


def _open(experiment: Experiment, progress: bool) -> tuple[RunData, str]:
    path, options, asked = experiment.data, experiment.data_options, experiment.protocol
    if path is not None and path != "synthetic" and is_store(path):
        store = DatasetInStore(path)
        signature(read).bind(path, **options)  # the TypeError of a misspelt one: read is not called
        check_store_options(store.store, options, prefix="--read.")
        if _serves_as_it_is(store, options, asked):
            _check_valid_fraction(experiment, store)
            if asked == "auto":
                given = store.store.split == "given" and "test" in store.sizes
                asked = "validation" if store.has_validation else "test" if given else "last"
            return store, asked
    dataset = load(path, progress=progress, **options)
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
    holds_out = protocol == "validation" or options.get("valid_fraction", 0.0)
    if holds_out and not store.has_validation:
        return False
    split = options.get("split", "auto")
    return keeps_its_split(store.store, split) or (split == "none" and len(store.sizes) == 1)


def _check_valid_fraction(experiment: Experiment, store: DatasetInStore) -> None:
    """Raise where a share to hold out was given, and nothing is held out of the store.

    With protocol 'test' or 'last' it never means anything: a study may have it for its other protocol.
    """
    value, default = experiment.valid_fraction, Experiment.valid_fraction
    made_with = store.store.drawn.get("valid_fraction")
    if experiment.protocol in ("test", "last") or value == default:
        return
    if made_with is not None and value == made_with:
        return
    also = "" if made_with in (None, default) else f", or {made_with}, as it was split"
    why, instead = "nothing is held out of it", f"--protocol validation holds out {value}"
    if store.has_validation:
        why, instead = (
            "its own validation part is used",
            f"`ltgnn convert --valid_fraction {value}` makes a store with another",
        )
    raise ValueError(
        f"{experiment.data}: --valid_fraction: expected {default}, the default{also}, since {why}, got "
        f"{value}; {instead}"
    )


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
        progress: show a progress bar of the graph, and a line while the model's first values are found.
    """
    storage = MappedStorage(folder) if experiment.tables == "mmap" else TableStorage()
    graph = data.build_graph(storage, progress=progress)
    seed = experiment.train.seed
    config = config_from_dict(MODELS[experiment.model].config_type, experiment.settings)
    start = f" from {config.init}" if config.init in WARM_STARTS else ""
    with tqdm(
        desc=f"starting {experiment.model}{start}", bar_format="{desc} ...", leave=False,
        disable=None if progress else True,
    ):  # fmt: skip
        return create(experiment.model, graph, seed=seed, storage=storage, config=config)


def check_memory(experiment: Experiment, data: RunData) -> None:
    """Raise MemoryError where the run is going to need more memory than there is; see `training.memory`."""
    config = config_from_dict(MODELS[experiment.model].config_type, experiment.settings)
    require_memory(
        data, MODELS[experiment.model], config, experiment.train, tables=experiment.tables,
        eval_users=experiment.eval_users, limit=experiment.memory,
    )  # fmt: skip
