"""An ablation's figures as pictures: accuracy against training time, and against memory."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

from ltgnn.studies.tables import SHORT, title

FORMATS = ("svg", "png", "pdf")


def load_matplotlib() -> tuple[ModuleType, ModuleType]:
    """matplotlib and matplotlib.figure.

    Raises:
        ImportError: it is not installed; names the command that installs it.
    """
    try:
        return importlib.import_module("matplotlib"), importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise ImportError(
            f'--plot needs matplotlib, which cannot be loaded: pip install "ltgnn[plot]"; {error}'
        ) from error


def plot(table: dict[str, Any], folder: Path, kind: str) -> list[Path]:
    """Draw both pictures of a table.

    Args:
        table: what `studies.figures.table` gives.
        folder: where `accuracy-time.KIND` and `accuracy-memory.KIND` are put.
        kind: 'svg', 'png' or 'pdf'.

    Returns:
        The files.
    """
    matplotlib, figures = load_matplotlib()
    metric = table["metrics"][0]
    protocol = next(iter(table["protocols"]), "")
    rows = [
        (row["name"], row["protocols"][protocol])
        for row in table["rows"]
        if row["protocols"].get(protocol, {}).get("runs")
    ]
    paths = []
    with matplotlib.rc_context({"svg.hashsalt": "ltgnn"}):
        for name, draw in (("time", _against_time), ("memory", _against_memory)):
            figure = figures.Figure(figsize=(6.5, 4.5), layout="constrained")
            axes = figure.subplots()
            draw(axes, rows, metric)
            axes.set(title=f"{table['dataset']}, {SHORT.get(protocol, protocol)}")
            axes.grid(alpha=0.3)
            if rows:
                axes.legend(fontsize="small")
            path = folder / f"accuracy-{name}.{kind}"
            # Without the date the same figures are the same file.
            figure.savefig(path, metadata={} if kind == "png" else {
                "Date" if kind == "svg" else "CreationDate": None
            })  # fmt: skip
            paths.append(path)
    return paths


def _against_time(axes: Any, rows: list[tuple[str, dict[str, Any]]], metric: str) -> None:
    """A line for each cell, mean over the seeds, with the range of the seeds as a band."""
    for name, found in rows:
        points = found["curve"]
        seconds = [point["seconds"] for point in points]
        (line,) = axes.plot(seconds, [point["mean"] for point in points], marker=".", label=name)
        axes.fill_between(
            seconds, [point["low"] for point in points], [point["high"] for point in points],
            color=line.get_color(), alpha=0.2, linewidth=0,
        )  # fmt: skip
    axes.set(xlabel="seconds of training", ylabel=f"{title(metric)} on test")


def _against_memory(axes: Any, rows: list[tuple[str, dict[str, Any]]], metric: str) -> None:
    """A point for each cell, with the standard deviations of both."""
    for name, found in rows:
        score, memory = found["metrics"][metric], found["peak_mb"]
        if score is not None:
            scale = 2**20 / 1e9
            axes.errorbar(
                memory["mean"] * scale, score["mean"], xerr=(memory["std"] or 0) * scale,
                yerr=score["std"] or 0, marker="o", capsize=3, linestyle="none", label=name,
            )  # fmt: skip
    axes.set(xlabel="peak memory, GB", ylabel=f"{title(metric)} on test")
