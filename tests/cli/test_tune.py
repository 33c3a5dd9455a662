"""`ltgnn tune`, as users type it."""

from __future__ import annotations

import importlib
import json

import pytest

from ltgnn.cli import main
from ltgnn.cli.main import parse
from ltgnn.cli.study import maker, read_study
from ltgnn.cli.train import experiment_of
from ltgnn.training.experiment import run as run_here

STUDY = """
base:
  epochs: 2
  batch_size: 256
  threads: 1
  seed: 5
  synthetic: {num_users: 60, num_items: 80, num_interactions: 1200}
  ltgnn.dim: 8
space:
  ltgnn.lr: {low: 1e-4, high: 1e-1, log: true}
  ltgnn.fanout: {low: 0, high: 4}
  ltgnn.loss: {choices: [softmax, bpr]}
"""


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return str(path)


def test_the_best_settings_are_a_config_that_train_reads(study, tmp_path, capsys):
    pytest.importorskip("optuna", reason="optuna is not installed")
    out = tmp_path / "out"
    assert (
        main(
            ["tune", study, "--out", str(out), "--trials", "2", "--json", str(tmp_path / "r.json")]
        )
        == 0
    )
    said = capsys.readouterr().out
    assert "trial 0: ltgnn.lr " in said and "epoch 2: loss" in said and "best: trial " in said
    result = json.loads((out / "result.json").read_text())
    assert json.loads((tmp_path / "r.json").read_text()) == result
    best = result["trials"][result["best"]]
    assert best["value"] == max(t["value"] for t in result["trials"] if t["state"] == "complete")

    args = parse(["train", "--config", str(out / "best.yaml")]).train
    experiment = experiment_of(args)
    config = read_study(study)
    assert experiment == maker(config.base)(best["params"])
    assert experiment.train.seed == 5 and experiment.settings["lr"] == best["params"]["ltgnn.lr"]
    assert experiment.protocol == "auto"  # of the built-in data, that is validation
    assert run_here(experiment)["valid_recall@20"] == best["value"]

    # It is done: nothing is run again.
    assert main(["tune", study, "--out", str(out), "--trials", "2"]) == 0
    assert "epoch" not in capsys.readouterr().out.replace("at that epoch", "")


def test_other_data_are_another_search(study, tmp_path, capsys):
    pytest.importorskip("optuna", reason="optuna is not installed")
    likes = tmp_path / "likes.txt"
    likes.write_text("".join(f"{u} {' '.join(map(str, range(u, u + 12)))}\n" for u in range(40)))
    out = str(tmp_path / "out")
    assert main(["tune", study, "--out", out, "--trials", "1", "--data", str(likes)]) == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["base"]["data"] == str(likes)
    assert main(["tune", study, "--out", out, "--trials", "1"]) == 1
    assert "holds a search with another base, space, seed or pruner" in capsys.readouterr().err


def test_without_optuna_the_extra_is_named(study, tmp_path, capsys, monkeypatch):
    whole = importlib.import_module

    def without(name, *rest):
        if name == "optuna":
            raise ImportError("No module named 'optuna'")
        return whole(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    assert main(["tune", study, "--out", str(tmp_path / "out")]) == 1
    assert 'pip install "ltgnn[tune]"' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (
            ("low: 0, high: 4", "low: 5, high: 4"),
            [],
            "space: ltgnn.fanout: low must be at most high",
        ),
        (("epochs: 2", "epoch: 2"), [], "epoch"),
        (("", ""), ["--trials", "0"], "--trials must be at least 1, got 0"),
        (("", ""), ["--threads", "0"], "--threads must be at least 1, got 0"),
        (("space:", "grid: {}\nspce:"), [], "spce"),
    ],
)
def test_what_is_wrong_is_named_before_anything_runs(
    change, arguments, message, study, tmp_path, capsys
):
    with open(study, "w") as file:
        file.write(STUDY.replace(*change))
    assert main(["tune", study, "--out", str(tmp_path / "out"), *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()
