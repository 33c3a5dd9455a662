"""Training: seconds an epoch, peak memory and the accuracy curve of one model on one data set.

    python -m benchmarks.bench_epoch --data gowalla --epochs 20 --json FILE
    python -m benchmarks.bench_epoch --data gowalla --preset authors --epochs 100 --eval_every 10 --json FILE

`--preset` takes the names that `ltgnn presets` lists; flags override it. `authors` is LTGNN as its authors ran it:
BPR, the deep fixed point with stored gradients, user-balanced triples. Settings after `--` are the model's:
`-- alpha=0.5 fanout=8`.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch

from benchmarks import graphs, harness
from ltgnn.training import TrainConfig
from ltgnn.training.experiment import Experiment, run
from ltgnn.training.presets import Preset, find_preset


def main() -> None:
    """Train, print the curve, write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", default="synthetic", help="a folder under LTGNN_DATA, or synthetic"
    )
    parser.add_argument("--model", default="ltgnn")
    parser.add_argument("--preset", help="a name that `ltgnn presets` lists for the model")
    for name, kind in (("epochs", int), ("eval_every", int), ("schedule", str), ("batch_size", int),
                       ("seed", int)):  # fmt: skip
        parser.add_argument(f"--{name}", type=kind, help="none: the preset's, or the default")
    parser.add_argument("--protocol", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--run", help="run folder, to keep the model")
    parser.add_argument("--json")
    parser.add_argument("settings", nargs="*", type=graphs.parse_setting)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    preset = find_preset(args.model, args.preset) if args.preset else Preset(args.model, "", "")
    given = {name: getattr(args, name)
             for name in ("epochs", "eval_every", "schedule", "batch_size", "seed")}  # fmt: skip
    experiment = Experiment(
        data=None if args.data == "synthetic" else str(graphs.real_path(args.data)),
        model=args.model,
        settings={**preset.settings, **dict(args.settings)},
        train=TrainConfig(**{
            **preset.train, **{name: value for name, value in given.items() if value is not None}
        }),
        protocol=args.protocol,
    )  # fmt: skip
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
