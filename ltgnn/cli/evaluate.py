"""`ltgnn evaluate`: score a trained model on test data."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from jsonargparse import ArgumentParser, Namespace

from ltgnn.cli.common import add_threads, print_metrics, use_threads
from ltgnn.cli.runs import add_mix, open_scorer
from ltgnn.data import Dataset, read
from ltgnn.data.reading import has_given_split
from ltgnn.graph import BipartiteGraph
from ltgnn.training.run_data import DatasetInMemory, RunData
from ltgnn.training.run_dir import write_json
from ltgnn.training.scoring import score, seen_rows

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
    parser.add_function_arguments(read, "read", skip={"path", "progress"})
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


def require_unseen(graph: BipartiteGraph, run: RunData, other: RunData, *, drawn: bool) -> None:
    """What the run has seen is never ranked, so that in a test part it only lowers every metric.

    Args:
        graph: of the run's train part.
        run: the run's data.
        other: whose test part is to be predicted.
        drawn: that part is our own draw, not a file: then it is of another split than the run's.

    Raises:
        ValueError: there is some, and the part is drawn. Of a file's it is said, and no more.
    """
    users = np.flatnonzero(other.degrees("test"))
    seen, test = seen_rows(graph, run, "test", users), other.rows("test", users)
    known = int(test.multiply(seen != 0).nnz)
    if not known:
        return
    found = (
        f"{known:,} of {other.sizes['test']:,} test interactions are in the run's train or validation "
        "part, which is not ranked"
    )
    if drawn:
        raise ValueError(
            f"--data: {found}: give the options of its split (--read.seed, --read.test_fraction, "
            "--read.split), or leave --data out for the run's own test part"
        )
    print(f"note: {found}", file=sys.stderr)


def run(args: Namespace) -> None:
    """The command."""
    use_threads(args)
    if args.eval_users < 0:
        raise ValueError(f"eval_users must not be negative, got {args.eval_users}")
    experiment, data, model, epoch = open_scorer(args.run, args.mix, args.mix_weight)
    truth = data
    if args.data is not None:
        truth = same_world(data, read(args.data, progress=True, **args.read.as_dict()))
    if not truth.sizes.get("test"):
        raise ValueError("there are no test interactions: give --data with a test split")
    if truth is not data:
        require_unseen(model.graph, data, truth, drawn=not has_given_split(args.data))
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
        write_json(Path(args.json), result)
