"""Training time and peak memory against the number of interactions, each size in a process of its own.

    python -m benchmarks.bench_scaling --edges 1e6,3e6,1e7,2e7,3e7,1e8 --models ltgnn,mf,lightgcn --folder SCRATCH \
        --json benchmarks/results/scaling.json
    python -m benchmarks.bench_scaling --plot benchmarks/results/scaling.svg --json benchmarks/results/scaling.json

Graphs are power laws on both sides, with 20 interactions a user and 100 an item on average, in block stores that
are made once and kept in the folder. LTGNN (its defaults with BPR) and MF train whole epochs; LightGCN a few steps,
of which an epoch would have so many: its rows say `"whole": false`. `torch_lightgcn` is LightGCN with autograd in
plain torch, whose peak memory LTGNN's is held against. `ltgnn_rows` reads the rows that LTGNN reads and computes
nothing: its exponent is that of the memory. Runs are added to the JSON that is there, a newer one of the
same model and size replacing the older, so that the largest can be run by themselves.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import harness
from ltgnn.training.samplers import auto_batch_size

COLOURS = {"ltgnn": "#1f6feb", "mf": "#2da44e", "lightgcn": "#bc4c00", "ltgnn_rows": "#8250df"}
LABELS = {
    "ltgnn": "LTGNN",
    "ltgnn_rows": "LTGNN's rows, only read (from 40 steps)",
    "mf": "MF",
    "lightgcn": "LightGCN, exact (from a few steps)",
}


def run_child(wanted: dict[str, Any]) -> dict[str, Any]:
    """One run in a new process; its progress goes to the terminal."""
    load = os.getloadavg()[0]
    command = [sys.executable, "-m", "benchmarks.scaling_child", json.dumps(wanted)]
    child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(child.stdout)
    del result["store"]
    result["load_before"] = load
    result["seconds_per_epoch"] = statistics.median(result["seconds"])
    result["interactions_per_second"] = result["interactions"] / result["seconds_per_epoch"]
    return result


def exponent(rows: list[dict[str, Any]]) -> float | None:
    """Slope of log(seconds) against log(interactions), by least squares; None for fewer than three sizes."""
    if len(rows) < 3:
        return None
    x = [math.log(row["interactions"]) for row in rows]
    y = [math.log(row["seconds_per_epoch"]) for row in rows]
    return statistics.linear_regression(x, y).slope


def merge(path: str | None, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the file that these do not replace, and these; by model and size."""
    kept: dict[tuple[Any, ...], dict[str, Any]] = {}
    old = json.loads(Path(path).read_text())["rows"] if path and Path(path).exists() else []
    for row in [*old, *rows]:
        kept[row["model"], row["interactions"], row["threads"], row["tables"]] = row
    return sorted(kept.values(), key=lambda row: (row["model"], row["interactions"]))


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Exponents over all sizes and over those that no cache holds, and peaks against LightGCN with autograd."""
    in_memory = [row for row in rows if row["tables"] == "memory"]
    models = sorted({row["model"] for row in in_memory if row["model"] != "torch_lightgcn"})

    def exponents(least: int) -> dict[str, float | None]:
        return {
            model: exponent(
                [row for row in in_memory if row["model"] == model and row["interactions"] >= least]
            )
            for model in models
        }

    peaks = {(row["model"], row["interactions"]): row["peak_above_import_mb"] for row in in_memory}
    mapped = {
        row["interactions"]: row["anonymous_above_import_mb"]
        for row in rows
        if row["model"] == "ltgnn" and row["tables"] == "mmap"
    }
    rivals = {size: peak for (model, size), peak in peaks.items() if model == "torch_lightgcn"}
    return {
        "exponents": exponents(0),
        "exponents_from_3_million": exponents(3_000_000),
        "peak_against_torch_lightgcn": {
            str(size): peaks["ltgnn", size] / peak
            for size, peak in rivals.items()
            if ("ltgnn", size) in peaks
        },
        "own_memory_with_mapped_tables_against_torch_lightgcn": {
            str(size): mapped[size] / peak for size, peak in rivals.items() if size in mapped
        },
    }


def show(row: dict[str, Any]) -> None:
    """One line a run."""
    refresh = sum(row.get("refresh_seconds", [])) / max(sum(row["seconds"]), 1e-9)
    estimated = f" (estimate {row['estimate_mb']:,.0f})" if "estimate_mb" in row else ""
    print(
        f"{row['model']:<15}{row['interactions']:>12,} pairs  {row['seconds_per_epoch']:>9.2f} s/epoch"
        f"{'' if row['whole'] else '*'}  {row['interactions_per_second'] / 1e3:>8,.0f} k pairs/s  "
        f"refresh {100 * refresh:4.1f} %  batch {row['batch_size']:>6}  peak {row['peak_mb']:>8,.0f} MB, above "
        f"import {row['peak_above_import_mb']:,.0f}{estimated}, load {row['load_before']:.1f}",
        flush=True,
    )


def plot(rows: list[dict[str, Any]], exponents: dict[str, float | None], path: str) -> None:
    """Seconds an epoch against interactions, both logarithmic."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "ltgnn"
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for model, label in LABELS.items():
        mine = [row for row in rows if row["model"] == model and row["tables"] == "memory"]
        if not mine:
            continue
        slope = exponents.get(model)
        note = "" if slope is None else f", exponent {slope:.2f}"
        axes.plot(
            [row["interactions"] for row in mine], [row["seconds_per_epoch"] for row in mine],
            marker="o", color=COLOURS[model], label=label + note,
            linestyle="-" if all(row["whole"] for row in mine) else ":",
        )  # fmt: skip
    axes.set(
        xscale="log", yscale="log", xlabel="interactions", ylabel="seconds an epoch, 2 CPU cores"
    )
    axes.grid(alpha=0.3, which="both", linewidth=0.5)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)


def main() -> None:
    """Run, print, write; or draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--edges", default="1e6,3e6,1e7", help="sizes, with commas")
    parser.add_argument(
        "--models", default="ltgnn", help="of ltgnn, mf, lightgcn, torch_lightgcn, ltgnn_rows"
    )
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3, help="of LightGCN")
    parser.add_argument(
        "--fraction", type=float, default=1.0, help="of an epoch; below 1 it is no whole one"
    )
    parser.add_argument("--batch_size", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tables", choices=["memory", "mmap"], default="memory")
    parser.add_argument(
        "--folder", type=Path, default=Path("build/scaling"), help="of the block stores"
    )
    parser.add_argument("--json")
    parser.add_argument("--plot", help="draw the JSON's rows into this file, and do nothing else")
    options = parser.parse_args()
    if options.plot and not options.json:
        parser.error("--plot draws what --json names")
    if options.plot:
        stored = json.loads(Path(options.json).read_text())
        plot(stored["rows"], stored["exponents"], options.plot)
        return
    rows = []
    for size in (int(float(word)) for word in options.edges.split(",")):
        store = make_store(size, options.folder)
        for model in options.models.split(","):
            batch, steps = options.batch_size, options.steps
            if model in ("ltgnn", "mf"):
                each = batch or auto_batch_size(size, quadratic=False)
                steps = 0 if options.fraction >= 1 else max(1, int(options.fraction * size / each))
            elif model == "ltgnn_rows":
                steps = 40
            else:
                batch = batch or 2048
            row = run_child({
                "store": str(store), "model": model, "dim": options.dim, "epochs": options.epochs,
                "steps": steps, "batch_size": batch, "threads": options.threads, "tables": options.tables,
            })  # fmt: skip
            show(row)
            rows.append(row)
    rows = merge(options.json, rows)
    found = summary(rows)
    print(json.dumps(found, indent=2))
    harness.write(options.json, {"benchmark": "scaling", **found, "rows": rows})


def make_store(size: int, folder: Path) -> Path:
    """The store of this size, made in another process where it is not there: its memory is not ours."""
    code = "import sys, pathlib; from benchmarks import graphs; "
    code += "graphs.power_law_store(int(sys.argv[1]), pathlib.Path(sys.argv[2]))"
    subprocess.run([sys.executable, "-c", code, str(size), str(folder)], check=True)
    return folder / f"power-law-{size}.store"


if __name__ == "__main__":
    main()
