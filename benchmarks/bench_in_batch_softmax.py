"""The in-batch softmax loss and its gradient, against torch, on the CPU or on a GPU.

    python -m benchmarks.bench_in_batch_softmax --batch 2048 --threads 2 --json FILE
    python -m benchmarks.bench_in_batch_softmax --batch 16384 --device cuda

Each call is loss and gradient of a batch's own rows; a share `--hits` of the pairs is left out, as accidental hits
are. torch holds the matrix of scores whole, and finds the pairs to leave out as a matrix of booleans. `by hand`
writes the gradient out, without autograd, in place, and `in blocks` takes `--block` users at a time, so that no
cache is left. `cross_entropy` keeps the positive in the denominator, which is another loss and nearly the same
work. bfloat16 is that of the products only: ours with `allow_bf16`, torch's under autocast.

Arithmetic is what bounds it: three products of 2 batch^2 dim operations, the scores and the gradients of both
sides, over 8 batch dim bytes of rows. G/s are of those operations, the same for all; what a rival computes twice
does not count. `of product` is their share of the rate of torch's own large matrix product, in bfloat16 where the
rival's products are. The matrix of scores is in cache with 2048 users (17 MB) and far out of it with 16384 (1.1
GB); ours never holds it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from benchmarks import harness
from ltgnn import _library
from ltgnn.ops import in_batch_softmax_loss

LossAndGrad = tuple[Tensor, Tensor]


class Problem:
    """One batch: its users' rows, and below them its items'."""

    def __init__(
        self, batch: int, dim: int, hits: float, tau: float, exponent: float, device: str
    ) -> None:
        random = torch.Generator().manual_seed(0)
        self.batch, self.dim, self.tau, self.exponent = batch, dim, tau, exponent
        self.device = device
        self.x = torch.randn(2 * batch, dim, generator=random).to(device).requires_grad_()
        self.users = torch.arange(batch, device=device)
        self.items = self.users + batch
        count = round(hits * batch**2)
        pairs = torch.randint(batch**2, (count,), generator=random).unique().to(device)
        pairs = pairs[pairs % (batch + 1) != 0]  # a user's own item is nobody's hit
        row, column = pairs // batch, pairs % batch
        self.hits = torch.zeros(batch, batch, dtype=torch.bool, device=device)
        self.hits[row, column] = True
        words = torch.zeros(batch, (batch + 31) // 32, dtype=torch.int64, device=device)
        words.index_put_((row, column // 32), 1 << column % 32, accumulate=True)
        self.skip = (words - (words >> 31 << 32)).to(torch.int32)  # the same 32 bits, signed
        self.left_out = self.hits.clone()
        self.left_out.fill_diagonal_(True)

    def ours(self, bf16: bool = False) -> LossAndGrad:
        """The fused loss, by autograd like its rivals."""
        loss = in_batch_softmax_loss(
            self.x, self.users, self.items, tau=self.tau, exponent=self.exponent, allow_bf16=bf16,
            skip=self.skip,
        )  # fmt: skip
        return loss.detach(), torch.autograd.grad(loss, self.x)[0]

    def _unit(self) -> tuple[Tensor, Tensor]:
        return normalize(self.x[self.users]), normalize(self.x[self.items])

    def torch_autograd(self, bf16: bool = False) -> LossAndGrad:
        """The same loss."""
        u, v = self._unit()
        own = (u * v).sum(1) / self.tau
        with torch.autocast(self.device, torch.bfloat16, enabled=bf16):
            scores = (u / self.tau) @ v.T
        log_sums = scores.float().masked_fill_(self.left_out, -torch.inf).logsumexp(1)
        loss = (self.exponent * log_sums - own).mean()
        return loss.detach(), torch.autograd.grad(loss, self.x)[0]

    def torch_cross_entropy(self) -> LossAndGrad:
        """With the positive in the denominator and exponent 1."""
        u, v = self._unit()
        scores = ((u / self.tau) @ v.T).masked_fill_(self.hits, -torch.inf)
        loss = cross_entropy(scores, self.users)
        return loss.detach(), torch.autograd.grad(loss, self.x)[0]

    @torch.no_grad()
    def torch_by_hand(self, block: int | None = None) -> LossAndGrad:
        """The same loss, `block` users at a time, all at once for None."""
        lengths = self.x.norm(dim=1, keepdim=True).clamp_(min=1e-12)
        unit = self.x / lengths
        u, v = unit[: self.batch], unit[self.batch :]
        grad = torch.zeros_like(unit)
        grad_u, grad_v = grad[: self.batch], grad[self.batch :]
        largest = 1 / self.tau  # of a cosine: no exponential overflows
        log_sums = []
        for begin in range(0, self.batch, block or self.batch):
            part = slice(begin, begin + (block or self.batch))
            scores = (u[part] * largest) @ v.T
            scores.sub_(largest).exp_().masked_fill_(self.left_out[part], 0)
            sums = scores.sum(1, keepdim=True)
            log_sums.append(sums.log().add_(largest))
            scores.div_(sums)
            torch.mm(scores, v, out=grad_u[part])
            grad_v.addmm_(scores.T, u[part])
        own = (u * v).sum(1).mul_(largest)
        loss = (self.exponent * torch.cat(log_sums).squeeze(1) - own).mean()
        grad_u.mul_(self.exponent).sub_(v)
        grad_v.mul_(self.exponent).sub_(u)
        grad.div_(self.tau * self.batch)
        grad.sub_((grad * unit).sum(1, keepdim=True) * unit).div_(lengths)
        return loss, grad

    def rivals(self, block: int) -> dict[str, Callable[[], LossAndGrad]]:
        """Every way, checked against ours."""
        found: dict[str, Callable[[], LossAndGrad]] = {"ltgnn fp32": self.ours}
        on_cuda = self.device == "cuda"
        if on_cuda or _library.cpu_capability() not in ("avx512_bf16", "avx512_amx"):
            print("without ltgnn bf16: allow_bf16 has no effect here")
        else:
            found["ltgnn bf16"] = lambda: self.ours(bf16=True)
        found |= {
            "torch fp32": self.torch_autograd,
            "torch bf16": lambda: self.torch_autograd(bf16=True),
            "torch fp32 by hand": self.torch_by_hand,
            "torch fp32 by hand, in blocks": lambda: self.torch_by_hand(block),
            "torch fp32 cross_entropy": self.torch_cross_entropy,
        }
        loss, grad = self.ours()
        for name, call in found.items():
            if "cross_entropy" in name:  # another loss
                continue
            got_loss, got_grad = call()
            tolerance = 2e-2 if "bf16" in name else 1e-4
            off = ((got_grad - grad).norm() / grad.norm()).item()
            assert off <= tolerance, f"{name}: the gradient differs: {off}"
            torch.testing.assert_close(got_loss.double(), loss, rtol=tolerance, atol=tolerance)
        return found


def main() -> None:
    """Time the rivals and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=2048, help="pairs")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--tau", type=float, default=0.1)
    parser.add_argument("--exponent", type=float, default=0.75)
    parser.add_argument("--hits", type=float, default=1e-3, help="share of pairs that are left out")
    parser.add_argument("--block", type=int, default=1024, help="users of a block of torch's")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    problem = Problem(args.batch, args.dim, args.hits, args.tau, args.exponent, args.device)
    times = harness.alternate(problem.rivals(args.block), runs=args.runs, device=args.device)
    product = harness.matmul_rate(args.device)
    product_bf16 = harness.matmul_rate(args.device, torch.bfloat16)
    work, base = 6 * args.batch**2 * args.dim, times["ltgnn fp32"]["median_ms"]
    print(f"{args.batch} pairs, dim {args.dim}, {args.device}, {args.threads} threads; "
          f"product {product:.0f} G/s, in bfloat16 {product_bf16:.0f} G/s")  # fmt: skip
    for name, row in times.items():
        harness.add_arithmetic(row, work, product_bf16 if "bf16" in name else product)
        row["times_ltgnn"] = row["median_ms"] / base
    harness.print_table(
        times,
        {"gflop_per_s": "G/s", "share_of_product": "of product", "times_ltgnn": "x ltgnn"},
    )
    harness.write(args.json, {
        "batch": args.batch, "dim": args.dim, "tau": args.tau, "exponent": args.exponent,
        "hits": int(problem.hits.sum()), "block": args.block, "device": args.device,
        "threads": args.threads, "product_gflop_per_s": product,
        "product_bf16_gflop_per_s": product_bf16, "times": times,
    })  # fmt: skip


if __name__ == "__main__":
    main()
