"""Runs in processes of their own: finished, failed, stopped, killed, and taken up again."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import pytest
from studies.study_tools import small_experiment, study_run, without_times

from ltgnn.studies import process
from ltgnn.studies.ablation import RunOutcome, locked, run_all
from ltgnn.studies.process import run_in_process
from ltgnn.training.experiment import run as run_here


def child_of_this_process() -> int:
    """The process that works on the run."""
    path = f"/proc/self/task/{os.getpid()}/children"
    with open(path) as file:
        (pid,) = map(int, file.read().split())
    return pid


def test_a_run_in_its_own_process_is_the_run(tmp_path):
    run = study_run(tmp_path, small_experiment())
    seen = []
    assert run.state() == "new"
    outcome = run_in_process(run, threads=1, on_epoch=seen.append)
    assert (outcome.error, outcome.stopped, run.state()) == (None, False, "finished")
    assert [record["epoch"] for record in seen] == [1, 2, 3]
    here = run_here(run.experiment, tmp_path / "here")
    there = run.result()
    assert there["recall@20"] == here["recall@20"] and there["threads"] == 1
    assert 50 < there["peak_rss_mb"] < 5000

    # Finished: nothing is done again.
    before = (run.folder / "result.json").stat().st_mtime_ns
    assert run_in_process(run, on_epoch=seen.append).error is None
    assert (run.folder / "result.json").stat().st_mtime_ns == before and len(seen) == 3


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    experiment = small_experiment(train={"epochs": 6})
    run = study_run(tmp_path, experiment)

    def kill(record):
        if record["epoch"] == 3:
            os.kill(child_of_this_process(), signal.SIGKILL)

    outcome = run_in_process(run, threads=1, on_epoch=kill)
    assert outcome.error == "the process was ended by SIGKILL (out of memory?)"
    assert run.state() == "interrupted" and 3 <= len(run.records()) < 6
    seen = []
    assert run_in_process(run, threads=1, on_epoch=seen.append).error is None
    assert seen[0]["epoch"] > 1, "it started anew"
    whole = study_run(tmp_path / "whole", experiment)
    run_here(experiment, whole.folder)
    assert without_times(run.records()) == without_times(whole.records())
    same = [name for name in run.result() if "@" in name or name == "best_epoch"]
    assert [run.result()[n] for n in same] == [whole.result()[n] for n in same]


def test_a_run_is_stopped_on_request(tmp_path):
    run = study_run(tmp_path, small_experiment(train={"epochs": 500}))
    outcome = run_in_process(run, threads=1, on_epoch=lambda record: record["epoch"] >= 2)
    assert outcome.stopped and outcome.error is None and run.state() == "interrupted"


def test_a_failing_run_is_told_and_the_next_one_runs(tmp_path):
    bad = small_experiment(loss="bpr", lr=1e30)
    runs = [study_run(tmp_path, bad, "bad"), study_run(tmp_path, small_experiment(), "good")]
    started, ended = [], []
    outcomes = run_all(
        runs, threads=1, on_start=lambda place, run: started.append(run.cell.name),
        on_end=lambda place, outcome: ended.append((place, outcome.error is None)),
    )  # fmt: skip
    assert started == ["bad", "good"] and ended == [(0, False), (1, True)]
    assert "TrainingError: the loss is" in (outcomes[0].error or "")
    assert "Traceback" in outcomes[0].details and "TrainingError" in outcomes[0].details
    assert outcomes[1] == RunOutcome(runs[1], None, "")
    assert not (tmp_path / "stderr.txt").exists()


@pytest.mark.parametrize(("ending", "error"), [
    ("sys.exit(3)", "the process ended with status 3"),
    ("os.kill(os.getpid(), 15)", "the process was ended by SIGTERM"),
    ("sys.exit(0)", "the process ended with status 0"),
])  # fmt: skip
def test_a_process_that_cannot_start_is_told(tmp_path, monkeypatch, ending, error):
    monkeypatch.setattr(
        process, "CHILD", f"import os, sys; print('why', file=sys.stderr, flush=True); {ending}"
    )
    outcome = run_in_process(study_run(tmp_path, small_experiment()))
    assert (outcome.error, outcome.details, outcome.stopped) == (error, "why", False)


def test_what_a_library_prints_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(
        process, "CHILD", "print(3); print('[1]'); print('null'); print('{'); exit(3)"
    )
    outcome = run_in_process(study_run(tmp_path, small_experiment()))
    assert outcome.error == "the process ended with status 3"


def test_damaged_checkpoints_start_anew(tmp_path):
    run = study_run(tmp_path, small_experiment())
    run_here(run.experiment, run.folder)
    expected = without_times(run.records())
    (run.folder / "result.json").unlink()
    for path in (run.folder / "last").rglob("*"):
        if path.is_file():
            path.write_bytes(b"damaged")
    assert run.state() == "interrupted"
    seen = []
    assert run_in_process(run, threads=1, on_epoch=seen.append).error is None
    assert seen[0]["epoch"] == 1 and without_times(run.records()) == expected


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"data": 1}', "{}"])
def test_a_damaged_config_counts_for_nothing(tmp_path, text):
    run = study_run(tmp_path, small_experiment())
    run_here(run.experiment, run.folder)
    assert run.state() == "finished"
    (run.folder / "config.json").write_text(text)
    assert run.state() == "new"


def test_a_folder_of_other_settings_counts_for_nothing(tmp_path):
    run = study_run(tmp_path, small_experiment())
    run_here(replace(run.experiment, valid_fraction=0.2), run.folder)
    assert run.state() == "new"


def test_auto_is_recognised_by_what_was_asked(tmp_path):
    run = study_run(tmp_path, small_experiment(protocol="auto"))
    run_here(run.experiment, run.folder)
    assert json.loads((run.folder / "config.json").read_text())["protocol"] == "validation"
    assert run.state() == "finished"


def test_a_half_written_last_line_is_left_out(tmp_path):
    run = study_run(tmp_path, small_experiment())
    run.folder.mkdir(parents=True)
    (run.folder / "log.jsonl").write_text('{"epoch": 1}\n{"epo')
    assert run.records() == [{"epoch": 1}]


def test_two_cannot_work_on_one_study(tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(OSError, match="another process is at work"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        pass
