"""`ltgnn evaluate`: score a trained model on test data."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from jsonargparse import ArgumentParser, Namespace

from ltgnn.cli.common import add_threads, print_metrics, use_threads
from ltgnn.cli.runs import open_model
from ltgnn.data import Dataset, load, read
from ltgnn.training.experiment import score
from ltgnn.training.run_dir import write_json

HELP = "score a trained model on test data"


def build_parser() -> ArgumentParser:
    """Flags of the command."""
    parser = ArgumentParser(description=HELP)
    parser.add_argument("run", type=str, help="run folder")
    parser.add_argument("--data", type=str | None, default=None,
                        help="file or folder with a test split; none: the run's own")  # fmt: skip
    parser.add_argument("--json", type=str | None, default=None, help="write the result here")
    add_threads(parser)
    parser.add_function_arguments(read, "read", skip={"path"})
    return parser


def same_world(run: Dataset, other: Dataset) -> Dataset:
    """`other`, with the run's own train and valid parts, which the model has seen.

    Raises:
        ValueError: users and items are not numbered alike.
    """
    try:
        return Dataset(other.name, run.train, run.valid, other.test)
    except ValueError as error:
        raise ValueError(f"the data do not fit the run: {error}") from error


def run(args: Namespace) -> None:
    """The command."""
    use_threads(args)
    experiment, dataset, model, epoch = open_model(args.run)
    if args.data is not None:
        dataset = same_world(dataset, load(args.data, **args.read.as_dict()))
    if dataset.test is None or len(dataset.test) == 0:
        raise ValueError("there are no test interactions: give --data with a test split")
    start = time.perf_counter()
    metrics = score(model, dataset, "test", experiment.ks)
    result = {
        "model": experiment.model,
        "dataset": dataset.name,
        "num_users": dataset.num_users,
        "num_items": dataset.num_items,
        "num_train": len(dataset.train),
        "num_test": len(dataset.test),
        "epoch": epoch,
        **{**metrics, "num_users_evaluated": metrics["num_users"], "num_users": dataset.num_users},
        "eval_seconds": time.perf_counter() - start,
        "threads": torch.get_num_threads(),
    }
    print(dataset.describe())
    print(f"{experiment.model}, epoch {epoch}, test:")
    print_metrics(result, experiment.ks)
    if args.json is not None:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        write_json(Path(args.json), result)
