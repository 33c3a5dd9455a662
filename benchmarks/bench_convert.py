"""Times `ltgnn convert` on made-up interactions, each run in a process of its own, with its peak memory.

    python -m benchmarks.bench_convert --edges 10000000 --format lightgcn --memory 4GB --runs 3 \
        --folder SCRATCH --json benchmarks/results/convert-10m.json

The graph has 20 interactions a user and 100 an item, heavy-tailed on both sides. The input is made once and
kept in the folder. On a busy machine the CPU seconds say more than the seconds: both cores together give two of
them a second.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness

PIECE = 2_000_000  # interactions made at a time
CHILD = r"""
import json, re, resource, sys, time
from ltgnn.data import convert
options = json.loads(sys.argv[1])
start = time.perf_counter()
result = convert(**options)
result["seconds"] = time.perf_counter() - start
usage = resource.getrusage(resource.RUSAGE_SELF)
# Not ru_maxrss: that starts from the peak of the process that started this one.
result["peak_mib"] = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024
result["cpu_seconds"] = usage.ru_utime + usage.ru_stime
print(json.dumps(result))
"""


def pieces(num_edges: int) -> Any:
    """(users, items), sorted by user: degrees and popularity follow power laws."""
    rng = np.random.default_rng(0)
    num_users, num_items = max(1, num_edges // 20), max(1, num_edges // 100)
    done = 0
    order = rng.permutation(num_items).astype(np.int32)
    user = 0
    while done < num_edges:
        count = min(PIECE, num_edges - done)
        share = max(1, round(num_users * count / num_edges))
        degree = rng.pareto(1.5, share) + 0.4
        users = np.sort(rng.choice(share, count, p=degree / degree.sum())).astype(np.int32) + user
        rank = np.floor(num_items * rng.random(count) ** 3).astype(
            np.int32
        )  # density ~ rank^(-2/3)
        yield users, order[rank]
        user += share
        done += count


# Header and row of the formats with a row for each interaction; LibFM's items come behind its users.
ROWS: dict[str, tuple[str, Callable[[int, int, int], str]]] = {
    "csv": ("user_id,item_id\n", lambda user, item, _: f"{user},{item}"),
    "inter": ("user_id:token\titem_id:token\n", lambda user, item, _: f"{user}\t{item}"),
    "libfm": ("", lambda user, item, num_users: f"1 {user}:1 {num_users + item}:1"),
}
FORMATS = ("lightgcn", "npz", "parquet", *ROWS)


def write_input(path: Path, num_edges: int, kind: str) -> None:
    """Writes LightGCN text sorted by user, two arrays (npz), or rows in random order (within pieces)."""
    rng = np.random.default_rng(1)
    scratch = path.with_name(path.name + ".part")
    if kind == "npz":
        parts = list(pieces(num_edges))
        with open(scratch, "wb") as archive:
            np.savez(archive, users=np.concatenate([u for u, _ in parts]),
                     items=np.concatenate([i for _, i in parts]))  # fmt: skip
    elif kind == "parquet":
        arrow, parquet = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
        schema = arrow.schema([("user_id", arrow.int32()), ("item_id", arrow.int32())])
        with parquet.ParquetWriter(scratch, schema) as table:
            for users, items in pieces(num_edges):
                shuffled = rng.permutation(len(users))
                table.write_table(arrow.table([users[shuffled], items[shuffled]], schema=schema))
    elif kind in ROWS:
        header, row = ROWS[kind]
        num_users = max(1, num_edges // 20)
        with open(scratch, "w") as file:
            file.write(header)
            for users, items in pieces(num_edges):
                shuffled = rng.permutation(len(users))
                pairs = zip(users[shuffled].tolist(), items[shuffled].tolist(), strict=True)
                file.write("\n".join([row(u, i, num_users) for u, i in pairs]) + "\n")
    else:
        with open(scratch, "w") as file:
            for users, items in pieces(num_edges):
                starts = np.flatnonzero(np.diff(users, prepend=-1)).tolist()
                words = items.astype(str).tolist()
                for start, stop in zip(starts, [*starts[1:], len(users)], strict=True):
                    file.write(f"{users[start]} {' '.join(words[start:stop])}\n")
    os.replace(scratch, path)


def main() -> None:
    """Makes the input, converts it, prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--edges", type=int, default=10_000_000)
    parser.add_argument("--format", choices=FORMATS, default="lightgcn")
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--split", default="none")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="for input, scratch and store; none: a new one")
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = options.folder or Path(temporary)
        source = folder / f"edges-{options.edges}.{options.format}"
        if not source.exists():
            write_input(source, options.edges, options.format)
        arguments = {
            "source": str(source), "target": str(Path(temporary) / "out.store"), "overwrite": True,
            "memory": options.memory, "split": options.split, "max_bytes": 1 << 40,
        }  # fmt: skip
        runs = []
        for _ in range(options.runs):
            command = [sys.executable, "-c", CHILD, json.dumps(arguments)]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            runs.append(json.loads(output))
        input_mb = source.stat().st_size / 1e6
    seconds = [run["seconds"] for run in runs]
    edges = sum(runs[0][f"num_{part}"] for part in ("train", "valid", "test")) + runs[0]["merged"]
    result = {
        "benchmark": "convert",
        "interactions": edges,
        "format": options.format,
        "memory": options.memory,
        "split": options.split,
        "input_mb": input_mb,
        "store_mb": runs[0]["file_bytes"] / 1e6,
        "num_users": runs[0]["num_users"],
        "num_items": runs[0]["num_items"],
        "seconds": seconds,
        "median_s": statistics.median(seconds),
        "cpu_s": statistics.median(run["cpu_seconds"] for run in runs),
        "million_per_s": edges / statistics.median(seconds) / 1e6,
        "best_million_per_s": edges / min(seconds) / 1e6,
        "peak_mib": max(run["peak_mib"] for run in runs),
        "load_average": os.getloadavg()[0],
    }
    print(
        f"{edges / 1e6:.0f} M interactions, {options.format}: median {result['median_s']:.1f} s, "
        f"{result['million_per_s']:.2f} M/s (best {result['best_million_per_s']:.2f}), "
        f"{result['cpu_s']:.1f} s of CPU, "
        f"peak {result['peak_mib']:.0f} MiB of {options.memory}; {len(runs)} runs, "
        f"load {result['load_average']:.1f}"
    )
    harness.write(options.json, result)


if __name__ == "__main__":
    main()
