"""`ltgnn presets`: the named settings that `ltgnn train --preset` takes."""

from __future__ import annotations

import textwrap
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from ltgnn.models import MODELS
from ltgnn.training.presets import PRESETS, presets_of
from ltgnn.training.run_dir import write_json

HELP = "list the named settings that `ltgnn train --preset` takes"


def build_parser() -> ArgumentParser:
    """Flags of the command."""
    parser = ArgumentParser(description=HELP)
    parser.add_argument("--model", choices=sorted(MODELS), default=None, help="only of this model")
    parser.add_argument("--json", type=str | None, default=None, help="write them here, too")
    return parser


def run(args: Namespace) -> None:
    """The command."""
    chosen = PRESETS if args.model is None else tuple(presets_of(args.model).values())
    if not chosen:
        print(f"{args.model} has no presets")
    for preset in chosen:
        print(f"--model {preset.model} --preset {preset.name}: {preset.source}")
        flags = " ".join(f"--{name} {_text(value)}" for name, value in preset.flags().items())
        print(textwrap.indent(textwrap.fill(flags, 110, break_on_hyphens=False), "    "))
        if preset.departs:
            print(f"    not so here: {preset.departs}")
    if args.json is not None:
        rows = [
            {"model": p.model, "name": p.name, "source": p.source, "flags": p.flags(), "departs": p.departs}
            for p in chosen
        ]  # fmt: skip
        write_json(Path(args.json), {"presets": rows})


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
