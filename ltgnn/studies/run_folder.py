"""One run of a study: its settings, their digest, and how far its folder is."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ltgnn.studies.grid import Cell
from ltgnn.training.experiment import Experiment
from ltgnn.training.run_dir import read_json

State: TypeAlias = Literal["new", "interrupted", "finished"]


def digest(experiment: Experiment) -> str:
    """16 hexadecimal digits that two runs share where all their settings are the same.

    Settings only: not the bytes of the data files, the number of threads or the version.

    Example:
        >>> from ltgnn.studies.run_folder import digest
        >>> from ltgnn.training.experiment import Experiment
        >>> digest(Experiment()) == digest(Experiment(model="mf"))
        False
    """
    text = json.dumps(asdict(experiment), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class StudyRun:
    """One run: a cell, a seed and a protocol.

    Attributes:
        cell: the row that it belongs to.
        experiment: its settings, with seed and protocol.
        root: the folder of all runs.
    """

    cell: Cell
    experiment: Experiment
    root: Path

    @property
    def folder(self) -> Path:
        """The run's folder. Its name ends with the digest: other settings are another folder."""
        name = re.sub(r"[^A-Za-z0-9.=_-]+", "-", self.cell.name).strip("-.")[:80] or "cell"
        kind = f"{self.experiment.protocol}-seed{self.experiment.train.seed}"
        return self.root / name / f"{kind}-{digest(self.experiment)}"

    def state(self) -> State:
        """How far the run is, by what its folder holds; what is damaged or of other settings counts for nothing."""
        try:
            config = Experiment.from_dict(read_json(self.folder / "config.json"))
        except (OSError, ValueError, TypeError, KeyError):
            return "new"
        # What is kept there is what 'auto' came to.
        if digest(replace(config, protocol=self.experiment.protocol)) != digest(self.experiment):
            return "new"
        try:
            read_json(self.folder / "result.json")
        except (OSError, ValueError):
            return "interrupted"
        return "finished"

    def result(self) -> dict[str, Any]:
        """The result of a finished run."""
        return read_json(self.folder / "result.json")

    def records(self) -> list[dict[str, Any]]:
        """The epochs so far; of an interrupted run without a last line that was only half written."""
        path = self.folder / "log.jsonl"
        records: list[dict[str, Any]] = []
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                records.append(json.loads(line))
            except ValueError:
                break
        return records
