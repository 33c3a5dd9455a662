"""Accuracy of a trained model, of the spectral filter, and of their mixed scores by weight.

    python -m benchmarks.bench_mix --data gowalla --epochs 15 --weights 0.25,0.5,1 --json FILE

Both models learn from the same part: all of train, or with `--protocol validation` what a held-out tenth leaves;
then the weight is chosen on that tenth. Settings after `--` are those of the trained model. Both score once, and
every weight costs a ranking.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch

from benchmarks import graphs, harness
from ltgnn.evaluation import EvaluationSums, evaluate_score_sums
from ltgnn.models import ScoreMix
from ltgnn.training import TrainConfig, Trainer
from ltgnn.training.experiment import Experiment, build_model, open_data
from ltgnn.training.run_data import RunData
from ltgnn.training.scoring import seen_rows

METRICS = ("recall", "ndcg")
K = 20


def main() -> None:
    """Train, fit, score, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="gowalla", help="a folder under LTGNN_DATA")
    parser.add_argument("--model", default="ltgnn")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--weights", default="0.1,0.2,0.3,0.5,0.7,1,1.5,2,3")
    parser.add_argument("--protocol", choices=["test", "validation"], default="test")
    parser.add_argument("--users", type=int, default=0, help="score a sample of so many; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    parser.add_argument("settings", nargs="*", type=graphs.parse_setting)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train = TrainConfig(epochs=args.epochs, seed=args.seed)
    path, settings = str(graphs.real_path(args.data)), dict(args.settings)
    trained = Experiment(
        path, model=args.model, settings=settings, train=train, protocol=args.protocol
    )
    data, _ = open_data(trained)
    seconds, models = {}, []
    for experiment in (trained, Experiment(path, model="chebycf", train=train)):
        models.append(build_model(experiment, data))
        start = time.perf_counter()
        Trainer(models[-1], train, progress=True).fit()
        seconds[models[-1].name] = time.perf_counter() - start
    weights = [float(word) for word in args.weights.split(",")]
    mix = ScoreMix(models, [1.0, 1.0])
    rows: list[dict[str, Any]] = []
    for split in ("valid", "test") if data.has_validation else ("test",):
        start = time.perf_counter()
        rows += score(mix, data, split, weights, args.users, args.seed)
        seconds[f"scoring {split}"] = time.perf_counter() - start
    result = {
        "data": args.data,
        "epochs": args.epochs,
        "protocol": args.protocol,
        "seconds": seconds,
    }
    if data.has_validation:
        best = max((row for row in rows if row["split"] == "valid"), key=lambda r: r["recall@20"])
        result["chosen on valid"] = best["weights"]
    print(result)
    harness.write(
        args.json, {**result, "seed": args.seed, "users": args.users or "all", "rows": rows}
    )


def score(
    mix: ScoreMix, data: RunData, split: str, weights: list[float], sample: int, seed: int
) -> list[dict[str, Any]]:
    """One row for each model alone and for each weight of the second one."""
    pairs = [(1.0, 0.0), (0.0, 1.0), *((1.0, weight) for weight in weights)]
    sums: dict[tuple[float, float], EvaluationSums] = {}
    chosen = np.flatnonzero(data.degrees(split))
    if 0 < sample < len(chosen):
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, sample, replace=False))
    width = mix.block_users
    for users in np.split(chosen, range(width, len(chosen), width)):
        first, second = mix.parts(torch.from_numpy(users))
        truth, seen = data.rows(split, users), seen_rows(mix.graph, data, split, users)
        for pair in pairs:
            mixed = second.clone() if pair[0] == 0 else torch.add(first, second, alpha=pair[1])
            part = evaluate_score_sums(
                lambda rows, mixed=mixed: mixed[rows], len(users), data.num_items,
                truth=truth, seen=seen, ks=[K], metrics=METRICS, block_users=width,
            )  # fmt: skip
            if pair in sums:
                sums[pair].merge(part)
            else:
                sums[pair] = part
    rows = []
    for pair, total in sums.items():
        rows.append({"split": split, "weights": list(pair), **total.result()})
        print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    main()
