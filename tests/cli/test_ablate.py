"""`ltgnn ablate`, as users type it."""

from __future__ import annotations

import fcntl
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from studies.study_tools import without_times

from ltgnn.cli import main
from ltgnn.cli.study import maker, read_study
from ltgnn.studies.ablation import plan
from ltgnn.training.experiment import run as run_here

BASE = """
base:
  epochs: 2
  batch_size: 256
  threads: 1
  synthetic: {num_users: 60, num_items: 80, num_interactions: 1200}
  ltgnn.dim: 8
"""


def write(folder: Path, text: str) -> str:
    path = folder / "study.yaml"
    path.write_text(BASE + text)
    return str(path)


def test_a_study_with_a_failing_cell(tmp_path, capsys):
    study = write(tmp_path, """
variants:
  plain: {}
  broken: {ltgnn.loss: bpr, ltgnn.lr: 1e30}
seeds: [3]
protocols: [test, validation]
levels: [0.01, 0.99]
""")  # fmt: skip
    out, copy = tmp_path / "out", tmp_path / "deep" / "table.json"
    assert main(["ablate", study, "--out", str(out), "--json", str(copy)]) == 1
    said = capsys.readouterr()
    assert "ltgnn ablate: error: 2 of 4 runs failed, the first with: TrainingError" in said.err
    assert "[1/4] plain, test, seed 3" in said.out and "epoch 2: loss" in said.out
    table = json.loads((out / "table.json").read_text())
    assert json.loads(copy.read_text()) == table and table["ablation"] == "study"
    plain, broken = table["rows"]
    assert list(plain["protocols"]) == list(broken["protocols"]) == ["test", "validation"]
    assert plain["protocols"]["test"]["runs"] == broken["protocols"]["test"]["failed"] == 1
    assert plain["protocols"]["test"]["seconds_to"]["0.99"]["reached"] == 0
    assert len(table["failures"]) == 2 and "Traceback" in table["failures"][0]["details"]
    assert "broken (2 of 2 runs failed)" in (out / "table.md").read_text()
    assert (out / "table.csv").read_text().count("\n") == 5

    # Each run is that which `ltgnn train` makes of the same settings, but for the protocol's choice.
    config = read_study(study)
    runs = plan(config, out, maker(config.base))
    here = run_here(runs[1].experiment)
    assert runs[1].experiment.protocol == "validation" and runs[1].experiment.train.seed == 3
    there = runs[1].result()
    assert there["recall@20"] == here["recall@20"] and there["best_epoch"] == here["best_epoch"]

    # Without running anything: what there is.
    assert main(["ablate", study, "--out", str(out), "--dry_run", "true"]) == 0
    said = capsys.readouterr().out
    assert "plain, test, seed 3: finished" in said
    assert "broken, test, seed 3: not finished yet (interrupted)" in said


@pytest.mark.slow
def test_a_study_killed_in_the_middle_goes_on(tmp_path):
    """kill -9 of the command: its child ends too, and the study ends with the bits of an uninterrupted one."""
    study = write(tmp_path, "grid: {ltgnn.fanout: [0, 4]}\nseeds: [0]\nprotocols: [test]\n")
    text = Path(study).read_text().replace("epochs: 2", "epochs: 20")
    Path(study).write_text(text)
    out = tmp_path / "out"
    config = read_study(study)
    first, second = plan(config, out, maker(config.base))
    command = [
        sys.executable, "-c", "import sys; from ltgnn.cli import main; sys.exit(main())",
        "ablate", study, "--out", str(out),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(second.records()) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -9, "it ended before it could be killed"
    lock = second.folder.parent / f".{second.folder.name}.lock"
    with open(lock) as held:  # the child's: free as soon as it is gone
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                assert time.monotonic() < deadline, "the child lives on"
                time.sleep(0.05)
    assert (first.state(), second.state()) == ("finished", "interrupted")
    before = (first.folder / "result.json").stat().st_mtime_ns

    done = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "[2/2] fanout=4, test, seed 0 (goes on)" in done and "[1/2]" not in done
    assert (first.folder / "result.json").stat().st_mtime_ns == before
    for run in (first, second):
        whole = tmp_path / "whole" / run.cell.name
        expected = run_here(run.experiment, whole)
        log = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
        assert without_times(run.records()) == without_times(log)
        assert run.result()["recall@20"] == expected["recall@20"]


def test_a_model_without_training_has_a_row(tmp_path, capsys):
    study = write(tmp_path, "variants:\n  filter: {model: chebycf}\nseeds: [0]\n")
    assert main(["ablate", study, "--out", str(tmp_path / "out")]) == 0
    assert "| filter |" in (tmp_path / "out" / "table.md").read_text()
    assert "recall@20" in capsys.readouterr().out


def test_plots(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    study = write(tmp_path, "grid: {model: [ltgnn, mf]}\nseeds: [0]\nprotocols: [test]\n")
    out = tmp_path / "out"
    assert main(["ablate", study, "--out", str(out), "--plot", "svg"]) == 0
    pictures = [(out / f"accuracy-{name}.svg").read_text() for name in ("time", "memory")]
    assert all("</svg>" in picture for picture in pictures) and pictures[0] != pictures[1]
    for kind in ("png", "pdf"):
        assert main(["ablate", study, "--out", str(out), "--plot", kind]) == 0
        assert (out / f"accuracy-time.{kind}").stat().st_size > 1000
    # The same figures are the same file.
    assert main(["ablate", study, "--out", str(out), "--plot", "svg"]) == 0
    assert pictures[0] == (out / "accuracy-time.svg").read_text()
    assert "accuracy-memory.svg" in capsys.readouterr().out


def test_without_matplotlib_nothing_is_run_and_the_extra_is_named(tmp_path, capsys, monkeypatch):
    whole = importlib.import_module

    def without(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError("No module named 'matplotlib'")
        return whole(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    study = write(tmp_path, "seeds: [0]\n")
    assert main(["ablate", study, "--out", str(tmp_path / "out"), "--plot", "svg"]) == 1
    assert 'pip install "ltgnn[plot]"' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "grid: {ltgnn.fanot: [1]}",
            "cell 'fanot=1': Group 'ltgnn' does not accept option 'fanot'",
        ),
        ("grid: {ltgnn.fanout: [-1]}", "cell 'fanout=-1': "),
        ("grid: {ltgnn.fanout: 4}", "grid"),
        ("grd: {ltgnn.fanout: [4]}", "grd"),
        ("variants: {a: {preset: nowhere}}", "cell 'a': model ltgnn has no preset 'nowhere'"),
        ("seeds: [1, 1]", "seeds must be different numbers"),
        ("metrics: [recall@7]", "metrics must be at one of ks"),
        ("grid: [", "study.yaml"),
    ],
)
def test_a_wrong_study_is_named_before_anything_runs(text, message, tmp_path, capsys):
    study = write(tmp_path, text)
    assert main(["ablate", study, "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_a_missing_study_is_named(tmp_path, capsys):
    assert main(["ablate", str(tmp_path / "none.yaml"), "--out", str(tmp_path / "out")]) == 1
    assert "there is no study file" in capsys.readouterr().err


def test_a_base_from_print_config_with_a_preset(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["train", "--print_config"])
    lines = capsys.readouterr().out.splitlines()
    path = tmp_path / "study.yaml"
    path.write_text("base:\n" + "".join(f"  {line}\n" for line in lines))
    config = read_study(str(path))
    make = maker(config.base)
    assert make({}) == maker({})({})
    assert make({"ltgnn.alpha": 0.3}).settings["alpha"] == 0.3
    # A preset lies below what it is named with: that of a cell over the base, that of the base below it.
    cell = make({"preset": "authors", "epochs": 7})
    assert (cell.settings["alpha"], cell.train.sampling, cell.train.epochs) == (0.45, "users", 7)
    assert maker({"preset": "authors", "ltgnn.alpha": 0.2})({}).settings["alpha"] == 0.2
    assert maker({"preset": "authors"})({"ltgnn.alpha": 0.1}).settings["alpha"] == 0.1
    assert maker({"preset": "authors"})({"preset": None}).settings["alpha"] == 0.55
