"""A training step of LTGNN with BPR: fused, as a CUDA graph, its parts one after another, and in plain torch.

    python -m benchmarks.bench_ltgnn_step --graph gowalla --threads 2 --json FILE
    python -m benchmarks.bench_ltgnn_step --graph synthetic --device cuda

`parts` sorts out the batch's distinct nodes with torch and calls `ltgnn_forward_`, `bpr_loss` and `ltgnn_update_`;
`fused` is `ltgnn_bpr_step_`, and `captured` (cuda) the same replayed from a CUDA graph. `torch` is the same step
without ltgnn's operators (`TorchStep` of torch_rivals.py): once with our neighbours, where all must agree, and
timed with neighbours drawn with replacement, which is less work; its tables in bfloat16 are rounded to the nearest,
which is less work than stochastically. Each figure is the mean over `--steps` steps on different batches, with one
wait for the device at their end; drawing the batches is not in it.

GB/s are of the bytes of kernels/ltgnn_bpr_step.h, the same for all: for each distinct row its picked neighbours
(row of delta, index, scale; with gradient memory that row, too), the rows of the tables that are read and written,
and 7 rows for the loss of each triple. `of gather` is their share of the rate at which random rows of a table of
this size can be read here, and the floor the time at that rate.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import islice

import torch
from torch import Tensor

from benchmarks import graphs, harness
from benchmarks.torch_rivals import TorchStep
from ltgnn.graph import BipartiteGraph
from ltgnn.models import LTGNN, Batch, CapturedStep, create
from ltgnn.ops import (
    LtgnnTables,
    bpr_loss,
    ltgnn_forward_,
    ltgnn_update_,
    mix_seed,
    sample_neighbors,
)
from ltgnn.training import PairSampler

DEPTHS = {
    "one_hop": {},
    "fixed_point": {"depth": "fixed_point", "gradient_memory": True, "self_loops": True, "c0": 0.2},
}


class Parts:
    """The step as three operators and what torch has to do between them."""

    def __init__(self, model: LTGNN) -> None:
        self.model = model
        self.tables = LtgnnTables(
            model.e0.data, model.adam_m, model.adam_v, model.delta, model.history_sum, model.z, model.g
        )  # fmt: skip
        self.steps = 0

    def __call__(self, batch: Batch) -> Tensor:
        model, c = self.model, self.model.config
        assert batch.negatives is not None
        offset = model.graph.num_users
        rows, positions, counts = torch.unique(
            torch.cat([batch.users, batch.items + offset, batch.negatives + offset]),
            return_inverse=True, return_counts=True,
        )  # fmt: skip
        out, h = ltgnn_forward_(
            model.graph, self.tables, rows, alpha=c.alpha, c0=c.c0, fanout=c.fanout,
            seed=mix_seed(0, self.steps), self_loops=c.self_loops,
        )  # fmt: skip
        out.requires_grad_()
        loss = bpr_loss(out, *positions.view(3, -1))
        (grad,) = torch.autograd.grad(loss, out)
        self.steps += 1
        ltgnn_update_(
            self.tables, rows, grad, h, alpha=c.alpha, c0=c.c0, step=self.steps, lr=c.lr,
            l2=counts.to(out.dtype) * (c.l2 / len(batch.users)),
        )  # fmt: skip
        return loss.detach()


def bytes_of_a_step(model: LTGNN, batch: Batch) -> int:
    """What a step on this batch has to move; see csrc/kernels/ltgnn_bpr_step.h."""
    assert batch.negatives is not None
    offset, c, graph = model.graph.num_users, model.config, model.graph
    rows = torch.cat([batch.users, batch.items + offset, batch.negatives + offset]).unique()
    drawn = int(graph.degrees[rows].clamp(max=c.fanout).sum())
    row = c.dim * model.e0.element_size()
    deep, memory = model.z is not None, model.g is not None
    table = c.dim * model.delta.element_size()  # beside e0; what passes between kernels is float32
    gathered = drawn * (table * (1 + memory) + graph.indices.element_size() + 4)
    of_e0, of_tables = 3, 1 + 4 * deep + 4 + 2 * (not deep) + memory
    passed = 1 + 2 * deep + 2 * memory
    between = c.dim * 4
    per_row = row * of_e0 + table * of_tables + between * passed
    return gathered + len(rows) * per_row + 7 * len(batch.users) * between


def rivals_of(
    graph: BipartiteGraph, batches: list[Batch], settings: dict[str, object], device: str
) -> dict[str, Callable[[], object]]:
    """Each way, on a model of its own; a call takes all batches. They must agree first."""

    def make() -> LTGNN:
        model = create("ltgnn", graph, loss="bpr", **settings)
        assert isinstance(model, LTGNN)
        return model

    size = len(batches[0].users)
    models = [make() for _ in range(4 if device == "cuda" else 3)]
    fanout = models[0].config.fanout
    with_our_draws = TorchStep(
        models[1], lambda rows, done: sample_neighbors(graph, rows, fanout=fanout, seed=mix_seed(0, done))
    )  # fmt: skip
    steps: dict[str, Callable[[Batch], Tensor]] = {
        "parts": Parts(models[0]),
        "torch": with_our_draws,
        "fused": CapturedStep(models[2], 1 << 40, seed=0),  # no batch is so large: never captured
    }
    if device == "cuda":
        steps["captured"] = CapturedStep(models[3], size, seed=0)
    losses = {name: [step(batch).item() for batch in batches[:3]] for name, step in steps.items()}
    for name, model in zip(steps, models, strict=True):
        # Rounded to the nearest, tables in bfloat16 end up elsewhere: by some steps of Adam, at most.
        near = name == "torch" and model.delta.dtype == torch.bfloat16
        loss_off, e0_off = (1e-3, 4 * model.config.lr) if near else (1e-5, 1e-4)
        torch.testing.assert_close(losses[name], losses["parts"], rtol=loss_off, atol=1e-6)
        torch.testing.assert_close(model.e0, models[0].e0, rtol=10 * loss_off, atol=e0_off)
    steps["torch"] = TorchStep(models[1])

    def all_steps(step: Callable[[Batch], Tensor]) -> Callable[[], object]:
        def run() -> None:
            for batch in batches:
                step(batch)

        return run

    return {name: all_steps(step) for name, step in steps.items()}


def main() -> None:
    """Time the rivals and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--graph", choices=["gowalla", "amazon-cds", "synthetic", "small"], default="gowalla"
    )
    parser.add_argument("--edges", type=int, default=20_000_000, help="of the synthetic graph")
    parser.add_argument("--depth", choices=list(DEPTHS), default="one_hop")
    parser.add_argument(
        "--table_dtype", choices=["float32", "mixed", "bfloat16"], default="float32"
    )
    parser.add_argument("--batch", type=int, default=2048, help="triples")
    parser.add_argument("--fanout", type=int, default=15)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20, help="in one measurement")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    graph = graphs.named(args.graph, args.edges)
    graph = graph.to(args.device)
    sampler = PairSampler(
        graph, batch_size=args.batch, negatives=True, sampling="interactions", seed=0
    )
    full = (batch for batch in sampler.epoch(1) if len(batch.users) == args.batch)
    batches = list(islice(full, args.steps))
    if not batches:
        raise SystemExit(f"no batch of {args.batch} pairs in {graph}")
    settings = {
        "dim": args.dim, "fanout": args.fanout, "table_dtype": args.table_dtype, **DEPTHS[args.depth]
    }  # fmt: skip
    times = harness.alternate(
        rivals_of(graph, batches, settings, args.device), runs=args.runs, device=args.device
    )
    model = create("ltgnn", graph, loss="bpr", **settings)
    assert isinstance(model, LTGNN)
    moved = sum(bytes_of_a_step(model, batch) for batch in batches) / len(batches)
    table_bytes = model.e0.numel() * model.e0.element_size()
    gather = harness.gather_bandwidth(table_bytes, args.dim * 4, args.device)
    floor, epoch = moved / gather / 1e3, sampler.batches_per_epoch
    print(f"{graph}, {args.depth}, {args.batch} triples, fanout {args.fanout}, dim {args.dim}, {args.device}, "
          f"{args.threads} threads; {moved / 1e6:.1f} MB a step, gather {gather:.0f} GB/s, "
          f"floor {floor:.0f} us")  # fmt: skip
    print(f"{'':<10}{'us a step':>11}{'min us':>9}{'s an epoch':>12}{'GB/s':>7}{'of gather':>10}"
          f"{'x floor':>9}{'x fused':>9}")  # fmt: skip
    base = times["fused"]["median_ms"]
    for name, row in times.items():
        row["us_a_step"] = row["median_ms"] * 1e3 / len(batches)
        row["min_us_a_step"] = row["min_ms"] * 1e3 / len(batches)
        row["seconds_an_epoch"] = row["us_a_step"] * epoch / 1e6
        harness.add_bandwidth(row, moved * len(batches), gather)
        row["times_floor"] = row["us_a_step"] / floor
        row["times_fused"] = row["median_ms"] / base
        print(f"{name:<10}{row['us_a_step']:>11.1f}{row['min_us_a_step']:>9.1f}{row['seconds_an_epoch']:>12.3f}"
              f"{row['gb_per_s']:>7.1f}{row['share_of_gather']:>10.2f}{row['times_floor']:>9.1f}"
              f"{row['times_fused']:>9.2f}")  # fmt: skip
    harness.write(args.json, {
        "graph": args.graph, "num_nodes": graph.num_nodes, "num_edges": graph.num_edges,
        "depth": args.depth, "table_dtype": args.table_dtype,
        "batch": args.batch, "steps": len(batches), "fanout": args.fanout,
        "dim": args.dim, "device": args.device, "threads": args.threads, "bytes_a_step": moved,
        "gather_gb_per_s": gather, "floor_us": floor, "times": times,
    })  # fmt: skip


if __name__ == "__main__":
    main()
