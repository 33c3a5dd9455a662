"""An ablation: every cell with every protocol and seed, taken up again where it was interrupted."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ltgnn.studies.config import StudyConfig
from ltgnn.studies.grid import Cell, expand
from ltgnn.studies.process import Outcome, run_in_process
from ltgnn.studies.run_folder import StudyRun
from ltgnn.training.experiment import Experiment

MakeExperiment = Callable[[dict[str, Any]], Experiment]


@dataclass(frozen=True)
class RunOutcome:
    """A run of the ablation, and how it ended; `error` None where it is finished."""

    run: StudyRun
    error: str | None
    details: str = ""


def plan(config: StudyConfig, folder: Path, make_experiment: MakeExperiment) -> list[StudyRun]:
    """All runs of an ablation: for each seed the cells, for each cell the protocols; so no cell waits for long.

    Args:
        config: the study.
        folder: its folder; nothing is written.
        make_experiment: an experiment from settings by the keys of `ltgnn train`, dots leading into groups, laid
            over the study's base.

    Raises:
        ValueError: a cell's settings are wrong; names the cell. So that nothing runs for hours before that shows.
    """
    experiments = []
    for cell in expand(config):
        try:
            experiments.append((cell, make_experiment(cell.overrides)))
        except (ValueError, TypeError) as error:
            raise ValueError(f"cell {cell.name!r}: {error}") from error
    runs = []
    for seed in config.seeds:
        for cell, experiment in experiments:
            for protocol in config.protocols or [experiment.protocol]:
                asked = replace(
                    experiment,
                    protocol=protocol,  # type: ignore[arg-type]  # checked by the config
                    train=replace(experiment.train, seed=seed),
                )
                runs.append(StudyRun(cell, asked, folder / "runs"))
    _check_metrics(config, runs)
    return runs


def _check_metrics(config: StudyConfig, runs: list[StudyRun]) -> None:
    for run in runs:
        for name in config.metrics:
            if int(name.partition("@")[2]) not in run.experiment.ks:
                raise ValueError(
                    f"metrics must be at one of ks {list(run.experiment.ks)}, got {name!r}"
                )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from working on a study at the same time.

    Raises:
        OSError: another one does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(f"{folder}: another process is at work on this study") from None
        yield


def run_all(
    runs: list[StudyRun],
    *,
    threads: int | None = None,
    on_start: Callable[[int, StudyRun], None] | None = None,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    on_end: Callable[[int, RunOutcome], None] | None = None,
) -> list[RunOutcome]:
    """Do what is not done yet, one run after another, each in its own process.

    Args:
        runs: all of them; finished ones are only looked at, interrupted ones taken up, failed ones tried again.
        threads: of torch, in each run; None: its own choice.
        on_start, on_end: called with a run's place in the list as it begins (unless it is finished) and ends.
        on_epoch: called with the record of each epoch.

    Returns:
        How each ended, in order. A run that fails does not keep the others from running.
    """
    outcomes = []
    for place, run in enumerate(runs):
        if on_start is not None and run.state() != "finished":
            on_start(place, run)
        outcome: Outcome = run_in_process(
            run, threads=threads, on_epoch=None if on_epoch is None else _never_stopping(on_epoch)
        )
        ended = RunOutcome(run, outcome.error, outcome.details)
        if on_end is not None:
            on_end(place, ended)
        outcomes.append(ended)
    return outcomes


def finished_or_missing(runs: list[StudyRun]) -> list[RunOutcome]:
    """What there is already, without running anything: for tables of a study that is still under way."""
    return [
        RunOutcome(run, None if state == "finished" else f"not finished yet ({state})")
        for run in runs
        for state in (run.state(),)
    ]


def cells_of(outcomes: list[RunOutcome]) -> list[tuple[Cell, list[RunOutcome]]]:
    """The outcomes by cell, in order."""
    groups: dict[str, tuple[Cell, list[RunOutcome]]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.run.cell.name, (outcome.run.cell, []))[1].append(outcome)
    return list(groups.values())


def _never_stopping(call: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """`run_in_process` ends a run whose callback says True: whatever this one returns is not that."""

    def on_epoch(record: dict[str, Any]) -> None:
        call(record)

    return on_epoch
