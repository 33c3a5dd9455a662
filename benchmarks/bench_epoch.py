"""Training: seconds an epoch, peak memory and the accuracy curve of one model on one data set.

    python -m benchmarks.bench_epoch --data gowalla --epochs 20 --json FILE
    python -m benchmarks.bench_epoch --data gowalla --preset authors --epochs 100 --eval_every 10 --json FILE

`--preset authors` is LTGNN as its authors ran it: BPR, the deep fixed point with stored gradients, user-balanced
triples. Settings after `--` are the model's: `-- alpha=0.5 fanout=8`.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch

from benchmarks import graphs, harness
from ltgnn.training import TrainConfig
from ltgnn.training.experiment import Experiment, run

# Zhang et al., WWW 2024, and the settings in the authors' code, alike for all their data sets.
AUTHORS: dict[str, Any] = {
    "loss": "bpr", "depth": "fixed_point", "gradient_memory": True, "self_loops": True,
    "alpha": 0.45, "c0": 0.2, "fanout": 15, "refresh_residual": 0.0, "lr": 1.5e-3, "l2": 2e-4, "init": "normal",
}  # fmt: skip


def main() -> None:
    """Train, print the curve, write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", default="synthetic", help="a folder under LTGNN_DATA, or synthetic"
    )
    parser.add_argument("--model", default="ltgnn")
    parser.add_argument("--preset", choices=["default", "authors"], default="default")
    parser.add_argument("--epochs", type=int, default=TrainConfig.epochs)
    parser.add_argument("--eval_every", type=int, default=1)
    parser.add_argument("--schedule", default=TrainConfig.schedule)
    parser.add_argument("--batch_size", type=int, default=TrainConfig.batch_size)
    parser.add_argument("--protocol", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--run", help="run folder, to keep the model")
    parser.add_argument("--json")
    parser.add_argument("settings", nargs="*", type=graphs.parse_setting)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    authors = args.preset == "authors"
    experiment = Experiment(
        data=None if args.data == "synthetic" else str(graphs.real_path(args.data)),
        model=args.model,
        settings={**(AUTHORS if authors else {}), **dict(args.settings)},
        train=TrainConfig(
            epochs=args.epochs,
            batch_size=2048 if authors else args.batch_size,
            eval_every=args.eval_every,
            schedule=args.schedule,
            seed=args.seed,
            sampling="users" if authors else "interactions",
        ),
        protocol=args.protocol,
    )
    curve: list[dict[str, Any]] = []
    result = run(experiment, args.run, progress=True, on_epoch=lambda r: show(r, curve))
    print(json.dumps({k: v for k, v in result.items() if k != "settings"}, indent=2))
    harness.write(args.json, {"result": result, "curve": curve})


def show(record: dict[str, Any], curve: list[dict[str, Any]]) -> None:
    """Print and keep one epoch."""
    row = {
        key: record[key] for key in ("epoch", "loss", "seconds", "eval_seconds") if key in record
    }
    for split in ("valid", "test"):
        for name in ("recall@20", "ndcg@20"):
            if split in record:
                row[f"{split} {name}"] = record[split][name]
    curve.append(row)
    print("  ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()),
          flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
