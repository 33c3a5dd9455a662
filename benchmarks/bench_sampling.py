"""Drawing negatives and neighbours against numpy, torch and, where installed, torch_sparse.

    python -m benchmarks.bench_sampling --graph gowalla --threads 2 --json FILE

One negative for every interaction, and up to `--fanout` distinct neighbours of every node. numpy draws negatives
as recommenders do, by rejection: all at once, those that hit an interaction again, found by a binary search among
the sorted pairs. The torch rival of neighbours draws with replacement, which is less work.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor

from benchmarks import graphs, harness
from ltgnn.graph import BipartiteGraph
from ltgnn.ops import negative_sample, sample_neighbors


class Problem:
    """One graph, and every way to draw from it; each call draws anew."""

    def __init__(self, graph: BipartiteGraph, fanout: int) -> None:
        self.graph, self.fanout, self.seed = graph, fanout, 0
        self.indptr, self.items = graph.user_indptr.contiguous(), graph.user_items.contiguous()
        self.users = torch.repeat_interleave(torch.arange(graph.num_users), self.indptr.diff())
        self.pairs = self.users.numpy() * graph.num_items + self.items.numpy()
        self.rows = torch.arange(graph.num_nodes)
        self.indices = graph.indices.long()
        self.random = np.random.default_rng(0)

    def next_seed(self) -> int:
        """Another one at each call."""
        self.seed += 1
        return self.seed

    def negatives(self) -> Tensor:
        """Ours: by rank among the missing items."""
        return negative_sample(
            self.indptr, self.items, self.users, self.graph.num_items, seed=self.next_seed()
        )

    def numpy_negatives(self) -> np.ndarray:
        """By rejection."""
        items = self.random.integers(self.graph.num_items, size=len(self.users))
        left = np.arange(len(items))
        while len(left):
            wanted = self.users.numpy()[left] * self.graph.num_items + items[left]
            place = np.searchsorted(self.pairs, wanted).clip(max=len(self.pairs) - 1)
            left = left[self.pairs[place] == wanted]
            items[left] = self.random.integers(self.graph.num_items, size=len(left))
        return items

    def neighbors(self) -> Tensor:
        """Ours: without replacement."""
        return sample_neighbors(self.graph, self.rows, fanout=self.fanout, seed=self.next_seed())

    def torch_neighbors(self) -> Tensor:
        """With replacement; -1 for all of a row that has none."""
        begin, degree = self.graph.indptr[:-1], self.graph.indptr.diff()
        draws = torch.rand(len(self.rows), self.fanout)
        place = (draws * degree[:, None]).long().clamp_(max=int(degree.max()) - 1)
        edge = (begin[:, None] + place).clamp_(max=len(self.indices) - 1)
        return torch.where(degree[:, None] > 0, self.indices[edge], -1)

    def pyg_neighbors(self) -> None:
        """The sampler of PyG's loaders without pyg-lib; in batches, for which its hash table is small."""
        for rows in self.rows.split(1024):
            torch.ops.torch_sparse.neighbor_sample(
                self.graph.indptr, self.indices, rows, [self.fanout], False, True
            )

    def check(self) -> None:
        """Negatives are none of the user's items; neighbours are distinct and the row's own."""
        for items in (self.negatives().numpy(), self.numpy_negatives()):
            wanted = self.users.numpy() * self.graph.num_items + items
            assert not np.isin(wanted, self.pairs).any()
        drawn = self.neighbors()
        expected = self.graph.indptr.diff().clamp(max=self.fanout)
        assert torch.equal((drawn >= 0).sum(1), expected)

    def rivals(self) -> dict[str, Callable[[], object]]:
        """Every way that is installed here."""
        found: dict[str, Callable[[], object]] = {
            "ltgnn negatives": self.negatives,
            "numpy negatives": self.numpy_negatives,
            "ltgnn neighbours": self.neighbors,
            "torch neighbours": self.torch_neighbors,
        }
        if find_spec("torch_sparse") is not None:
            import_module("torch_sparse")  # for its operators
            found["torch_sparse neighbours"] = lambda: torch.ops.torch_sparse.sample_adj(
                self.graph.indptr, self.indices, self.rows, self.fanout, False
            )
            found["PyG neighbours"] = self.pyg_neighbors
        return found


def main() -> None:
    """Time the rivals and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--graph", choices=["gowalla", "amazon-cds", "synthetic", "small"], default="gowalla"
    )
    parser.add_argument("--edges", type=int, default=20_000_000, help="of the synthetic graph")
    parser.add_argument("--fanout", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    graph = graphs.named(args.graph, args.edges)
    problem = Problem(graph, args.fanout)
    problem.check()
    times = harness.alternate(problem.rivals(), runs=args.runs)
    drawn = {
        "negatives": len(problem.users),
        "neighbours": int(graph.indptr.diff().clamp(max=args.fanout).sum()),
    }
    print(f"{graph}, {drawn}, fanout {args.fanout}, {args.threads} threads")
    print(f"{'':<26}{'median ms':>10}{'min ms':>9}{'M draws/s':>11}{'x ltgnn':>9}")
    for name, row in times.items():
        kind = name.split()[1]
        row["draws_per_second"] = drawn[kind] / row["median_ms"] * 1e3
        row["times_ltgnn"] = row["median_ms"] / times[f"ltgnn {kind}"]["median_ms"]
        print(f"{name:<26}{row['median_ms']:>10.2f}{row['min_ms']:>9.2f}"
              f"{row['draws_per_second'] / 1e6:>11.1f}{row['times_ltgnn']:>9.2f}")  # fmt: skip
    harness.write(args.json, {
        "graph": args.graph, "num_nodes": graph.num_nodes, "num_edges": graph.num_edges, "drawn": drawn,
        "fanout": args.fanout, "threads": args.threads, "times": times,
    })  # fmt: skip


if __name__ == "__main__":
    main()
