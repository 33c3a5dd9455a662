"""`ltgnn evaluate`: score a trained model on test data."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from jsonargparse import ArgumentParser, Namespace

from ltgnn.cli.common import add_threads, print_metrics, use_threads
from ltgnn.cli.runs import add_mix, open_scorer
from ltgnn.data import Dataset, load, read
from ltgnn.training.run_data import DatasetInMemory, RunData
from ltgnn.training.run_dir import write_json
from ltgnn.training.scoring import score

HELP = "score a trained model on test data"


def build_parser() -> ArgumentParser:
    """Flags of the command."""
    parser = ArgumentParser(description=HELP)
    parser.add_argument("run", type=str, help="run folder")
    parser.add_argument("--data", type=str | None, default=None,
                        help="file or folder with a test split; none: the run's own")  # fmt: skip
    parser.add_argument("--json", type=str | None, default=None, help="write the result here")
    parser.add_argument(
        "--eval_users", type=int, default=0, help="score a seeded sample of so many users; 0: all"
    )
    add_mix(parser)
    add_threads(parser)
    parser.add_function_arguments(read, "read", skip={"path"})
    return parser


def same_world(run: RunData, other: Dataset) -> RunData:
    """`other`, whose test part is to be predicted by the run's model.

    Raises:
        ValueError: users and items are not numbered alike.
    """
    for side in ("user", "item"):
        ours, theirs = (
            (run.num_users, other.num_users) if side == "user" else (run.num_items, other.num_items)
        )
        if ours != theirs:
            raise ValueError(
                f"the data do not fit the run: num_{side}s must be {ours}, got {theirs}"
            )
        ids, others = run.ids(side), getattr(other.train, f"{side}_ids")
        if (ids is None) != (others is None) or (
            ids is not None and not np.array_equal(ids, others)
        ):
            raise ValueError(f"the data do not fit the run: {side}_ids must equal the run's")
    return DatasetInMemory(other)


def run(args: Namespace) -> None:
    """The command."""
    use_threads(args)
    experiment, data, model, epoch = open_scorer(args.run, args.mix, args.mix_weight)
    truth = data
    if args.data is not None:
        truth = same_world(data, load(args.data, **args.read.as_dict()))
    if not truth.sizes.get("test"):
        raise ValueError("there are no test interactions: give --data with a test split")
    start = time.perf_counter()
    metrics = score(
        model, data, "test", experiment.ks, truth=truth, eval_users=args.eval_users, seed=experiment.train.seed,
        progress=True,
    )  # fmt: skip
    result = {
        "model": model.name,
        "dataset": truth.name,
        "num_users": data.num_users,
        "num_items": data.num_items,
        "num_train": data.sizes["train"],
        "num_test": truth.sizes["test"],
        "eval_users": args.eval_users or "all",
        "epoch": epoch,
        **({} if args.mix is None else {"mix": str(args.mix), "mix_weight": args.mix_weight}),
        **{**metrics, "num_users_evaluated": metrics["num_users"], "num_users": data.num_users},
        "eval_seconds": time.perf_counter() - start,
        "threads": torch.get_num_threads(),
    }
    print(truth.describe())
    print(f"{model.name}, epoch {epoch}, test:")
    print_metrics(result, experiment.ks)
    if args.json is not None:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        write_json(Path(args.json), result)
