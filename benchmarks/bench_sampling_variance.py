"""Ways of drawing neighbours at equal budgets: error of LTGNN's sampled aggregate, and time of a step.

    python -m benchmarks.bench_sampling_variance --data gowalla --json FILE.json
    python -m benchmarks.bench_sampling_variance --json FILE.json --plot FILE.svg

A model is trained with uniform draws, its memory made exact every `--period` steps, and stopped half way between
two refreshes. Its tables, and how far nodes had moved at each refresh (all that a sampler knows), are then handed
to each way of drawing. The error is that of the aggregate A Z (or A E0) of the rows of real batches, relative to
its length, root mean square over rows, columns and seeds. `drawn` is how many neighbours a row of these batches
drew in the mean: rows with fewer than their fanout draw all they have. `now` is importance as it would be if the
sampler knew how far every node has moved by now: a bound. A step's time is the median of `--runs`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks import graphs, harness
from ltgnn.graph import BipartiteGraph
from ltgnn.models import LTGNN, Batch, create
from ltgnn.models.neighbor_sampling import NEIGHBOR_SAMPLING, NeighborSampling
from ltgnn.ops import importance_starts, ltgnn_forward_, propagate
from ltgnn.training.samplers import PairSampler

BUDGETS = (2, 4, 8, 15)
KINDS = (*NEIGHBOR_SAMPLING, "now")
SEEDS = 5
BATCHES = 8


class Trained:
    """A partly trained model in the middle of a period, and what a sampler may know of it."""

    def __init__(self, graph: BipartiteGraph, depth: str, args: argparse.Namespace) -> None:
        settings = {"dim": args.dim, "refresh_every": args.period, "refresh_residual": 0.0}
        self.model = create("ltgnn", graph, depth=depth, **{**settings, **dict(args.settings)})
        assert isinstance(self.model, LTGNN)
        self.sampler = PairSampler(
            graph, batch_size=args.batch, negatives=self.model.needs_negatives,
            sampling="interactions", seed=0,
        )  # fmt: skip
        self.movements: list[Tensor] = []  # [num_nodes, 1] at each refresh
        steps = args.periods * args.period + args.period // 2
        for step in range(steps):
            if step and step % args.period == 0:  # the refresh of this step makes it zero
                self.movements.append(self.model.delta.norm(dim=1, keepdim=True))
            self.model.training_step(self.batch(step))
        self.later = [self.batch(steps + k) for k in range(BATCHES)]

    def batch(self, step: int) -> Batch:
        """The step's batch, epoch after epoch."""
        epoch, place = divmod(step, self.sampler.batches_per_epoch)
        return self.sampler.batch(1 + epoch, place)

    def sampling(self, kind: str, budget: int) -> NeighborSampling:
        """A way of drawing, from the movement up to the last refresh."""
        graph, model = self.model.graph, self.model
        name = "importance" if kind == "now" else kind
        sampling = NeighborSampling(
            graph, replace(model.config, neighbor_sampling=name, fanout=budget)
        )  # fmt: skip
        for moved in self.movements:
            sampling.renew(graph, moved, None)
        if kind == "now":
            assert sampling.edge_starts is not None
            length = model.delta.norm(dim=1) * graph.scale()
            sampling.edge_starts.copy_(importance_starts(graph, length))
        return sampling

    def error(self, sampling: NeighborSampling) -> dict[str, float]:
        """Relative error of the sampled aggregate, and how many neighbours a row drew."""
        model = self.model
        source = model.e0.detach() if model.z is None else model.z
        exact = propagate(model.graph, source)
        wrong = length = drawn = rows_seen = 0.0
        own, degrees = sampling.arguments["row_fanout"], model.graph.degrees
        for batch in self.later:
            rows = torch.unique(
                torch.cat([batch.users, batch.items + model.graph.num_users])
            )  # fmt: skip
            fanout = own[rows].long() if own is not None else sampling.arguments["fanout"]
            drawn += float(degrees[rows].clamp(max=fanout).sum())
            rows_seen += len(rows)
            for seed in range(SEEDS):
                got = self.aggregate(rows, sampling, seed)
                wrong += float((got - exact[rows]).double().square().sum())
                length += float(exact[rows].double().square().sum())
        return {"error": (wrong / length) ** 0.5, "drawn": drawn / rows_seen}

    def aggregate(self, rows: Tensor, sampling: NeighborSampling, seed: int) -> Tensor:
        """What a step of these rows sums up; nothing is stored."""
        tables = replace(self.model._tables(), z=None)  # noqa: SLF001
        return ltgnn_forward_(
            self.model.graph, tables, rows, alpha=0.0, seed=seed, **sampling.arguments
        )[0]  # fmt: skip

    def stepper(self, sampling: NeighborSampling) -> Callable[[], object]:
        """A whole training step of a copy of the model that draws so."""
        model = create(
            "ltgnn", self.model.graph, **vars(replace(self.model.config, refresh_every=0))
        )  # fmt: skip
        model.load_state_dict(self.model.state_dict())
        model.sampling = sampling
        count = [0]

        def step() -> object:
            count[0] += 1
            return model.training_step(self.later[count[0] % BATCHES])

        return step


def measure(trained: Trained, budgets: tuple[int, ...], runs: int) -> dict[str, Any]:
    """Errors and times of every way at every budget."""
    result: dict[str, Any] = {kind: {} for kind in KINDS}
    for budget in budgets:
        ways = {kind: trained.sampling(kind, budget) for kind in KINDS}
        times = harness.alternate(
            {kind: trained.stepper(way) for kind, way in ways.items()}, runs=runs
        )
        for kind, way in ways.items():
            row = trained.error(way)
            row["step_ms"] = times[kind]["median_ms"]
            result[kind][str(budget)] = row
            print(f"  budget {budget:>2} {kind:<20} error {row['error']:.2e}  drawn {row['drawn']:5.2f}"
                  f"  step {row['step_ms']:6.2f} ms", flush=True)  # fmt: skip
    ways = {kind: trained.sampling(kind, budgets[0]) for kind in NEIGHBOR_SAMPLING}
    graph = trained.model.graph

    def renewal(way: NeighborSampling) -> Callable[[], None]:
        def renew() -> None:
            if way.renewals is not None:
                way.renewals.zero_()  # of all that there is
            way.renew(graph, trained.model.delta, None)

        return renew

    renewals = {kind: renewal(way) for kind, way in ways.items()}
    for kind, times in harness.alternate(renewals, runs=runs).items():
        result[kind]["renew_ms"] = times["median_ms"]
        print(f"  {kind:<20} renewed in {times['median_ms']:.1f} ms")
    return result


def plot(result: dict[str, Any], path: str) -> None:
    """One panel for each depth: error against neighbours drawn."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "ltgnn"
    figure = Figure(figsize=(4.0 * len(result), 3.4), layout="constrained")
    panels = figure.subplots(1, len(result), squeeze=False)[0]
    for panel, (depth, ways) in zip(panels, result.items(), strict=True):
        for kind, rows in ways.items():
            points = [row for row in rows.values() if isinstance(row, dict)]
            panel.plot(
                [row["drawn"] for row in points], [row["error"] for row in points], marker="o",
                label=kind.replace("_", " and "),
            )  # fmt: skip
        panel.set(title=depth.replace("_", " "), xlabel="neighbours drawn a row", yscale="log")
        panel.grid(alpha=0.3, which="both", linewidth=0.5)
        panel.legend(frameon=False, fontsize=8)
        panel.set_ylabel("relative error of the aggregate")
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)


def main() -> None:
    """Run, print, write; or draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="small", help="a folder under LTGNN_DATA, or small")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--period", type=int, default=50, help="steps between refreshes")
    parser.add_argument("--periods", type=int, default=12, help="periods of training before")
    parser.add_argument("--depths", nargs="*", default=["one_hop", "fixed_point"])
    parser.add_argument("--budgets", type=int, nargs="*", default=BUDGETS)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    parser.add_argument("--plot", help="draw the JSON's rows into this file, and do nothing else")
    parser.add_argument("settings", nargs="*", type=graphs.parse_setting)
    args = parser.parse_args()
    if args.plot and not args.json:
        parser.error("--plot draws what --json names")
    if args.plot:
        with open(args.json) as file:
            plot(json.load(file)["result"], args.plot)
        return
    torch.set_num_threads(args.threads)
    graph = graphs.named(args.data, 0)
    result = {}
    for depth in args.depths:
        trained = Trained(graph, depth, args)
        print(f"{graph}, {depth}, {int(trained.model.step)} steps")
        result[depth] = measure(trained, tuple(args.budgets), args.runs)
    harness.write(args.json, {
        "data": args.data, "dim": args.dim, "batch": args.batch, "period": args.period,
        "steps": args.periods * args.period + args.period // 2, "threads": args.threads, "result": result,
    })  # fmt: skip


if __name__ == "__main__":
    main()
