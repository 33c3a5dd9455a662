"""What approximate propagation gives and costs: low rank and random projection against the exact operator.

    python -m benchmarks.bench_low_rank --data gowalla --epochs 6 --json benchmarks/results/low-rank-gowalla.json

For each rank: seconds to build, the error in the spectral norm (a lower bound by power iteration, the bound as
published, and ours with power steps), the time of one `propagate` of `--dim` columns beside the exact one, and the
accuracy of a model that was trained exactly, scored through the approximation. Low-rank products run on one thread,
so the exact one is timed with one, too. Below that, embeddings projected to fewer columns before they propagate
and score. Settings after `--` are the model's. `--data dense` is a made-up graph with a quarter of all pairs as
edges: what low rank is for.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import graphs, harness
from ltgnn.data import Dataset, Interactions
from ltgnn.evaluation import evaluate
from ltgnn.graph import BipartiteGraph
from ltgnn.models import create
from ltgnn.ops import LowRank, low_rank_approximation, low_rank_error_bound, project, propagate
from ltgnn.training import TrainConfig, Trainer

K = 20


def dense_data(num_users: int = 2000, num_items: int = 3000) -> Dataset:
    """A quarter of all pairs, those with the highest of noisy scores of rank 8; a tenth of them for the test."""
    random = np.random.default_rng(0)
    scores = random.normal(size=(num_users, 8)) @ random.normal(size=(8, num_items))
    scores += 2.0 * random.normal(size=scores.shape)
    users, items = np.nonzero(scores > np.quantile(scores, 0.75))
    test = random.random(len(users)) < 0.1
    sizes = {"num_users": num_users, "num_items": num_items}
    parts = [Interactions(users[part], items[part], **sizes) for part in (~test, test)]
    return Dataset("dense", parts[0], test=parts[1])


def power_iteration(graph: BipartiteGraph, low_rank: LowRank, steps: int, seed: int) -> float:
    """A lower bound of the spectral norm of graph - low_rank: the best of four vectors after so many steps."""
    x = torch.randn(graph.num_nodes, 4, generator=torch.Generator().manual_seed(seed))
    norms = torch.ones(4)
    for _ in range(steps):
        x = x / x.norm(dim=0)
        x = propagate(graph, x) - propagate(low_rank, x)
        norms = x.norm(dim=0)
    return float(norms.max())


def outputs(model: Any, e0: Tensor, graph: BipartiteGraph | LowRank) -> Tensor:
    """The model's propagation of e0 over the graph or what stands for it: one hop, or the mean of the layers."""
    if model.name == "ltgnn":
        return propagate(graph, e0, x0=e0, alpha=model.config.alpha)
    total, layer = e0.clone(), e0
    for _ in range(model.config.layers):
        layer = propagate(graph, layer)
        total += layer
    return total / (model.config.layers + 1)


def main() -> None:
    """Train, approximate, score, time, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="gowalla", help="a folder under LTGNN_DATA, or dense")
    parser.add_argument("--model", choices=["ltgnn", "lightgcn"], default="ltgnn")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--ranks", default="32,64,128,256,512")
    parser.add_argument("--widths", default="48,32,16")
    parser.add_argument("--power_steps", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=60, help="of the power iteration")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json")
    parser.add_argument("settings", nargs="*", type=graphs.parse_setting)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = dense_data() if args.data == "dense" else graphs.real(args.data)
    graph = graphs.graph_of(data)
    model = create(args.model, graph, seed=args.seed, dim=args.dim, **dict(args.settings))
    Trainer(model, TrainConfig(epochs=args.epochs, seed=args.seed), progress=True).fit()
    e0 = model.e0.detach()
    truth, seen = data.test.to_scipy(), data.train.to_scipy()

    def recall(nodes: Tensor) -> float:
        users, items = nodes[: graph.num_users], nodes[graph.num_users :]
        found = evaluate(users.contiguous(), items.contiguous(), truth=truth, seen=seen, ks=[K])
        return found[f"recall@{K}"]

    def one_threaded() -> None:
        torch.set_num_threads(1)
        propagate(graph, e0)
        torch.set_num_threads(args.threads)

    exact = recall(outputs(model, e0, graph))
    print(f"{graph}, {args.model} after {args.epochs} epochs: recall@{K} {exact:.4f}", flush=True)
    rows = []
    for rank in map(int, args.ranks.split(",")):
        start = time.perf_counter()
        low_rank = low_rank_approximation(graph, rank, seed=args.seed, power_steps=args.power_steps)
        seconds = time.perf_counter() - start
        times = harness.alternate(
            {
                "low rank": lambda low_rank=low_rank: propagate(low_rank, e0),  # type: ignore[misc]
                "exact": lambda: propagate(graph, e0),
                "exact, one thread": one_threaded,
            },
            runs=args.runs,
            warmup=1,
        )
        row = {
            "rank": rank,
            "build_s": seconds,
            "error_at_least": power_iteration(graph, low_rank, args.iterations, args.seed),
            "bound": low_rank_error_bound(graph, low_rank, seed=args.seed),
            "bound_published": low_rank_error_bound(graph, low_rank, power_steps=0, seed=args.seed),
            "ms": times,
            "recall": recall(outputs(model, e0, low_rank)),
        }
        rows.append(row)
        medians = {name: round(time["median_ms"], 1) for name, time in times.items()}
        print({**row, "ms": medians}, flush=True)
    widths = []
    for width in map(int, args.widths.split(",")):
        narrow = project(e0, width, seed=args.seed)
        times = harness.alternate(
            {
                "project": lambda width=width: project(e0, width, seed=args.seed),  # type: ignore[misc]
                "propagate": lambda narrow=narrow: propagate(graph, narrow),  # type: ignore[misc]
                "exact": lambda: propagate(graph, e0),
            },
            runs=args.runs,
            warmup=1,
        )
        widths.append(
            {"width": width, "ms": times, "recall": recall(outputs(model, narrow, graph))}
        )
        medians = {name: round(time["median_ms"], 1) for name, time in times.items()}
        print({**widths[-1], "ms": medians}, flush=True)
    harness.write(
        args.json,
        {
            "data": args.data, "model": args.model, "epochs": args.epochs, "dim": args.dim,
            "threads": args.threads, "recall_exact": exact, "ranks": rows, "projected": widths,
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
