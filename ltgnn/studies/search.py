"""The search for settings: optuna proposes them, a validation split judges them.

optuna's study lives in memory alone. What lasts is a `trial.json` for each trial beside its run, from which the
study is made again; and as each trial's proposal depends on nothing but seed, number and the trials before it, a
search that was interrupted comes to what it would have come to.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from ltgnn.studies.ablation import MakeExperiment
from ltgnn.studies.config import StudyConfig
from ltgnn.studies.grid import Cell
from ltgnn.studies.process import run_in_process
from ltgnn.studies.run_folder import StudyRun
from ltgnn.studies.space import distributions, load_optuna
from ltgnn.training.run_dir import read_json, write_json

State: TypeAlias = Literal["running", "complete", "pruned", "failed"]
Pruner: TypeAlias = Literal["median", "halving", "none"]
STARTUP_TRIALS = 5  # before the median is one


@dataclass
class Trial:
    """One trial, as it is kept.

    Attributes:
        number: from 0.
        params: the settings that were proposed.
        state: how it ended.
        values: the monitored metric on validation by epoch.
        error: why it failed.
        test: metrics on test at the epoch that validation chose, where it is complete. Nothing is chosen by them.
        train_seconds: of its training, where it is complete.
    """

    number: int
    params: dict[str, Any]
    state: State = "running"
    values: dict[int, float] = field(default_factory=dict)
    error: str | None = None
    test: dict[str, float] = field(default_factory=dict)
    train_seconds: float | None = None

    @property
    def value(self) -> float | None:
        """The best epoch's value."""
        return max(self.values.values(), default=None)


class Search:
    """A search in a folder.

    Args:
        config: base and space; the rest of it does not count.
        folder: where trials are kept; those that are there count.
        make_experiment: an experiment from overrides of the base.
        seed: of the proposals. The seed of training is the base's.
        pruner: which trials are ended early: 'median' (below the median of the others at that epoch), 'halving'
            (successive halving: Li et al., 2020) or 'none'.
        threads: of torch, in each run.

    Raises:
        ImportError: there is no optuna.
        ValueError: the space makes no sense, or the folder holds a search of other settings.
    """

    def __init__(
        self,
        config: StudyConfig,
        folder: Path,
        make_experiment: MakeExperiment,
        *,
        seed: int = 0,
        pruner: Pruner = "median",
        threads: int | None = None,
    ) -> None:
        self.distributions = distributions(config.space)
        self.optuna = load_optuna()
        self.optuna.logging.set_verbosity(self.optuna.logging.WARNING)
        self.folder = folder
        self.make_experiment = make_experiment
        self.seed = seed
        self.threads = threads
        asked = {"base": config.base, "space": config.space, "seed": seed, "pruner": pruner}
        self.asked = {**asked, "digest": _digest(asked)}
        self._check_folder()
        pruners = self.optuna.pruners
        self.study = self.optuna.create_study(
            direction="maximize",
            pruner={
                "median": lambda: pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS),
                "halving": lambda: pruners.SuccessiveHalvingPruner(),
                "none": lambda: pruners.NopPruner(),
            }[pruner](),
        )
        self.trials: list[Trial] = []

    def run(
        self,
        count: int,
        *,
        on_start: Callable[[Trial], None] | None = None,
        on_epoch: Callable[[dict[str, Any]], None] | None = None,
        on_end: Callable[[Trial], None] | None = None,
    ) -> list[Trial]:
        """Go on until there are `count` trials; those that are kept already count.

        Args:
            count: of trials in all.
            on_start: called with a trial that begins or goes on.
            on_epoch: called with each epoch's record.
            on_end: called with each trial as it ends.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "search.json", self.asked)
        while len(self.trials) < count:
            kept = self._kept(len(self.trials))
            if kept is not None and kept.state != "running":
                self._tell_kept(kept)
                self.trials.append(kept)
                continue
            proposal = self._propose(len(self.trials), kept)
            trial = kept or Trial(len(self.trials), dict(proposal.params))
            trial.values = {}
            self._keep(trial)
            if on_start is not None:
                on_start(trial)
            self._try(trial, proposal, on_epoch)
            self._keep(trial)
            self.trials.append(trial)
            if on_end is not None:
                on_end(trial)
        return self.trials

    def best(self) -> Trial | None:
        """The complete trial with the best value, the first of equals; None where none is complete."""
        complete = [t for t in self.trials if t.state == "complete" and t.value is not None]
        return max(complete, key=lambda trial: trial.value or 0.0, default=None)

    # ---- one trial ----

    def _propose(self, number: int, kept: Trial | None) -> Any:
        """optuna's trial; of one that was interrupted, with the settings that it had."""
        (seed,) = np.random.SeedSequence([self.seed, number]).generate_state(1)
        self.study.sampler = self.optuna.samplers.TPESampler(seed=int(seed))
        if kept is not None:
            self.study.enqueue_trial(kept.params)
        return self.study.ask(self.distributions)

    def _try(
        self, trial: Trial, proposal: Any, on_epoch: Callable[[dict[str, Any]], None] | None
    ) -> None:
        """Run a trial until it is complete, pruned or failed."""
        states = self.optuna.trial.TrialState
        try:
            experiment = replace(self.make_experiment(trial.params), protocol="validation")
        except (ValueError, TypeError) as error:
            trial.state, trial.error = "failed", str(error)
            self.study.tell(proposal, state=states.FAIL)
            return
        run = StudyRun(Cell(_name(trial.number), {}), experiment, self.folder / "trials")

        def hear(record: dict[str, Any]) -> bool:
            """Note an epoch; True where the trial is to end there."""
            value = record.get("valid", {}).get(experiment.train.monitor)
            if value is None or record["epoch"] in trial.values:
                return False
            trial.values[record["epoch"]] = value
            proposal.report(value, record["epoch"])
            return bool(proposal.should_prune())

        def hear_and_show(record: dict[str, Any]) -> bool:
            if on_epoch is not None:
                on_epoch(record)
            return hear(record)

        pruned = any(hear(record) for record in _records(run))
        if not pruned:
            outcome = run_in_process(run, threads=self.threads, on_epoch=hear_and_show)
            pruned = outcome.stopped
            trial.error = outcome.error
        if pruned:
            trial.state = "pruned"
            self.study.tell(proposal, state=states.PRUNED)
        elif trial.error is not None or trial.value is None:
            trial.state = "failed"
            trial.error = trial.error or "no epoch was evaluated on validation"
            self.study.tell(proposal, state=states.FAIL)
        else:
            result = run.result()
            trial.state, trial.train_seconds = "complete", result["train_seconds"]
            trial.test = {
                name: value for name, value in result.items()
                if "@" in name and not name.startswith(("valid_", "best_on"))
            }  # fmt: skip
            self.study.tell(proposal, trial.value)

    # ---- what lasts ----

    def _check_folder(self) -> None:
        path = self.folder / "search.json"
        if path.exists() and read_json(path).get("digest") != self.asked["digest"]:
            raise ValueError(
                f"{self.folder} holds a search with another base, space, seed or pruner: choose another --out"
            )

    def _path(self, number: int) -> Path:
        return self.folder / "trials" / _name(number) / "trial.json"

    def _kept(self, number: int) -> Trial | None:
        path = self._path(number)
        if not path.exists():
            return None
        kept = read_json(path)
        kept["values"] = {int(epoch): value for epoch, value in kept["values"].items()}
        return Trial(**kept)

    def _keep(self, trial: Trial) -> None:
        path = self._path(trial.number)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(trial))

    def _tell_kept(self, trial: Trial) -> None:
        """Put a trial of an earlier process into the study."""
        states = self.optuna.trial.TrialState
        state = {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}
        self.study.add_trial(self.optuna.trial.create_trial(
            state=state[trial.state], params=trial.params, distributions=self.distributions,
            value=trial.value if trial.state == "complete" else None,
            intermediate_values=trial.values,
        ))  # fmt: skip


def _records(run: StudyRun) -> list[dict[str, Any]]:
    """The epochs that an interrupted run has behind it."""
    return run.records() if run.state() != "new" else []


def _name(number: int) -> str:
    return f"trial-{number:04d}"


def _digest(asked: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
