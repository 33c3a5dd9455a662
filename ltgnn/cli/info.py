"""`ltgnn info`: what is in a block store."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jsonargparse import ArgumentParser, Namespace
from tqdm import tqdm

from ltgnn.data import BlockStore
from ltgnn.training.run_dir import write_json

HELP = "tell what is in a block store: sizes, sparsity, degree distribution"

BAR = 40  # characters of the longest bar
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def build_parser() -> ArgumentParser:
    """Flags of the command."""
    parser = ArgumentParser(description=HELP)
    parser.add_argument("store", type=str, help="what `ltgnn convert` wrote")
    parser.add_argument("--verify", type=bool, default=False, help="read and check every byte")
    parser.add_argument("--plot", type=str | None, default=None,
                        help="draw the degree distributions into this file (.png, .svg, .pdf)")  # fmt: skip
    parser.add_argument("--json", type=str | None, default=None, help="write the figures here")
    return parser


def describe_degrees(degrees: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Figures of one side; `histogram` counts degrees 0, 1, 2-3, 4-7, 8-15, ..."""
    if len(degrees) == 0:
        return {"count": 0, "mean": 0.0, "max": 0, "none": 0, "histogram": []}
    ascending = np.sort(degrees)
    # Gini coefficient: 0 where all have the same degree, near 1 where few have nearly all.
    ranks = np.arange(1, len(ascending) + 1)
    total = float(ascending.sum())
    spread = float((ranks * ascending.astype(np.float64)).sum()) / max(total, 1.0)
    bins = np.where(degrees > 0, np.floor(np.log2(np.maximum(degrees, 1))).astype(np.int64) + 1, 0)
    return {
        "count": len(degrees),
        "mean": total / len(degrees),
        **{name: int(ascending[int(q * (len(ascending) - 1))]) for name, q in QUANTILES.items()},
        "max": int(ascending[-1]),
        "none": int((degrees == 0).sum()),
        "gini": (2 * spread - 1) / len(degrees) - 1 if total else 0.0,
        "histogram": np.bincount(bins).tolist(),
    }


def describe(store: BlockStore) -> dict[str, Any]:
    """Everything `print_info` prints, as one JSON object."""
    cells = store.num_users * store.num_items
    known = sum(store.parts.values())
    return {
        "name": store.name,
        "file_bytes": store.header.file_bytes,
        "block_bytes": store.header.block_bytes,
        "num_users": store.num_users,
        "num_items": store.num_items,
        "split": store.split,
        "drawn": store.drawn,
        "parts": store.parts,
        "merged": store.header.meta.get("merged", 0),
        "density": known / cells if cells else 0.0,
        "ids": {side: id_kind(store, side) for side in ("user", "item")},
        "columns": [name for name in ("values", "times") if f"train/{name}" in store.arrays],
        "degrees": {
            side: describe_degrees(store.degrees("train", side)) for side in ("user", "item")
        },
        "arrays": {name: [info.dtype, info.length] for name, info in store.arrays.items()},
    }


def id_kind(store: BlockStore, side: str) -> str:
    """How a side's external ids are stored."""
    if f"{side}_ids" in store.arrays:
        return "integers"
    return "text" if f"{side}_ids/bytes" in store.arrays else "indices"


def histogram(counts: list[int], what: str) -> list[str]:
    """A text histogram: one line for degrees 0, 1, 2-3, 4-7, ..."""
    longest = max(counts, default=0)
    lines = []
    for place, count in enumerate(counts):
        low, high = (1 << place) >> 1, max(0, (1 << place) - 1)
        label = f"{low:,}" if low == high else f"{low:,}-{high:,}"
        bar = "#" * max(round(BAR * count / longest), 1 if count else 0)
        lines.append(f"  {label:>21} {what:<6} {count:>12,} {bar}")
    return lines


def print_info(path: str, info: dict[str, Any]) -> None:
    """What a person wants to know, on one screen."""
    parts = ", ".join(f"{part} {count:,}" for part, count in info["parts"].items())
    drawn = ", ".join(f"{name} {value}" for name, value in info["drawn"].items())
    print(f"{path}: {info['name']}, {info['file_bytes'] / 1e6:,.1f} MB")
    print(
        f"  users {info['num_users']:,}, items {info['num_items']:,}; {parts}; split: {info['split']}"
        + (f" ({drawn})" if drawn else "")
    )
    print(
        f"  density {100 * info['density']:.6f} %, sparsity {100 * (1 - info['density']):.6f} %; "
        f"ids: users {info['ids']['user']}, items {info['ids']['item']}; "
        f"columns: {', '.join(info['columns']) or 'none'}"
    )
    for side, other in (("user", "items"), ("item", "users")):
        figures = info["degrees"][side]
        if not figures["count"]:
            continue
        print(
            f"train, by {side}: {figures['mean']:.1f} {other} on average, half have at most "
            f"{figures['p50']:,}, 90 % {figures['p90']:,}, 99 % {figures['p99']:,}, most "
            f"{figures['max']:,}; {figures['none']:,} have none; Gini {figures['gini']:.2f}"
        )
        for line in histogram(figures["histogram"], other):
            print(line)


def plot(store: BlockStore, path: str) -> None:
    """Draws, for both sides, how many have at least a given degree, on logarithmic axes.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there are no degrees to draw.
    """
    if not store.parts["train"]:
        raise ValueError(
            f"--plot: expected interactions in train to draw, got none in {store.path}"
        )
    try:
        matplotlib = importlib.import_module("matplotlib")
        figures = importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise ImportError(
            f'--plot needs matplotlib, which cannot be loaded: pip install "ltgnn[plot]"; {error}'
        ) from error
    with matplotlib.rc_context({"svg.hashsalt": "ltgnn"}):
        figure = figures.Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        for side in ("user", "item"):
            degrees = store.degrees("train", side)
            counts = np.bincount(degrees)
            present = np.flatnonzero(counts)
            at_least = np.cumsum(counts[::-1])[::-1][present]
            positive = present > 0
            axes.step(present[positive], at_least[positive], where="post", label=f"{side}s")
        axes.set(xscale="log", yscale="log", title=store.name,
                 xlabel="interactions", ylabel="how many have at least as many")  # fmt: skip
        axes.legend()
        figure.savefig(path)


def run(args: Namespace) -> None:
    """The command."""
    with BlockStore(args.store) as store:
        if args.verify:
            size = sum(info.nbytes for info in store.header.arrays)
            with tqdm(total=size, desc="verifying", unit="B", unit_scale=True, leave=False,
                      disable=None) as bar:  # fmt: skip
                store.verify(bar.update)
        info = describe(store)
        print_info(os.fspath(args.store), info)
        if args.verify:
            print("every block is intact")
        if args.json is not None:
            write_json(Path(args.json), info)
        if args.plot is not None:
            plot(store, args.plot)
            print(f"degree distributions drawn in {args.plot}")
