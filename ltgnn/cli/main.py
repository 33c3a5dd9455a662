"""Reads the command line, runs one command, and turns errors into one clear line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from jsonargparse import ArgumentParser, Namespace

from ltgnn import __version__
from ltgnn.cli import ablate, convert, doctor, evaluate, info, presets, recommend, train, tune
from ltgnn.studies import StudyError
from ltgnn.training import CheckpointError, TrainingError
from ltgnn.training.presets import Preset

COMMANDS = {
    "train": train,
    "evaluate": evaluate,
    "recommend": recommend,
    "convert": convert,
    "presets": presets,
    "ablate": ablate,
    "tune": tune,
    "info": info,
    "doctor": doctor,
}


def build_parser(preset: Preset | None = None) -> ArgumentParser:
    """The parser of all commands; a preset's values are the defaults of `train`."""
    parser = ArgumentParser(
        prog="ltgnn",
        description="Linear-time graph neural networks for recommendation.",
        version=__version__,
    )
    subcommands = parser.add_subcommands()
    for name, module in COMMANDS.items():
        own = train.build_parser(preset) if module is train else module.build_parser()
        subcommands.add_subcommand(name, own, help=module.HELP)
    return parser


def parse(arguments: Sequence[str]) -> Namespace:
    """The command line, read twice where it names a preset: a preset's values are defaults, so they come first.

    Raises:
        ValueError: the preset does not exist.
    """
    # --print_config ends the program: it has to wait for the preset.
    rest = [word for word in arguments if not word.startswith("--print_config")]
    parsed = build_parser().parse_args(rest)
    preset = train.preset_of(parsed.train) if parsed.subcommand == "train" else None
    if preset is None and rest == list(arguments):
        return parsed
    return build_parser(preset).parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 130 where it was interrupted; or 1 where it could not be done, with the reason on standard error (with
        LTGNN_TRACEBACK=1 as a full traceback). A wrong command line exits with 2.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    command = words[0] if words else ""
    try:
        parsed = parse(words)
        COMMANDS[parsed.subcommand].run(parsed[parsed.subcommand])
    except (
        ValueError, TypeError, OSError, ImportError, CheckpointError, TrainingError, MemoryError, StudyError,
    ) as error:  # fmt: skip
        if os.environ.get("LTGNN_TRACEBACK") == "1":
            raise
        print(f"ltgnn {command}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"ltgnn {command}: interrupted", file=sys.stderr)
        return 130
    return 0
