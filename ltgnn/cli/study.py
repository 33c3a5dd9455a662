"""What `ltgnn ablate` and `ltgnn tune` share: the study's YAML, and experiments from it."""

from __future__ import annotations

from argparse import ArgumentError
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from ltgnn.cli import train
from ltgnn.studies.config import StudyConfig, merge, nest
from ltgnn.training.experiment import Experiment


def read_study(path: str) -> StudyConfig:
    """A study from its YAML file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no YAML, or has unknown keys or values that are out of range.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no study file {path}")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(StudyConfig)
    try:
        values = parser.parse_path(path)
    except (ArgumentError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
    return StudyConfig(**values.as_dict())


def arguments_of(base: dict[str, Any], overrides: dict[str, Any]) -> Namespace:
    """What `ltgnn train` would read from a config file of these settings.

    Args:
        base: by the keys of `ltgnn train --print_config`.
        overrides: laid over it; dots in the keys lead into groups. A preset lies below the other settings that it
            is named with: one of the base below the base, one of the overrides between both.

    Raises:
        ValueError: a key does not exist, or its value is wrong.
    """
    below, over = nest(base), nest(overrides)
    values = merge(below, over)
    try:
        args = _parse(train.build_parser(), values)
        preset = train.preset_of(args)
        if preset is None:
            return args
        if "preset" in over:
            values = merge(merge(below, nest(preset.flags())), over)
        return _parse(train.build_parser(preset), values)
    except ArgumentError as error:
        raise ValueError(str(error)) from error


def _parse(parser: ArgumentParser, values: dict[str, Any]) -> Namespace:
    parser.exit_on_error = False
    args: Namespace = parser.parse_object(values)
    return args


def maker(base: dict[str, Any]) -> Callable[[dict[str, Any]], Experiment]:
    """Experiments from overrides of a base."""
    return lambda overrides: train.experiment_of(arguments_of(base, overrides))


def epoch_text(record: dict[str, Any]) -> str:
    """An epoch's number, loss and seconds; a model that is not trained has no loss.

    Example:
        >>> from ltgnn.cli.study import epoch_text
        >>> epoch_text({"epoch": 3, "loss": 0.5, "seconds": 2.0})
        'epoch 3: loss 0.5000, 2.00 s'
    """
    loss = "" if record["loss"] is None else f"loss {record['loss']:.4f}, "
    return f"epoch {record['epoch']}: {loss}{record['seconds']:.2f} s"
