"""What a search varies: ranges and choices of settings."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

_SCALARS = (bool, int, float, str, type(None))


def load_optuna() -> ModuleType:
    """optuna.

    Raises:
        ImportError: it is not installed; names the command that installs it.
    """
    try:
        return importlib.import_module("optuna")
    except ImportError as error:
        raise ImportError(
            f'ltgnn tune needs optuna, which cannot be loaded: pip install "ltgnn[tune]"; {error}'
        ) from error


def check_space(space: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ValueError, which names the setting, where something in a search space makes no sense.

    Args:
        space: for each key `{"choices": [...]}`, or `{"low", "high"}` with `"log": True` or `"step"`: of whole
            numbers where both ends (and the step) are.

    Example:
        >>> from ltgnn.studies.space import check_space
        >>> check_space({"ltgnn.lr": {"low": 1e-4, "high": 1e-2, "log": True}})
        >>> check_space({"ltgnn.lr": {"low": 0.0, "high": 1e-2, "log": True}})
        Traceback (most recent call last):
        ValueError: space: ltgnn.lr: low must be positive on a log scale, got 0.0
    """
    if not space:
        raise ValueError("space must name at least one setting to vary, got none")
    for key, part in space.items():
        problem = _problem(part)
        if problem is not None:
            raise ValueError(f"space: {key}: {problem}")


def _problem(part: Mapping[str, Any]) -> str | None:
    if "choices" in part:
        choices = part["choices"]
        if set(part) != {"choices"}:
            return f"choices must stand alone, got {', '.join(sorted(part))}"
        if not isinstance(choices, list) or not choices:
            return f"choices must be a list of at least one value, got {choices!r}"
        wrong = [value for value in choices if not isinstance(value, _SCALARS)]
        return (
            f"choices must be numbers, words, true, false or null, got {wrong[0]!r}"
            if wrong
            else None
        )
    unknown = sorted(set(part) - {"low", "high", "log", "step"})
    if unknown or not {"low", "high"} <= set(part):
        return f"expected choices, or low and high with log or step, got {', '.join(sorted(part)) or 'nothing'}"
    for name in ("low", "high", "step"):
        value = part.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"{name} must be a number, got {value!r}"
    low, high, log, step = part["low"], part["high"], part.get("log", False), part.get("step")
    if not isinstance(log, bool):
        return f"log must be true or false, got {log!r}"
    if not low <= high:
        return f"low must be at most high, got {low} and {high}"
    if log and low <= 0:
        return f"low must be positive on a log scale, got {low}"
    if log and step is not None:
        return "there is either a log scale or a step, got both"
    if step is not None and step <= 0:
        return f"step must be positive, got {step}"
    return None


def distributions(space: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The space as optuna has it.

    Raises:
        ValueError: see `check_space`.
        ImportError: there is no optuna.
    """
    check_space(space)
    kinds = load_optuna().distributions
    result = {}
    for key, part in space.items():
        if "choices" in part:
            result[key] = kinds.CategoricalDistribution(part["choices"])
            continue
        low, high, log, step = part["low"], part["high"], part.get("log", False), part.get("step")
        if all(isinstance(value, int) for value in (low, high, step or 1)):
            result[key] = kinds.IntDistribution(low, high, log=log, step=step or 1)
        else:
            result[key] = kinds.FloatDistribution(low, high, log=log, step=step)
    return result
