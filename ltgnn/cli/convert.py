"""`ltgnn convert`: files of any size into a block store."""

from __future__ import annotations

import time
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from ltgnn.data import convert
from ltgnn.training.run_dir import write_json

HELP = "turn files of any size into a block store that opens at once"


def build_parser() -> ArgumentParser:
    """Flags of the command: those of `ltgnn.data.convert`."""
    parser = ArgumentParser(description=HELP)
    parser.add_argument("source", type=str, help="file or folder")
    parser.add_argument("target", type=str, help="the store: one file")
    parser.add_function_arguments(convert, skip={"source", "target", "progress"})
    parser.add_argument("--progress", type=bool, default=True, help="show progress bars")
    parser.add_argument("--json", type=str | None, default=None, help="write the result here")
    return parser


def run(args: Namespace) -> None:
    """The command."""
    start = time.perf_counter()
    options = {name: value for name, value in args.as_dict().items() if name != "json"}
    result = convert(**options)
    seconds = time.perf_counter() - start
    parts = {part: result[f"num_{part}"] for part in ("train", "valid", "test")}
    read = sum(parts.values()) + result["merged"]
    counts = ", ".join(f"{part} {count:,}" for part, count in parts.items() if count)
    notes = [
        f"{result[name]:,} {what}"
        for name, what in (("merged", "repetitions merged"), ("left_out", "left out for the label"))
        if result[name]
    ]
    beside = f" ({', '.join(notes)})" if notes else ""
    print(
        f"{result['name']}: {result['num_users']:,} users, {result['num_items']:,} items; "
        f"{counts or 'no interactions'}{beside}; split: {result['split']}"
    )
    print(
        f"{args.target}: {result['file_bytes'] / 1e6:,.1f} MB in {seconds:.1f} s, "
        f"{read / seconds:,.0f} interactions a second"
    )
    if args.json is not None:
        write_json(Path(args.json), {**result, "seconds": seconds})
