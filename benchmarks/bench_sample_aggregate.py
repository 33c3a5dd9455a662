"""sample_aggregate against the ways to draw and add up neighbours with torch, for the rows of a BPR batch.

    python -m benchmarks.bench_sample_aggregate --graph gowalla --threads 2 --json FILE
    python -m benchmarks.bench_sample_aggregate --graph synthetic --device cuda

The targets are the distinct users, positives and negatives of `--batch` triples; the sum is that of LTGNN: the
change of the embeddings since the last refresh over `--fanout` neighbours, plus the stored sum. `ltgnn` draws
without replacement; the plain torch rivals draw with replacement, which is less work and has more variance.

GB/s are of the bytes that the task needs, the same for all: for each drawn neighbour its row, index and scale (4
dim + 4 + index), for each target its row of the stored sum and its result (8 dim). `of gather` is their share of
the rate at which random rows of a table of this size can be read here, and the floor the time at that rate.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

from benchmarks import graphs, harness
from benchmarks.torch_rivals import draw_with_replacement
from ltgnn.graph import BipartiteGraph


def bpr_targets(graph: BipartiteGraph, batch: int) -> Tensor:
    """Distinct rows of `batch` triples: a random interaction's user and item, and a random item."""
    random = torch.Generator().manual_seed(0)
    edges = torch.randint(graph.num_edges, (batch,), generator=random)
    users = torch.searchsorted(graph.indptr.cpu(), edges, right=True) - 1
    items = graph.indices.cpu()[edges].long()
    negatives = torch.randint(graph.num_items, (batch,), generator=random) + graph.num_users
    targets: Tensor = torch.cat([users, items, negatives]).unique()
    return targets


class Problem:
    """One batch on one device, and every way to aggregate it."""

    def __init__(
        self, graph: BipartiteGraph, rows: Tensor, dim: int, fanout: int, device: str
    ) -> None:
        random = torch.Generator().manual_seed(1)
        csr = graph.csr(dtype=torch.float32, self_loops=False, normalized=True)
        assert csr.row_scale is not None and csr.col_scale is not None
        self.graph, self.fanout, self.device = graph, fanout, device
        self.rows = rows.to(device)
        self.indptr, self.indices = csr.indptr.to(device), csr.indices.to(device)
        self.row_scale, self.col_scale = csr.row_scale.to(device), csr.col_scale.to(device)
        x = torch.randn(graph.num_nodes, dim, generator=random)
        history = x + 0.1 * torch.randn(x.shape, generator=random)
        self.x, self.history = x.to(device), history.to(device)
        self.delta = self.x - self.history
        self.history_sum = torch.randn(x.shape, generator=random).to(device)
        self.seed = 0

    def next_seed(self) -> int:
        """Every call draws anew, for every rival."""
        self.seed += 1
        return self.seed

    def degrees(self) -> tuple[Tensor, Tensor]:
        """First edge and degree of each target."""
        begin = self.indptr[self.rows]
        return begin, self.indptr[self.rows + 1] - begin

    def fused(self, seed: int | None = None, stored: bool = True) -> Tensor:
        """Ours, on the stored change or on both tables."""
        x, history = (self.delta, None) if stored else (self.x, self.history)
        result: Tensor = torch.ops.ltgnn.sample_aggregate(
            self.indptr, self.indices, self.row_scale, self.col_scale, self.rows, x, history,
            self.history_sum, None, self.fanout, self.next_seed() if seed is None else seed, False,
        )[0]  # fmt: skip
        return result

    def draw(self, seed: int | None = None) -> Tensor:
        """Our neighbours [targets, fanout], -1 past the last."""
        result: Tensor = torch.ops.ltgnn.sample_neighbors(
            self.indptr, self.indices, self.rows, self.graph.num_nodes, self.fanout,
            self.next_seed() if seed is None else seed,
        )  # fmt: skip
        return result

    def torch_draw(self) -> Tensor:
        """Neighbours drawn with replacement by torch; -1 for all of a row that has none."""
        return draw_with_replacement(*self.degrees(), self.indices, self.fanout)

    def weights(self, neighbors: Tensor) -> Tensor:
        """What each drawn neighbour counts for."""
        taken = neighbors >= 0
        factor = self.degrees()[1] / taken.sum(1).clamp(min=1) * self.row_scale[self.rows]
        return taken * factor[:, None] * self.col_scale[neighbors.clamp(min=0)]

    def gather(self, neighbors: Tensor) -> Tensor:
        """The sum by indexing: all gathered rows exist at once."""
        gathered = self.delta[neighbors.clamp(min=0)]
        sums = torch.einsum("bs,bsd->bd", self.weights(neighbors), gathered)
        return sums + self.history_sum[self.rows]

    def bag(self, neighbors: Tensor) -> Tensor:
        """The sum by embedding_bag."""
        sums = torch.nn.functional.embedding_bag(
            neighbors.clamp(min=0),
            self.delta,
            mode="sum",
            per_sample_weights=self.weights(neighbors),
        )
        return sums + self.history_sum[self.rows]

    def pyg(self) -> Tensor:
        """torch_sparse's sampler of one hop, and a sparse product."""
        pointers, column, nodes, _ = torch.ops.torch_sparse.sample_adj(
            self.indptr, self.indices64(), self.rows, self.fanout, False
        )
        counts = pointers[1:] - pointers[:-1]
        factor = self.degrees()[1] / counts.clamp(min=1) * self.row_scale[self.rows]
        values = torch.repeat_interleave(factor, counts) * self.col_scale[nodes[column]]
        size = (len(self.rows), len(nodes))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says that its CSR support is in beta
            matrix = torch.sparse_csr_tensor(pointers, column, values, size, check_invariants=False)
        return matrix @ self.delta[nodes] + self.history_sum[self.rows]

    def pyg_loader(self) -> Tensor:
        """The sampler of PyG's NeighborLoader where pyg-lib is not installed, and torch_sparse's product."""
        targets = len(self.rows)
        nodes, source, target, _ = torch.ops.torch_sparse.neighbor_sample(
            self.indptr, self.indices64(), self.rows, [self.fanout], False, True
        )
        counts = torch.bincount(target, minlength=targets)
        factor = self.degrees()[1] / counts.clamp(min=1) * self.row_scale[self.rows]
        values = torch.repeat_interleave(factor, counts) * self.col_scale[nodes[source]]
        pointers = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        sums: Tensor = torch.ops.torch_sparse.spmm_sum(
            None, pointers, source, values, None, None, self.delta[nodes]
        )
        return sums + self.history_sum[self.rows]

    def indices64(self) -> Tensor:
        """The indices as torch_sparse wants them, made once."""
        if not hasattr(self, "_indices64"):
            self._indices64 = self.indices.long()
        return self._indices64

    def rivals(self) -> dict[str, Callable[[], object]]:
        """Every way that is installed here; those that share draws must agree."""
        expected = self.fused(seed=3)
        for sums in (
            self.gather(self.draw(3)),
            self.bag(self.draw(3)),
            self.fused(3, stored=False),
        ):
            torch.testing.assert_close(sums, expected, rtol=1e-4, atol=1e-4)
        found: dict[str, Callable[[], object]] = {
            "ltgnn": self.fused,
            "ltgnn, two tables": lambda: self.fused(stored=False),
            "ltgnn draw, torch gather": lambda: self.gather(self.draw()),
            "torch draw and gather": lambda: self.gather(self.torch_draw()),
            "torch draw, embedding_bag": lambda: self.bag(self.torch_draw()),
        }
        if self.device == "cpu" and find_spec("torch_sparse") is not None:
            import_module("torch_sparse")  # for its operators
            found["torch_sparse, sparse.mm"] = self.pyg
            found["PyG's loader, torch_sparse"] = self.pyg_loader
        return found


def main() -> None:
    """Time the rivals and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--graph", choices=["gowalla", "amazon-cds", "synthetic", "small"], default="gowalla"
    )
    parser.add_argument("--edges", type=int, default=20_000_000, help="of the synthetic graph")
    parser.add_argument("--batch", type=int, default=2048, help="triples")
    parser.add_argument("--fanout", type=int, default=15)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    graph = graphs.named(args.graph, args.edges)
    problem = Problem(graph, bpr_targets(graph, args.batch), args.dim, args.fanout, args.device)
    times = harness.alternate(problem.rivals(), runs=args.runs, device=args.device)
    targets = len(problem.rows)
    drawn = int(problem.degrees()[1].clamp(max=args.fanout).sum())
    moved = drawn * (args.dim * 4 + problem.indices.element_size() + 4) + targets * args.dim * 8
    gather = harness.gather_bandwidth(problem.x.numel() * 4, args.dim * 4, args.device)
    floor, base = moved / gather / 1e6, times["ltgnn"]["median_ms"]
    print(f"{graph}, {targets} targets, {drawn} neighbours, dim {args.dim}, {args.device}, "
          f"{args.threads} threads; gather {gather:.0f} GB/s, floor {floor:.3f} ms")  # fmt: skip
    for row in times.values():
        harness.add_bandwidth(row, moved, gather)
        row["times_floor"] = row["median_ms"] / floor
        row["times_ltgnn"] = row["median_ms"] / base
    harness.print_table(times, {"gb_per_s": "GB/s", "share_of_gather": "of gather",
                                "times_floor": "x floor", "times_ltgnn": "x ltgnn"})  # fmt: skip
    harness.write(args.json, {
        "graph": args.graph, "num_nodes": graph.num_nodes, "num_edges": graph.num_edges,
        "targets": targets, "neighbours": drawn, "fanout": args.fanout, "dim": args.dim,
        "device": args.device, "threads": args.threads, "gather_gb_per_s": gather, "floor_ms": floor,
        "times": times,
    })  # fmt: skip


if __name__ == "__main__":
    main()
