"""What fanout and refresh cost and give: accuracy and time of LTGNN over a grid of both.

    python -m benchmarks.bench_refresh --data gowalla --json benchmarks/results/refresh-gowalla.json

Each cell is one whole training run for each seed, all of the same number of epochs; accuracy and time are their
means. `refresh` is `epoch`, a number of steps or `adaptive R`: whenever a batch's rows have drifted from the
history by R of their length. An exact refresh costs one propagate of the graph; a sampled neighbour costs a random
gather, at every step.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch

from benchmarks import graphs, harness
from ltgnn.models import LTGNN
from ltgnn.training import TrainConfig
from ltgnn.training.experiment import Experiment, run

FANOUTS = (0, 4, 15)
REFRESHES = ("epoch", "100", "20", "adaptive 0.1")


def settings_of(fanout: int, refresh: str) -> dict[str, Any]:
    """The model's settings of one cell."""
    settings: dict[str, Any] = {"fanout": fanout, "refresh_every": 0, "refresh_residual": 0.0}
    if refresh.startswith("adaptive"):
        settings["refresh_residual"] = float(refresh.split()[1])
    elif refresh != "epoch":
        settings["refresh_every"] = int(refresh)
    return settings


def train(
    data: str, fanout: int, refresh: str, seed: int, args: argparse.Namespace
) -> dict[str, Any]:
    """One run: accuracy along the way, time, and how often the memory was made exact."""
    spent = {"times": 0, "seconds": 0.0}
    original = LTGNN.refresh

    def counted(model: LTGNN) -> None:
        start = time.perf_counter()
        original(model)
        spent["times"] += 1
        spent["seconds"] += time.perf_counter() - start

    LTGNN.refresh = counted  # type: ignore[method-assign]
    curve: list[dict[str, Any]] = []
    try:
        experiment = Experiment(
            data=data,
            settings={**settings_of(fanout, refresh), **dict(args.settings)},
            train=TrainConfig(epochs=args.epochs, eval_every=args.eval_every, seed=seed),
            protocol="test",
        )
        result = run(experiment, on_epoch=curve.append)
    finally:
        LTGNN.refresh = original  # type: ignore[method-assign]
    return {
        "seed": seed,
        "seconds_per_epoch": result["seconds_per_epoch"],
        "refreshes": spent["times"],
        "refresh_seconds": spent["seconds"],
        "recall@20": {r["epoch"]: r["test"]["recall@20"] for r in curve if "test" in r},
        "ndcg@20": {r["epoch"]: r["test"]["ndcg@20"] for r in curve if "test" in r},
    }


def cell(data: str, fanout: int, refresh: str, args: argparse.Namespace) -> dict[str, Any]:
    """The runs of all seeds, and their means."""
    runs = [train(data, fanout, refresh, seed, args) for seed in args.seeds]
    means = {
        name: statistics.mean(run[name] for run in runs)
        for name in ("seconds_per_epoch", "refreshes", "refresh_seconds")
    }
    curves = {
        name: {epoch: statistics.mean(run[name][epoch] for run in runs) for epoch in runs[0][name]}
        for name in ("recall@20", "ndcg@20")
    }
    return {"fanout": fanout, "refresh": refresh, **means, **curves, "runs": runs}


def main() -> None:
    """Run the grid, print each cell as it comes, write them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="gowalla", help="a folder under LTGNN_DATA")
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--eval_every", type=int, default=3)
    parser.add_argument("--fanouts", type=int, nargs="*", default=FANOUTS)
    parser.add_argument("--refreshes", nargs="*", default=REFRESHES)
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    parser.add_argument("settings", nargs="*", type=graphs.parse_setting)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = str(graphs.real_path(args.data))
    cells = []
    print(
        f"{'fanout':>6} {'refresh':>13} {'s/epoch':>8} {'refreshes':>9} {'of it s':>8}  recall@20"
    )
    for fanout in args.fanouts:
        for refresh in args.refreshes:
            row = cell(data, fanout, refresh, args)
            cells.append(row)
            recalls = "  ".join(
                f"{epoch}: {value:.4f}" for epoch, value in row["recall@20"].items()
            )
            print(
                f"{fanout:>6} {refresh:>13} {row['seconds_per_epoch']:>8.2f} {row['refreshes']:>9.0f} "
                f"{row['refresh_seconds']:>8.2f}  {recalls}",
                flush=True,
            )
    result = {
        "data": args.data,
        "epochs": args.epochs,
        "settings": dict(args.settings),
        "cells": cells,
    }
    harness.write(args.json, result)


if __name__ == "__main__":
    main()
