"""Reads the command line, runs one command, and turns errors into one clear line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from jsonargparse import ArgumentParser

from ltgnn import __version__
from ltgnn.cli import convert, doctor, evaluate, info, recommend, train
from ltgnn.training import CheckpointError, TrainingError

COMMANDS = {
    "train": train,
    "evaluate": evaluate,
    "recommend": recommend,
    "convert": convert,
    "info": info,
    "doctor": doctor,
}


def build_parser() -> ArgumentParser:
    """The parser of all commands."""
    parser = ArgumentParser(
        prog="ltgnn",
        description="Linear-time graph neural networks for recommendation.",
        version=__version__,
    )
    subcommands = parser.add_subcommands()
    for name, module in COMMANDS.items():
        subcommands.add_subcommand(name, module.build_parser(), help=module.HELP)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; or 1 where it could not be done, with the reason on standard error (with LTGNN_TRACEBACK=1 as a full
        traceback). A wrong command line exits with 2.
    """
    parsed = build_parser().parse_args(arguments)
    try:
        COMMANDS[parsed.subcommand].run(parsed[parsed.subcommand])
    except (
        ValueError, TypeError, OSError, ImportError, CheckpointError, TrainingError, MemoryError,
    ) as error:  # fmt: skip
        if os.environ.get("LTGNN_TRACEBACK") == "1":
            raise
        print(f"ltgnn {parsed.subcommand}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"ltgnn {parsed.subcommand}: interrupted", file=sys.stderr)
        return 130
    return 0
