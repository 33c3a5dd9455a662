"""Times the file readers against a Python loop, numpy, pandas and polars.

    python -m benchmarks.bench_read [--edges 5000000] [--threads 1] [--json FILE]

Writes a LightGCN text file and a csv of the same edges into a temporary folder (so they lie in the
page cache) and reads each with every reader in turn, in this one process: file to integer arrays. ``--threads``
leaves the process so many cores, which every reader goes by.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ltgnn.data.formats import delimited, lightgcn

Reader = Callable[[Path], Any]
SLOW = {"python loop", "numpy.loadtxt"}  # read once: they take seconds


def write_files(folder: Path, num_edges: int) -> tuple[Path, Path]:
    """Writes the edges sorted by user as LightGCN text, shuffled as csv with rating and time."""
    rng = np.random.default_rng(0)
    num_users = max(1, num_edges // 25)
    users = np.sort(rng.integers(0, num_users, num_edges))
    items = rng.integers(0, max(1, num_edges // 50), num_edges)
    text, table = folder / "edges.txt", folder / "edges.csv"
    bounds = np.searchsorted(users, np.arange(num_users + 1)).tolist()
    words = items.astype(str).tolist()
    with open(text, "w") as file:
        for user in range(num_users):
            file.write(" ".join([str(user), *words[bounds[user] : bounds[user + 1]]]) + "\n")
    order = rng.permutation(num_edges)
    ratings = rng.integers(1, 6, num_edges)
    times = rng.integers(1_000_000_000, 1_700_000_000, num_edges)
    columns = (users[order].tolist(), items[order].tolist(), ratings.tolist(), times.tolist())
    with open(table, "w") as file:
        file.write("user_id,item_id,rating,timestamp\n")
        file.writelines(f"{u},{i},{r},{t}\n" for u, i, r, t in zip(*columns, strict=True))
    return text, table


def loop_lightgcn(path: Path) -> Any:
    """What the published models do."""
    users: list[int] = []
    items: list[int] = []
    with open(path) as file:
        for line in file:
            user, *rest = map(int, line.split())
            users.extend([user] * len(rest))
            items.extend(rest)
    return np.array(users), np.array(items)


def loop_csv(path: Path) -> Any:
    """Rows split by hand; ids compacted with dictionaries."""
    user_codes: dict[str, int] = {}
    item_codes: dict[str, int] = {}
    rows = []
    with open(path) as file:
        next(file)
        for line in file:
            user, item, rating, when = line.rstrip("\n").split(",")
            user_code = user_codes.setdefault(user, len(user_codes))
            item_code = item_codes.setdefault(item, len(item_codes))
            rows.append((user_code, item_code, float(rating), float(when)))
    return np.array(rows)


def rivals(pandas: Any, polars: Any) -> tuple[dict[str, Reader], dict[str, Reader]]:
    """Readers for LightGCN text and for csv, ours first."""
    text: dict[str, Reader] = {"ltgnn": lightgcn.read_file, "python loop": loop_lightgcn}
    table: dict[str, Reader] = {
        "ltgnn": delimited.read_file,
        "python loop": loop_csv,
        "numpy.loadtxt": lambda path: np.loadtxt(path, delimiter=",", skiprows=1),
    }
    if polars is not None:

        def polars_lightgcn(path: Path) -> Any:
            lines = polars.read_csv(path, has_header=False, separator="\n", new_columns=["line"])
            parts = lines.select(polars.col("line").cast(polars.String).str.split(" "))
            pairs = parts.select(
                polars.col("line").list.first().cast(polars.Int32).alias("user"),
                polars.col("line").list.slice(1).alias("item"),
            ).explode("item")
            pairs = pairs.drop_nulls().with_columns(polars.col("item").cast(polars.Int32))
            return pairs["user"].to_numpy(), pairs["item"].to_numpy()

        def polars_joined(path: Path) -> Any:
            frame = polars.read_csv(path)
            columns = []
            for name in ("user_id", "item_id"):
                ids = frame.select(polars.col(name).unique(maintain_order=True)).with_row_index(
                    "at"
                )
                columns.append(frame.select(name).join(ids, on=name, how="left")["at"].to_numpy())
            return [*columns, frame["rating"].to_numpy(), frame["timestamp"].to_numpy()]

        def polars_csv(path: Path) -> Any:
            frame = polars.read_csv(path)
            return [
                *((frame[name].rank("dense") - 1).to_numpy() for name in ("user_id", "item_id")),
                frame["rating"].to_numpy(),
                frame["timestamp"].to_numpy(),
            ]

        text["polars"] = polars_lightgcn
        table["polars, ids compacted by a sort"] = polars_csv
        table["polars, ids compacted by a join"] = polars_joined
        table["polars, parse only"] = lambda path: polars.read_csv(path)
    if pandas is not None:

        def pandas_csv(path: Path) -> Any:
            frame = pandas.read_csv(path)
            return [pandas.factorize(frame[name])[0] for name in ("user_id", "item_id")]

        table["pandas, ids compacted"] = pandas_csv
    return text, table


def measure(readers: dict[str, Reader], path: Path, runs: int) -> list[dict[str, Any]]:
    """Times all readers in turn, round by round, after a warm-up round of the fast ones."""
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for turn in range(runs + 1):
        for name, reader in readers.items():
            if name in SLOW and turn != 1:
                continue
            start = time.perf_counter()
            reader(path)
            elapsed = time.perf_counter() - start
            if turn > 0:
                seconds[name].append(elapsed)
    return [
        {
            "file": path.name,
            "reader": name,
            "median_s": statistics.median(times),
            "min_s": min(times),
            "runs": len(times),
            "mb_per_s": os.path.getsize(path) / 1e6 / statistics.median(times),
        }
        for name, times in seconds.items()
    ]


def optional(name: str) -> Any:
    """The module, or None with a word about it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name}: not installed, left out")
        return None


def main() -> None:
    """Runs the comparison and prints one line per file and reader."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--edges", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--threads", type=int, default=2, help="cores to read with")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[: options.threads])  # polars counts them when it is imported
    pandas, polars = optional("pandas"), optional("polars")
    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(Path(folder), options.edges)
        results = [
            row
            for readers, path in zip(rivals(pandas, polars), paths, strict=True)
            for row in measure(readers, path, options.runs)
        ]
    for row in results:
        print(
            f"{row['file']:<10} {row['reader']:<22} median {row['median_s']:8.3f} s  "
            f"min {row['min_s']:8.3f} s  {row['mb_per_s']:8.1f} MB/s  ({row['runs']} runs)"
        )
    if options.json:
        versions = {
            module.__name__: module.__version__ for module in (np, pandas, polars) if module
        }
        report = {
            "benchmark": "read",
            "command": f"python -m benchmarks.bench_read {' '.join(sys.argv[1:])}".strip(),
            "edges": options.edges,
            "threads": min(options.threads, len(cores)),
            "machine": {"cpu": platform.machine(), "cores": len(cores)},
            "python": platform.python_version(),
            "versions": versions,
            "results": results,
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
