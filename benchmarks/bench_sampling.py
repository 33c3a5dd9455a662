"""Drawing negatives and neighbours against numpy, torch and, where installed, torch_sparse.

    python -m benchmarks.bench_sampling --graph gowalla --threads 2 --json FILE

One negative for every interaction, and up to `--fanout` distinct neighbours of every node. numpy draws negatives as
recommenders do, by rejection: all at once, those that hit an interaction again, found by a binary search among the
sorted pairs. The torch rival of neighbours draws with replacement, which is less work.

GB/s are of the bytes that the task needs, the same for all. Users and nodes come in order, so that everything
passes as a stream, and the roof is a large copy (`of copy`): far from it, random numbers and searches are what
takes time. A draw of negatives reads a user and writes an item (16), and all users' pointers and lists pass once:
16 draws + 8 (users + 1) + index interactions. Neighbours read each node's number and pointer and write `fanout`
places (16 + 8 fanout), and read a cache line of 64 bytes for each that is drawn, but no more than the node's list.
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
from benchmarks.torch_rivals import draw_with_replacement
from ltgnn.graph import BipartiteGraph
from ltgnn.ops import negative_sample, sample_neighbors

LINE = 64  # bytes of a cache line


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
        return draw_with_replacement(begin, degree, self.indices, self.fanout)

    def pyg_neighbors(self) -> None:
        """The sampler of PyG's loaders without pyg-lib; in batches, for which its hash table is small."""
        for rows in self.rows.split(1024):
            torch.ops.torch_sparse.neighbor_sample(
                self.graph.indptr, self.indices, rows, [self.fanout], False, True
            )

    def bytes_needed(self) -> dict[str, int]:
        """Of one call of each kind."""
        graph, size = self.graph, self.items.element_size()
        degrees = graph.indptr.diff()
        lists = (degrees * graph.indices.element_size()).minimum(
            degrees.clamp(max=self.fanout) * LINE
        )
        return {
            "negatives": 16 * len(self.users) + 8 * len(self.indptr) + size * len(self.items),
            "neighbours": graph.num_nodes * (16 + 8 * self.fanout) + int(lists.sum()),
        }

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
    copy, needed = harness.copy_bandwidth("cpu"), problem.bytes_needed()
    print(f"{graph}, {drawn}, fanout {args.fanout}, {args.threads} threads; copy {copy:.0f} GB/s")
    for name, row in times.items():
        kind = name.split()[1]
        harness.add_bandwidth(row, needed[kind], copy, "copy")
        row["draws_per_second"] = drawn[kind] / row["median_ms"] * 1e3
        row["million_draws_per_second"] = row["draws_per_second"] / 1e6
        row["times_ltgnn"] = row["median_ms"] / times[f"ltgnn {kind}"]["median_ms"]
    harness.print_table(times, {"million_draws_per_second": "M draws/s", "gb_per_s": "GB/s",
                                "share_of_copy": "of copy", "times_ltgnn": "x ltgnn"})  # fmt: skip
    harness.write(args.json, {
        "graph": args.graph, "num_nodes": graph.num_nodes, "num_edges": graph.num_edges, "drawn": drawn,
        "fanout": args.fanout, "threads": args.threads, "copy_gb_per_s": copy, "times": times,
    })  # fmt: skip


if __name__ == "__main__":
    main()
