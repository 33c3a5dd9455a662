"""UltraGCN's loss of a batch's users against negatives that they share, against torch.

    python -m benchmarks.bench_shared_negatives --batch 2048 --negatives 1536 --threads 2 --json FILE

torch holds the matrix of scores whole, with the gradients written out by hand: what autograd does, without its own
costs. `scores` is the elementwise pass alone, over a matrix that is there.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

from benchmarks import harness
from ltgnn.models.shared_negatives import shared_negatives_loss
from ltgnn.ops import weighted_softplus_


class Problem:
    """Random rows and weights."""

    def __init__(self, batch: int, negatives: int, dim: int) -> None:
        random = torch.Generator().manual_seed(1)
        self.user = torch.randn(batch, dim, generator=random) / dim**0.25
        self.item = torch.randn(negatives, dim, generator=random) / dim**0.25
        self.weights = [torch.rand(n, generator=random) for n in (batch, negatives, negatives)]
        self.scores = self.user @ self.item.T
        self.spare = self.scores.clone()

    def ours(self) -> tuple[Tensor, Tensor, Tensor]:
        """(loss, its gradient for users, for items)."""
        return shared_negatives_loss(self.user, self.item, *self.weights)

    def torch_whole(self) -> tuple[Tensor, Tensor, Tensor]:
        """The same."""
        loss, slopes = self.torch_scores(self.user @ self.item.T)
        return loss, slopes @ self.item, slopes.T @ self.user

    def torch_scores(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """(loss, weighted slopes)."""
        of_user, of_item, of_all = self.weights
        weight = torch.outer(of_user, of_item).add_(of_all)
        return (weight * softplus(scores)).sum(dtype=torch.float64), weight.mul_(scores.sigmoid())

    def rivals(self) -> dict[str, Callable[[], object]]:
        """Both, whole and elementwise."""
        return {
            "ltgnn": self.ours,
            "torch": self.torch_whole,
            "scores, ltgnn": lambda: weighted_softplus_(self.spare, *self.weights),
            "scores, torch": lambda: self.torch_scores(self.scores),
        }

    def check(self) -> None:
        """Both give the same."""
        for ours, theirs in zip(self.ours(), self.torch_whole(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--negatives", type=int, default=1536)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    problem = Problem(args.batch, args.negatives, args.dim)
    problem.check()
    times = harness.alternate(problem.rivals(), runs=args.runs)
    bytes_moved = 2 * 4 * args.batch * args.negatives
    print(f"{args.batch} users, {args.negatives} negatives, dim {args.dim}, {args.threads} threads")
    for name, row in times.items():
        speed = f"{bytes_moved / row['median_ms'] / 1e6:>9.1f} GB/s" if "scores" in name else ""
        print(f"{name:<24}{row['median_ms']:>9.2f} ms{speed}")
    harness.write(args.json, {
        "batch": args.batch, "negatives": args.negatives, "dim": args.dim, "threads": args.threads, "times": times,
    })  # fmt: skip


if __name__ == "__main__":
    main()
