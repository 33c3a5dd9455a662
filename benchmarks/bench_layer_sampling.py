"""GraphSAGE's tree below a batch: distinct nodes and time of a step, draws of each row or of all together (LABOR).

    python -m benchmarks.bench_layer_sampling --data gowalla --json FILE.json

Nodes and edges are means over the batches of the run; a step's time is the median over them, each way on the same
batches, in turn.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch

from benchmarks import graphs, harness
from ltgnn.models import create
from ltgnn.models.graphsage import GraphSAGE
from ltgnn.training.samplers import PairSampler

WAYS = ("uniform", "labor")


def measure(args: argparse.Namespace, fanout: int) -> dict[str, dict[str, float]]:
    """Both ways at one fanout."""
    graph = graphs.named(args.data, 0)
    models = {
        way: create(
            "graphsage", graph, dim=args.dim, layers=args.layers, fanout=fanout, neighbor_sampling=way,
            loss=args.loss,
        )
        for way in WAYS
    }  # fmt: skip
    sampler = PairSampler(
        graph, batch_size=args.batch, negatives=models["labor"].needs_negatives,
        sampling="interactions", seed=0,
    )  # fmt: skip
    counts: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    steps: dict[str, list[float]] = {way: [] for way in WAYS}
    trees: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(args.steps + 2):
        batch = sampler.batch(1, number % sampler.batches_per_epoch)
        for way, model in models.items():
            assert isinstance(model, GraphSAGE)
            rows = model._targets(batch)[0]  # noqa: SLF001
            start = time.perf_counter()
            levels, means = model._tree(rows, batch.seed)  # noqa: SLF001
            drawn = time.perf_counter()
            model.training_step(batch)
            done = time.perf_counter()
            if number < 2:  # warm-up
                continue
            trees[way].append(1e3 * (drawn - start))
            steps[way].append(1e3 * (done - drawn))
            edges = sum(len(mean.indices) for mean in means)
            counts[way].append([*(float(len(level)) for level in levels), float(edges)])
    result: dict[str, dict[str, float]] = {}
    for way in WAYS:
        *levels_mean, edges_mean = (
            statistics.mean(column) for column in zip(*counts[way], strict=True)
        )
        result[way] = {
            **{f"nodes_{hop}": round(mean) for hop, mean in enumerate(levels_mean)},
            "edges": round(edges_mean),
            "tree_ms": statistics.median(trees[way]),
            "step_ms": statistics.median(steps[way]),
        }
    return result


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="small", help="a folder under LTGNN_DATA, or small")
    parser.add_argument("--fanouts", type=int, nargs="*", default=[5, 10])
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--loss", default="softmax")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    result: dict[str, Any] = {}
    for fanout in args.fanouts:
        result[str(fanout)] = measure(args, fanout)
        for way, row in result[str(fanout)].items():
            text = "  ".join(f"{k} {v:.1f}" if "ms" in k else f"{k} {v}" for k, v in row.items())
            print(f"fanout {fanout:>2} {way:<8} {text}", flush=True)
    settings = {
        name: getattr(args, name) for name in ("data", "layers", "dim", "batch", "loss", "threads")
    }
    harness.write(args.json, {**settings, "result": result})


if __name__ == "__main__":
    main()
