"""Marking a batch's accidental hits, against torch and scipy, and what leaving them out costs the softmax loss.

    python -m benchmarks.bench_accidental_hits --graph gowalla --batch 2048 --threads 2 --json FILE

torch looks all items of the batch's users up among the batch's sorted items, which is what a recommender written in
Python would do; scipy cuts users and items out of the interaction matrix. Both leave the pairs as a matrix of
booleans, or as a sparse one, which are still to be packed into bits.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from benchmarks import graphs, harness
from ltgnn.graph import BipartiteGraph
from ltgnn.ops import accidental_hits, epoch_pairs, loss_and_grad
from ltgnn.ops.reference_losses import unpacked


class Problem:
    """One batch of a graph's pairs."""

    def __init__(self, graph: BipartiteGraph, batch: int, dim: int) -> None:
        self.graph = graph
        self.matrix = graph.to_scipy().tocsr()
        self.indptr, self.indices = graph.user_indptr, graph.user_items
        self.users, self.items = epoch_pairs(
            self.indptr, self.indices, graph.num_items, 0, batch, seed=1
        )
        self.x = torch.randn(2 * batch, dim, generator=torch.Generator().manual_seed(2))
        self.places = torch.arange(batch)
        self.skip = self.ours()

    def ours(self) -> Tensor:
        """Bits."""
        return accidental_hits(
            self.indptr, self.indices, self.users, self.items, self.graph.num_items
        )

    def torch_lookup(self) -> Tensor:
        """[batch, batch], bool."""
        batch = len(self.users)
        begin = self.indptr[self.users]
        length = self.indptr[self.users + 1] - begin
        row = torch.repeat_interleave(torch.arange(batch), length)
        first = torch.cumsum(length, 0) - length
        item = self.indices[torch.arange(len(row)) + (begin - first)[row]].long()
        wanted, place = self.items.sort()
        low = torch.searchsorted(wanted, item)
        count = torch.searchsorted(wanted, item, right=True) - low
        hit = torch.repeat_interleave(torch.arange(len(row)), count)
        of_hit = torch.arange(len(hit)) - (torch.cumsum(count, 0) - count)[hit]
        pairs = torch.zeros(batch, batch, dtype=torch.bool)
        pairs[row[hit], place[low[hit] + of_hit]] = True
        return pairs

    def scipy_cut(self) -> scipy.sparse.csr_matrix:
        """[batch, batch], sparse."""
        return self.matrix[self.users.numpy()][:, self.items.numpy()]

    def softmax(self, skip: Tensor | None) -> Tensor:
        """Loss and gradient of the batch, with random rows."""
        batch = len(self.users)
        return loss_and_grad(
            self.x, self.places, self.places + batch, None, tau=0.1, allow_bf16=True, skip=skip
        )[0]

    def rivals(self) -> dict[str, Callable[[], object]]:
        """Every way to find the hits, and the loss without and with them."""
        return {
            "ltgnn": self.ours,
            "torch": self.torch_lookup,
            "scipy": self.scipy_cut,
            "softmax, all pairs": lambda: self.softmax(None),
            "softmax, hits left out": lambda: self.softmax(self.skip),
        }

    def check(self) -> None:
        """All three find the same pairs."""
        found = unpacked(self.skip, len(self.users))
        assert torch.equal(found, self.torch_lookup())
        assert np.array_equal(found.numpy(), self.scipy_cut().toarray() > 0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--graph", choices=["gowalla", "amazon-cds", "synthetic", "small"], default="gowalla"
    )
    parser.add_argument("--edges", type=int, default=20_000_000, help="of the synthetic graph")
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    problem = Problem(graphs.named(args.graph, args.edges), args.batch, args.dim)
    problem.check()
    times = harness.alternate(problem.rivals(), runs=args.runs)
    hits = int(unpacked(problem.skip, args.batch).sum())
    items = int((problem.indptr[problem.users + 1] - problem.indptr[problem.users]).sum())
    print(
        f"{hits} of {args.batch**2} pairs, from {items} items of the batch's users, {args.threads} threads"
    )
    for name, row in times.items():
        print(f"{name:<24}{row['median_ms']:>9.2f} ms")
    harness.write(args.json, {
        "graph": args.graph, "batch": args.batch, "dim": args.dim, "threads": args.threads, "hits": hits,
        "items_of_users": items, "times": times,
    })  # fmt: skip


if __name__ == "__main__":
    main()
