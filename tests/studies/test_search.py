"""The search: what it proposes, prunes, keeps, and how it goes on. Runs are pretended, but for one."""

from __future__ import annotations

import math

import pytest
from studies.study_tools import pretend_finished, pretend_interrupted, small_experiment

from ltgnn.studies import StudyConfig, search
from ltgnn.studies.process import Outcome
from ltgnn.studies.search import Search

pytest.importorskip("optuna", reason="optuna is not installed")

SPACE = {"lr": {"low": 1e-4, "high": 1.0, "log": True}, "alpha": {"low": 0.2, "high": 0.8}}
EPOCHS = 4


def make(overrides):
    if overrides["alpha"] > 0.75:
        raise ValueError("alpha is too large for this test")
    return small_experiment(train={"epochs": EPOCHS}, lr=overrides["lr"], alpha=overrides["alpha"])


def score(settings, epoch):
    """What validation says: best at lr 0.01, alpha 0.5, more with every epoch."""
    distance = abs(math.log10(settings["lr"]) + 2) + abs(settings["alpha"] - 0.5)
    return epoch / (1.0 + distance)


@pytest.fixture
def pretended(monkeypatch):
    """Runs without training. Returns the list of runs that were started; its `stop_at` interrupts the search."""

    class Started(list):
        stop_at: tuple[int, int] | None = None

    started = Started()

    def pretend(run, *, threads, on_epoch):
        started.append(run.cell.name)
        settings, records = run.experiment.settings, []
        for epoch in range(1, EPOCHS + 1):
            value = score(settings, epoch)
            records.append(
                {"epoch": epoch, "loss": 1.0, "seconds": 1.0, "valid": {"recall@20": value}}
            )
            if started.stop_at == (len(started), epoch):
                # Logged, but not heard of; a run that goes on tells some epochs again.
                pretend_interrupted(run, records)
                raise KeyboardInterrupt
            if on_epoch(records[-1]):
                return Outcome(stopped=True)
        pretend_finished(run, records, **{"recall@20": 0.5, "valid_recall@20": value})
        return Outcome()

    monkeypatch.setattr(search, "run_in_process", pretend)
    return started


def new_search(folder, **options):
    return Search(StudyConfig(base={"x": 1}, space=SPACE), folder, make, **options)


def summary(trials):
    return [(t.number, t.params, t.state, t.values, t.error) for t in trials]


def test_it_finds_prunes_and_records_failures(tmp_path, pretended):
    found = new_search(tmp_path)
    trials = found.run(30)
    states = {
        state: [t for t in trials if t.state == state] for state in ("complete", "pruned", "failed")
    }
    assert sum(map(len, states.values())) == 30 and all(states.values())
    assert all(t.params["alpha"] > 0.75 and "too large" in t.error for t in states["failed"])
    assert all(len(t.values) == EPOCHS for t in states["complete"])
    assert all(len(t.values) < EPOCHS for t in states["pruned"])
    best = found.best()
    assert best.value == max(t.value for t in states["complete"])
    assert best.value == score(best.params, EPOCHS) > 0.6 * EPOCHS
    assert best.test == {"recall@20": 0.5} and best.train_seconds == EPOCHS
    assert found.trials[0].number == 0 and len(pretended) == 30 - len(states["failed"])


@pytest.mark.parametrize("stop_at", [(4, 2), (9, 1), (1, 4)])
def test_an_interrupted_search_comes_to_what_it_would_have(tmp_path, pretended, stop_at):
    whole = summary(new_search(tmp_path / "whole").run(14))
    pretended.clear()
    pretended.stop_at = stop_at
    with pytest.raises(KeyboardInterrupt):
        new_search(tmp_path / "broken").run(14)
    pretended.stop_at = None
    before = list(pretended)
    again = new_search(tmp_path / "broken")
    assert summary(again.run(14)) == whole
    again_run = pretended[len(before) :]
    assert not set(again_run) & set(before[:-1]), "a trial that had ended is run again"


def test_more_trials_go_on_where_it_ended(tmp_path, pretended):
    whole = summary(new_search(tmp_path / "whole").run(9))
    assert summary(new_search(tmp_path / "parts").run(4)) == whole[:4]
    count = len(pretended)
    assert summary(new_search(tmp_path / "parts").run(4)) == whole[:4] and len(pretended) == count
    assert summary(new_search(tmp_path / "parts").run(9)) == whole


def test_seeds_and_pruners_differ(tmp_path, pretended):
    one, other = (summary(new_search(tmp_path / str(s), seed=s).run(3)) for s in (0, 1))
    assert one[0][1] != other[0][1]
    states = [t.state for t in new_search(tmp_path / "none", pruner="none").run(20)]
    assert "pruned" not in states
    assert new_search(tmp_path / "halving", pruner="halving").run(12)


def test_a_folder_of_another_search_is_refused(tmp_path, pretended):
    new_search(tmp_path).run(1)
    with pytest.raises(ValueError, match="holds a search with another base, space, seed or pruner"):
        new_search(tmp_path, seed=1)


def test_without_evaluations_a_trial_fails(tmp_path, pretended, monkeypatch):
    monkeypatch.setattr(search, "run_in_process", lambda run, **rest: Outcome())
    found = new_search(tmp_path)
    (trial,) = found.run(1)
    assert trial.state == "failed" and found.best() is None
    assert trial.error == "no epoch was evaluated on validation"


def test_a_failing_run_is_a_failed_trial(tmp_path, pretended, monkeypatch):
    monkeypatch.setattr(search, "run_in_process", lambda run, **rest: Outcome("TrainingError: nan"))
    (trial,) = new_search(tmp_path).run(1)
    assert (trial.state, trial.error) == ("failed", "TrainingError: nan")
