"""The cells of a study: every combination of a grid, and its named variants."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from ltgnn.models import MODELS
from ltgnn.studies.config import StudyConfig


@dataclass(frozen=True)
class Cell:
    """One row of the table.

    Attributes:
        name: what the row is called.
        overrides: where its settings depart from the base, by dotted key.
    """

    name: str
    overrides: dict[str, Any]


def expand(config: StudyConfig) -> list[Cell]:
    """The cells, in the order of the grid (last key fastest), then the variants.

    A combination's values for another model than its own do not count: `model: [ltgnn, mf]` with
    `ltgnn.fanout: [0, 4]` makes three cells, not four. Without grid and variants the base is the one cell.

    Raises:
        ValueError: two cells have one name, a key of the grid has one value twice, or a combination names no model
            that exists.

    Example:
        >>> from ltgnn.studies import StudyConfig, expand
        >>> study = StudyConfig(grid={"model": ["ltgnn", "mf"], "ltgnn.fanout": [0, 4]})
        >>> [cell.name for cell in expand(study)]
        ['model=ltgnn, fanout=0', 'model=ltgnn, fanout=4', 'model=mf']
    """
    cells: dict[str, Cell] = {}
    if config.grid:
        for key, choices in config.grid.items():
            texts = [_text(choice) for choice in choices]
            twice = next((text for text in texts if texts.count(text) > 1), None)
            if twice is not None:
                raise ValueError(f"grid: {key} has the value {twice} more than once")
        for values in itertools.product(*config.grid.values()):
            asked = dict(zip(config.grid, values, strict=True))
            model = asked.get("model", config.base.get("model", "ltgnn"))
            if model not in MODELS:
                raise ValueError(
                    f"grid: no model named {model!r}; there are {', '.join(sorted(MODELS))}"
                )
            used = {key: value for key, value in asked.items() if _concerns(key, model)}
            name = ", ".join(
                f"{key.removeprefix(f'{model}.')}={_text(value)}" for key, value in used.items()
            )
            cells.setdefault(name or model, Cell(name or model, used))
    for name, overrides in config.variants.items():
        if name in cells:
            raise ValueError(f"variants: {name!r} is the name of another cell, too")
        cells[name] = Cell(name, dict(overrides))
    return list(cells.values()) or [Cell("base", {})]


def _concerns(key: str, model: str) -> bool:
    """Whether a setting is not one of another model."""
    group, dot, _ = key.partition(".")
    return not dot or group not in MODELS or group == model


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    short = f"{value:g}" if isinstance(value, float) else str(value)
    # Cells are told apart by their names: no digit that counts may be lost.
    return repr(value) if isinstance(value, float) and float(short) != value else short
