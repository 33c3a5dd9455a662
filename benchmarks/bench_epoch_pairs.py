"""epoch_pairs: nanoseconds a pair, beside what it replaces: a shuffled table of the whole epoch, and its gathers.

    python -m benchmarks.bench_epoch_pairs --edges 10000000 --threads 2 --json FILE
    python -m benchmarks.bench_epoch_pairs --device cuda

The rival's time is for its batch alone and, in the second line, with its share of the permutation; its memory is
what an epoch's tables take.
"""

from __future__ import annotations

import argparse

import torch

from benchmarks import graphs, harness
from ltgnn.ops import epoch_pairs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--edges", type=int, default=10_000_000)
    parser.add_argument("--batch", type=int, default=8192)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    graph = graphs.zipf(options.edges).to(options.device)
    indptr, owned = graph.user_indptr, graph.indices[: graph.num_edges]
    if not 1 <= options.batch < graph.num_edges:
        parser.error(f"--batch must be in [1, {graph.num_edges}), got {options.batch}")
    batch, rows = options.batch, torch.arange(graph.num_users, device=graph.device)
    edge_users = rows.repeat_interleave(graph.degrees[: graph.num_users])
    order = torch.randperm(graph.num_edges).to(graph.device)
    places = iter(range(10**9))

    def begin() -> int:
        return next(places) * batch % (graph.num_edges - batch)

    def from_a_table() -> None:
        edges = order[(at := begin()) : at + batch]
        _ = edge_users[edges], owned[edges].long()

    times = harness.alternate(
        {
            "epoch_pairs": lambda: epoch_pairs(
                indptr, owned, graph.num_nodes, begin(), batch, seed=1
            ),
            "epoch_pairs of uniform users": lambda: epoch_pairs(
                indptr, owned, graph.num_nodes, begin(), batch, seed=1, rows=rows
            ),
            "gathers from a shuffled table": from_a_table,
        },
        runs=options.runs,
        device=options.device,
    )
    shuffle = harness.alternate(
        {"randperm": lambda: torch.randperm(graph.num_edges)}, runs=3, warmup=1
    )["randperm"]
    per_pair = {name: 1e6 * time["median_ms"] / batch for name, time in times.items()}
    per_pair["gathers, and their share of randperm"] = (
        per_pair["gathers from a shuffled table"] + 1e6 * shuffle["median_ms"] / graph.num_edges
    )
    for name, nanoseconds in per_pair.items():
        print(f"{name:<40}{nanoseconds:8.1f} ns a pair")
    tables = order.nbytes + edge_users.nbytes
    print(f"tables of an epoch: {tables / 1e6:,.0f} MB; epoch_pairs: none")
    harness.write(
        options.json,
        {
            "benchmark": "epoch_pairs", "interactions": graph.num_edges, "batch": batch,
            "threads": options.threads, "device": options.device,
            "nanoseconds_a_pair": per_pair, "times": times, "table_bytes": tables,
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
