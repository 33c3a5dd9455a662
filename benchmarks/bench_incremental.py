"""incremental_update: milliseconds for one edge against solving from scratch.

    python -m benchmarks.bench_incremental --graph gowalla --tol 1e-4 --alpha 0.45 --json FILE

Random embeddings N(0, 0.1). Every edge is one `insert` (or `delete`) into a DynamicGraph and one
`incremental_update`, both timed. The full solve is the fastest there is here: exact sweeps with `propagate(out=)`,
no test in between, as many as bring the residual to tol, from the better of two starts; it takes turns with the
updates. `warm` is `solve_fixed_point` from the solution before the edge came. Groups of edges:

    random   both ends uniform
    test     edges of the data set's test split, which are drawn to where edges are
    hubs     each at one of the 50 nodes with the most edges, the other end uniform
    delete   edges that are there, uniform

Wall-clock times of a shared machine hold its interruptions; `cpu` is processor time, all threads, without them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import graphs, harness
from ltgnn.graph import BipartiteGraph, DynamicGraph
from ltgnn.ops import (
    incremental_update,
    propagate,
    push_residual_,
    solve_fixed_point,
    z_to_y,
)

HUBS = 50
PERCENTILES = {"median": 50, "p90": 90, "p99": 99, "max": 100}
Pairs = list[tuple[int, int]]


class Clock:
    """Wall-clock and processor milliseconds of a call, device work included."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"

    def __call__(self, call: Callable[[], Any]) -> tuple[float, float, Any]:
        self._wait()
        start, cpu = time.perf_counter(), time.process_time()
        result = call()
        self._wait()
        return (time.perf_counter() - start) * 1e3, (time.process_time() - cpu) * 1e3, result

    def _wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()


class FullSolve:
    """Exact sweeps from e0 or alpha e0 to the residual tol, as few as that takes."""

    def __init__(self, fixed: BipartiteGraph, e0: Tensor, alpha: float, tol: float) -> None:
        self.fixed, self.e0, self.alpha = fixed, e0, alpha
        self.buffers = torch.empty_like(e0), torch.empty_like(e0)
        self.starts = {"e0": e0, "alpha e0": alpha * e0}
        counts = {name: self._count(start, tol) for name, start in self.starts.items()}
        self.start = min(counts, key=lambda name: counts[name])
        self.sweeps = counts[self.start]

    def _count(self, start: Tensor, tol: float) -> int:
        residual = torch.empty_like(self.e0)
        for count in range(1, 500):
            y = z_to_y(self.fixed, self._run(start, count))
            push_residual_(self.fixed, self.e0, y, residual, alpha=self.alpha)
            if residual.abs().max() <= tol:
                return count
        raise SystemExit("the sweeps do not reach tol")

    def _run(self, z: Tensor, count: int) -> Tensor:
        for k in range(count):
            out = self.buffers[k % 2]
            z = propagate(self.fixed, z, x0=self.e0, alpha=self.alpha, out=out)
        return z

    def __call__(self) -> Tensor:
        return self._run(self.starts[self.start], self.sweeps)


def draw_edges(
    graph: DynamicGraph, test: Pairs, count: int, rng: np.random.Generator
) -> dict[str, Pairs]:
    """Edges of each group: new ones, but for those to delete."""
    taken: set[tuple[int, int]] = set()

    def fresh(draw: Callable[[], tuple[int, int]], wanted: int) -> Pairs:
        found: Pairs = []
        for _ in range(100 * wanted):
            pair = draw()
            if len(found) < wanted and pair not in taken and not graph.has_edge(*pair):
                found.append(pair)
                taken.add(pair)
        return found

    def node(size: int) -> int:
        return int(rng.integers(size))

    users, items = graph.num_users, graph.num_items
    hubs = iter(graph.degrees.argsort(descending=True)[:HUBS].tolist() * 100)

    def at_hub() -> tuple[int, int]:
        hub = next(hubs)
        return (hub, node(items)) if hub < users else (node(users), hub - users)

    groups = {"random": fresh(lambda: (node(users), node(items)), count)}
    groups["test"] = fresh(lambda: test[node(len(test))], count) if test else []
    groups["hubs"] = fresh(at_hub, HUBS)
    present = graph.to_scipy().tocoo()
    chosen = rng.permutation(present.nnz)[:count].tolist()
    groups["delete"] = [(int(present.row[k]), int(present.col[k])) for k in chosen]
    return {name: pairs for name, pairs in groups.items() if pairs}


def spread(values: list[float]) -> dict[str, float]:
    """Percentiles."""
    return {name: float(np.percentile(values, p)) for name, p in PERCENTILES.items()}


def summary(rows: list[dict[str, float]], full: dict[str, float]) -> dict[str, Any]:
    """Of one group: spreads, and how many times the full solve takes as long."""
    result: dict[str, Any] = {"edges": len(rows)}
    for key in rows[0]:
        result[key] = spread([row[key] for row in rows])
    for key in ("wall_ms", "cpu_ms"):
        result[f"full_over_{key}"] = {p: full[key] / result[key][p] for p in PERCENTILES}
    return result


def main() -> None:
    """Update edge by edge, solve in between, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--graph", default="gowalla", help="a folder under LTGNN_DATA, or synthetic"
    )
    parser.add_argument("--edges", type=int, default=1000, help="of each group but hubs")
    parser.add_argument("--alpha", type=float, default=0.45)
    parser.add_argument("--tol", type=float, default=1e-4)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    rng = np.random.default_rng(0)
    test: Pairs = []
    if args.graph == "synthetic":
        fixed = graphs.zipf(1_000_000)
    else:
        data = graphs.real(args.graph)
        fixed = graphs.graph_of(data)
        if data.test is not None:
            test = list(zip(data.test.users.tolist(), data.test.items.tolist(), strict=True))
    graph = DynamicGraph.from_bipartite(fixed)
    noise = torch.Generator().manual_seed(0)
    e0 = (0.1 * torch.randn(fixed.num_nodes, args.dim, generator=noise)).to(device)
    settings = {"alpha": args.alpha, "tol": args.tol}
    full = FullSolve(fixed.to(device), e0, **settings)
    y, residual = solve_fixed_point(graph, e0, **settings)
    clock = Clock(device)
    solves = [clock(full) for _ in range(3)][1:]

    def update(change: Callable[..., Tensor], user: int, item: int) -> dict[str, float]:
        graph_ms, graph_cpu, rows = clock(lambda: change([user], [item]))
        push_ms, push_cpu, done = clock(
            lambda: incremental_update(graph, e0, y, residual, rows.to(device), **settings)
        )
        assert done.converged
        return {
            "wall_ms": graph_ms + push_ms, "cpu_ms": graph_cpu + push_cpu, "graph_ms": graph_ms,
            "rounds": done.rounds, "pushes": done.pushes, "touched_rows": len(done.rows),
        }  # fmt: skip

    groups = draw_edges(graph, test, args.edges, rng)
    measured: dict[str, list[dict[str, float]]] = {}
    warm: list[tuple[float, float, Any]] = []
    for name, pairs in groups.items():
        change = graph.delete if name == "delete" else graph.insert
        measured[name] = []
        for k, (user, item) in enumerate(pairs):
            if k % 100 == 0:
                solves.append(clock(full))
                time.sleep(0.05)  # the threads of that solve still spin for a while
            before = y.clone() if name == "random" and k % 200 == min(1, len(pairs) - 1) else None
            measured[name].append(update(change, user, item))
            if before is not None:
                warm.append(clock(partial(solve_fixed_point, graph, e0, **settings, start=before)))
                time.sleep(0.05)
    middle = {
        "wall_ms": statistics.median(wall for wall, _, _ in solves),
        "cpu_ms": statistics.median(cpu for _, cpu, _ in solves),
    }
    results = {name: summary(rows, middle) for name, rows in measured.items()}
    # What all these updates have led to, against the solution in float64.
    exact = push_residual_(graph, e0, y, torch.empty_like(y), alpha=args.alpha).abs().max().item()
    want, _ = solve_fixed_point(graph, e0.double(), alpha=args.alpha, tol=1e-9, start=y.double())
    error = (y.double() - want).abs().max().item()
    report = {
        "graph": args.graph, "num_nodes": fixed.num_nodes, "num_edges": fixed.num_edges,
        "largest_degree": int(fixed.degrees.max()), "dim": args.dim, "threads": args.threads,
        "device": args.device, **settings,
        "full_solve": {**middle, "sweeps": full.sweeps, "start": full.start, "runs": len(solves),
                       "min_ms": min(wall for wall, _, _ in solves)},
        "warm_solve": {"wall_ms": statistics.median(wall for wall, _, _ in warm),
                       "cpu_ms": statistics.median(cpu for _, cpu, _ in warm)},
        "updates": results,
        "afterwards": {"largest_residual": exact, "error": error, "bound": args.tol / args.alpha},
    }  # fmt: skip
    show(report)
    harness.write(args.json, report)


def show(report: dict[str, Any]) -> None:
    """Print the report as a table."""
    full, after = report["full_solve"], report["afterwards"]
    print(f"{report['graph']}: {report['num_nodes']} nodes, {report['num_edges']} edges, dim {report['dim']}, "
          f"alpha {report['alpha']}, tol {report['tol']}, {report['device']}")  # fmt: skip
    print(f"full solve: {full['sweeps']} sweeps, wall {full['wall_ms']:.1f} ms (least {full['min_ms']:.1f}), "
          f"cpu {full['cpu_ms']:.1f} ms; warm solve: wall {report['warm_solve']['wall_ms']:.1f} ms")  # fmt: skip
    print(f"{'':<8}{'edges':>6}{'':>14}" + "".join(f"{name:>11}" for name in PERCENTILES))
    for name, row in report["updates"].items():
        for key in (
            "wall_ms",
            "cpu_ms",
            "graph_ms",
            "full_over_wall_ms",
            "full_over_cpu_ms",
            "pushes",
            "touched_rows",
        ):
            head = f"{name:<8}{row['edges']:>6}" if key == "wall_ms" else " " * 14
            digits = 3 if key.endswith("_ms") and "over" not in key else 0
            print(f"{head} {key:<18}" + "".join(f"{row[key][p]:>11.{digits}f}" for p in PERCENTILES))  # fmt: skip
    print(f"afterwards: largest residual {after['largest_residual']:.2e}, largest error {after['error']:.2e}, "
          f"bound {after['bound']:.2e}")  # fmt: skip


if __name__ == "__main__":
    main()
