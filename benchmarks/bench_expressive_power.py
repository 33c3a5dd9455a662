"""How near the linear-time scheme comes to what it stands for: stored fixed point, stored gradient, sampled sums.

    python -m benchmarks.bench_expressive_power --graph gowalla --json FILE.json
    python -m benchmarks.bench_expressive_power --json FILE.json --plot FILE.svg

Embeddings E0 and gradients dL/dZ are random and stay as they are, so that what is approached stands still:

1. forward: batches of random pairs update their rows of the stored Z by one sampled step each; the error against
   the solution of `Z = (1 - alpha) A Z + alpha E0`, after so many epochs' worth of batches. History is made exact
   once an epoch.
2. backward: the same for the stored gradient G against the solution of `G = (1 - alpha) A G + alpha dL/dZ`, which
   is what autograd through a converged solve gives (tests/models/test_expressive_power.py). It has no history.
3. one step: the error of a sampled sum over neighbours against the exact one, with the history (of which Z has
   drifted by a tenth of its length) and without.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch
from torch import Tensor

from benchmarks import graphs, harness
from ltgnn.graph import BipartiteGraph
from ltgnn.ops import LtgnnTables, ltgnn_forward_, ltgnn_update_, propagate, sample_aggregate

FANOUTS = (1, 4, 15)
EPOCHS = (0, 0.25, 0.5, 1, 2, 3, 4, 6, 8, 12)


def solution(graph: BipartiteGraph, source: Tensor, alpha: float) -> Tensor:
    """Z = (1 - alpha) A Z + alpha source, to float32's last digits."""
    z = source
    for _ in range(200):
        z, before = propagate(graph, z, x0=source, alpha=alpha), z
        if (z - before).norm() <= 1e-7 * z.norm():
            break
    return z


def relative_error(got: Tensor, expected: Tensor) -> float:
    """|got - expected| / |expected|, Frobenius."""
    return float((got - expected).norm() / expected.norm())


def stored_errors(
    graph: BipartiteGraph,
    e0: Tensor,
    slope: Tensor,
    *,
    alpha: float,
    fanout: int,
    batch: int,
    seed: int,
) -> dict[str, list[float]]:
    """Errors of the stored Z and G at each of EPOCHS."""
    z_exact, g_exact = solution(graph, e0, alpha), solution(graph, slope, alpha)
    zeros = [torch.zeros_like(e0) for _ in range(5)]
    tables = LtgnnTables(
        e0.clone(), zeros[0], zeros[1], zeros[2], zeros[3], z=e0.clone(), g=zeros[4]
    )
    assert tables.z is not None and tables.g is not None
    random = torch.Generator().manual_seed(seed)
    reached = graph.indptr.diff() > 0  # a node without edges is in no batch
    sources = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.indptr.diff())
    a_step = -(-graph.num_edges // batch)
    errors: dict[str, list[float]] = {"forward": [], "backward": []}
    for step in range(round(EPOCHS[-1] * a_step) + 1):
        if step in {round(epoch * a_step) for epoch in EPOCHS}:
            errors["forward"].append(relative_error(tables.z[reached], z_exact[reached]))
            errors["backward"].append(relative_error(tables.g[reached], g_exact[reached]))
        if step % a_step == 0:
            propagate(graph, tables.z, out=tables.history_sum)
            tables.delta.zero_()
        picked = torch.randint(len(sources), (batch,), generator=random)
        rows = torch.unique(torch.cat([sources[picked], graph.indices[picked].long()]))
        _, h = ltgnn_forward_(graph, tables, rows, alpha=alpha, fanout=fanout, seed=seed + step)
        ltgnn_update_(tables, rows, slope[rows], h, alpha=alpha, step=step + 1, lr=0.0)
    return errors


def one_step_errors(
    graph: BipartiteGraph, z: Tensor, *, fanout: int, drift: float, seed: int
) -> dict[str, float]:
    """Error of one sampled sum over all rows, with the history and without."""
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(z.shape, generator=random)
    delta = drift * noise * z.norm() / noise.norm()
    history, exact = z - delta, propagate(graph, z)
    rows = torch.arange(graph.num_nodes)
    plain = sample_aggregate(graph, rows, z, fanout=fanout, seed=seed)
    reduced = sample_aggregate(
        graph, rows, z, fanout=fanout, seed=seed, history=history, history_sum=propagate(graph, history)
    )  # fmt: skip
    return {"history": relative_error(reduced, exact), "none": relative_error(plain, exact)}


def plot(result: dict[str, Any], path: str) -> None:
    """Three panels: forward, backward, one step."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "ltgnn"
    figure = Figure(figsize=(9.6, 3.4), layout="constrained")
    panels = figure.subplots(1, 3)
    for panel, name in zip(panels, ("forward", "backward"), strict=False):
        for fanout, errors in result["stored"].items():
            panel.plot(result["epochs"], errors[name], marker="o", label=f"fanout {fanout}")
        panel.set(
            title=f"stored {'Z' if name == 'forward' else 'G'}", xlabel="epochs", yscale="log"
        )
    for kind, label in (("history", "with history, drift .1"), ("none", "without")):
        values = [errors[kind] for errors in result["one_step"].values()]
        panels[2].plot([int(f) for f in result["one_step"]], values, marker="o", label=label)
    panels[2].set(title="one sampled sum", xlabel="fanout", yscale="log")
    panels[0].set_ylabel("relative error")
    for panel in panels:
        panel.grid(alpha=0.3, which="both", linewidth=0.5)
        panel.legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)


def main() -> None:
    """Run, print, write; or draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--graph", choices=["gowalla", "amazon-cds", "synthetic", "small"], default="synthetic"
    )
    parser.add_argument("--edges", type=int, default=200_000, help="of the synthetic graph")
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--alpha", type=float, default=0.45)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    parser.add_argument("--plot", help="draw the JSON's rows into this file, and do nothing else")
    args = parser.parse_args()
    if args.plot:
        with open(args.json) as file:
            plot(json.load(file)["result"], args.plot)
        return
    torch.set_num_threads(args.threads)
    graph = graphs.named(args.graph, args.edges)
    random = torch.Generator().manual_seed(0)
    e0, slope = (torch.randn(graph.num_nodes, args.dim, generator=random) for _ in range(2))
    z = solution(graph, e0, args.alpha)
    result: dict[str, Any] = {"epochs": EPOCHS, "stored": {}, "one_step": {}}
    print(f"{graph}, dim {args.dim}, alpha {args.alpha}; epochs {EPOCHS}")
    for fanout in FANOUTS:
        errors = stored_errors(
            graph, e0, slope, alpha=args.alpha, fanout=fanout, batch=args.batch, seed=1
        )
        step = one_step_errors(graph, z, fanout=fanout, drift=0.1, seed=2)
        result["stored"][str(fanout)], result["one_step"][str(fanout)] = errors, step
        for name, values in errors.items():
            print(f"fanout {fanout:>2} {name:<9}" + " ".join(f"{value:.2e}" for value in values))
        print(
            f"fanout {fanout:>2} one step {step['history']:.2e} with history, {step['none']:.2e} without",
            flush=True,
        )
    harness.write(
        args.json, {"graph": args.graph, "dim": args.dim, "alpha": args.alpha, "result": result}
    )


if __name__ == "__main__":
    main()
