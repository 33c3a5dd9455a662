"""Adam on the rows that a batch touches, and on a whole table, against torch, on the CPU or on a GPU.

    python -m benchmarks.bench_adam --rows 20000 --threads 2 --json FILE
    python -m benchmarks.bench_adam --rows 4000000 --device cuda

`rows` is lazy: `--touched` distinct, sorted rows and their moments change. They are other rows at every call, so
that of a large table none is left in a cache. SparseAdam takes the gradient as a sparse tensor; `by hand` reads the
rows with index_select and writes them with index_copy_ (torch_rivals.py). `table` changes all rows, with a dense
gradient: what torch's dense Adam costs for a batch, too, however few rows it touches. `mixed` has the moments in
bfloat16 beside a float32 table, `bf16` all three, rounded stochastically.

GB/s are of the bytes that the task needs, by an element's type: param, m and v are read and written and the
gradient read, 28 bytes for float32, 20 for mixed, 16 for bf16; each touched row's number takes 8 more. The roof of
`rows` is the rate at which random rows of a table as large as param, m and v together can be read here (writing
comes on top of it); that of `table` is a large copy, beyond which a table in cache may be. `share` is that of the
one or the other.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, cycle
from typing import Any

import torch
from torch import Tensor

from benchmarks import harness
from benchmarks.torch_rivals import adam_rows
from ltgnn.ops import adam_

LR = 0.05  # so that a few steps are far above the rounding of bfloat16
KINDS = ("rows", "table")


@dataclass(frozen=True)
class Tables:
    """param, m and v of one rival, or of several that are only timed."""

    param: Tensor
    m: Tensor
    v: Tensor

    def element_bytes(self) -> int:
        """Moved for each element, with a gradient in float32."""
        return 2 * sum(t.element_size() for t in (self.param, self.m, self.v)) + 4


@dataclass(frozen=True)
class Rival:
    """One way to do it."""

    call: Callable[[], object]
    tables: Tables
    tolerance: float = 1e-4  # of how far param has moved


class Problem:
    """Tables and gradients of one size. Rivals of one dtype share tables: what is in them takes no time."""

    def __init__(self, rows: int, touched: int, dim: int, device: str) -> None:
        random = torch.Generator().manual_seed(0)
        self.device = device
        param = torch.randn(rows, dim, generator=random).to(device)
        zeros = torch.zeros_like
        self.fp32 = Tables(param, zeros(param), zeros(param))
        rounded = param.bfloat16()
        self.mixed = Tables(param, zeros(rounded), zeros(rounded))
        self.bf16 = Tables(rounded, zeros(rounded), zeros(rounded))
        self.grad = torch.randn(touched, dim, generator=random).to(device)
        self.dense_grad = torch.randn(rows, dim, generator=random).to(device)
        # Every row is touched once before one is touched again.
        parts = torch.randperm(rows, generator=random).split(touched)
        batches = [part.sort()[0].to(device) for part in parts if len(part) == touched]
        self.batches = cycle(
            batches
        )  # of all rivals, so that none finds the rows of the one before

    def ours(self, tables: Tables, lazy: bool) -> Callable[[], object]:
        """`adam_`."""
        steps = count(1)
        grad = self.grad if lazy else self.dense_grad

        def call() -> None:
            rows = next(self.batches) if lazy else None
            adam_(tables.param, tables.m, tables.v, grad, step=next(steps), lr=LR, rows=rows)

        return call

    def by_hand(self) -> Callable[[], object]:
        """Plain torch, on the rows alone."""
        steps, t = count(1), self.fp32
        return lambda: adam_rows(
            t.param, t.m, t.v, self.grad, next(self.batches), step=next(steps), lr=LR
        )

    def optimizer(self, make: Callable[..., Any], on_device: bool, **settings: Any) -> Any:
        """An optimiser of torch on our tables, and its parameter."""
        parameter, t = torch.nn.Parameter(self.fp32.param), self.fp32
        optimizer = make([parameter], lr=LR, **settings)
        step = torch.zeros((), device=self.device if on_device else "cpu")
        optimizer.state[parameter] = {"step": step, "exp_avg": t.m, "exp_avg_sq": t.v}
        return optimizer, parameter

    def sparse_adam(self) -> Callable[[], object]:
        """torch.optim.SparseAdam; its gradient needs no sorting."""
        optimizer, parameter = self.optimizer(torch.optim.SparseAdam, False)
        optimizer.state[parameter]["step"] = 0

        def call() -> None:
            parameter.grad = torch.sparse_coo_tensor(
                next(self.batches)[None], self.grad, parameter.shape, is_coalesced=True,
                check_invariants=False,
            )  # fmt: skip
            optimizer.step()

        return call

    def dense_adam(self, **settings: bool) -> Callable[[], object]:
        """torch.optim.Adam."""
        optimizer, parameter = self.optimizer(
            torch.optim.Adam, settings.get("fused", False), **settings
        )
        parameter.grad = self.dense_grad
        return optimizer.step

    def rivals(self) -> Iterator[tuple[str, Callable[[], Rival]]]:
        """Every way, made when it is asked for."""
        of_dtype = (
            ("fp32", self.fp32, 1e-4),
            ("mixed", self.mixed, 0.05),
            ("bf16", self.bf16, 0.1),
        )
        for kind in KINDS:
            for dtype, tables, off in of_dtype:
                yield (
                    f"{kind}, ltgnn {dtype}",
                    lambda t=tables, lazy=kind == "rows", off=off: Rival(
                        self.ours(t, lazy), t, off
                    ),
                )
        yield "rows, torch SparseAdam", lambda: Rival(self.sparse_adam(), self.fp32)
        yield "rows, torch by hand", lambda: Rival(self.by_hand(), self.fp32)
        yield "table, torch fused", lambda: Rival(self.dense_adam(fused=True), self.fp32)
        yield "table, torch foreach", lambda: Rival(self.dense_adam(foreach=True), self.fp32)


def check(dim: int, device: str) -> None:
    """Each rival, alone on a small problem, ends up where ours in float32 does."""
    wanted: dict[str, Tensor] = {}
    for name, _ in Problem(1, 1, 1, device).rivals():
        problem = Problem(1000, 100, dim, device)  # the same for each
        start = problem.fp32.param.clone()
        rival = dict(problem.rivals())[name]()
        for _ in range(25):  # each row of `rows` at least twice, with another gradient
            rival.call()
            for grad in (problem.grad, problem.dense_grad):
                grad.copy_(grad.roll(1, 0))
        moved = rival.tables.param.float() - start
        want = wanted.setdefault(name.split(",")[0], moved)
        off = ((moved - want).norm() / want.norm()).item()
        assert off <= rival.tolerance, f"{name} differs: {off}"


def main() -> None:
    """Time the rivals and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000, help="of the table")
    parser.add_argument("--touched", type=int, default=6000, help="rows of a batch")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json")
    args = parser.parse_args()
    if not 0 < args.touched <= args.rows:
        raise SystemExit(f"--touched must be from 1 to --rows {args.rows}, got {args.touched}")
    torch.set_num_threads(args.threads)
    check(args.dim, args.device)
    problem = Problem(args.rows, args.touched, args.dim, args.device)
    rivals = {name: make() for name, make in problem.rivals() if name.split(",")[0] in args.kinds}
    calls = {name: rival.call for name, rival in rivals.items()}
    times = harness.alternate(calls, runs=args.runs, device=args.device)
    row_bytes = 4 * args.dim
    gather = harness.gather_bandwidth(3 * args.rows * row_bytes, row_bytes, args.device)
    copy = harness.copy_bandwidth(args.device)
    print(f"{args.rows} rows, {args.touched} touched, dim {args.dim}, {args.device}, {args.threads} threads; "
          f"gather {gather:.0f} GB/s, copy {copy:.0f} GB/s")  # fmt: skip
    for name, row in times.items():
        kind, element = name.split(",")[0], rivals[name].tables.element_bytes()
        lazy = kind == "rows"
        moved = args.touched * (element * args.dim + 8) if lazy else args.rows * args.dim * element
        of = "gather" if lazy else "copy"
        harness.add_bandwidth(row, moved, gather if lazy else copy, of)
        row["share"] = row[f"share_of_{of}"]
        row["times_ltgnn"] = row["median_ms"] / times[f"{kind}, ltgnn fp32"]["median_ms"]
    harness.print_table(times, {"gb_per_s": "GB/s", "share": "share", "times_ltgnn": "x ltgnn"})
    harness.write(args.json, {
        "rows": args.rows, "touched": args.touched, "dim": args.dim, "device": args.device,
        "threads": args.threads, "gather_gb_per_s": gather, "copy_gb_per_s": copy, "times": times,
    })  # fmt: skip


if __name__ == "__main__":
    main()
