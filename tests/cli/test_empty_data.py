"""The commands on data that hold no interactions."""

from __future__ import annotations

import json

import pytest

from ltgnn.cli import main


@pytest.mark.parametrize("model", ["ltgnn", "chebycf"])
def test_data_without_interactions_are_not_trained_on(model, tmp_path, capsys):
    (tmp_path / "a").write_text("")
    assert main(["convert", str(tmp_path / "a"), str(tmp_path / "s")]) == 0
    folder = tmp_path / "split"  # users and items, but all in test
    folder.mkdir()
    (folder / "train.txt").write_text("0\n1\n")
    (folder / "test.txt").write_text("0 1\n1 0\n")
    for name in ("a", "s", "split"):
        for more in ([], ["--estimate", "true"]):
            command = ["train", "--data", str(tmp_path / name), "--model", model, *more]
            assert main([*command, "--out", str(tmp_path / "run")]) == 1
            error = capsys.readouterr().err
            assert f"{name}: expected data to train on, got no interactions (" in error
            assert "; train 0, " in error and not (tmp_path / "run").exists()


def test_info_of_an_empty_store(tmp_path, capsys):
    (tmp_path / "a").write_text("")
    assert main(["convert", str(tmp_path / "a"), str(tmp_path / "s")]) == 0
    assert main(["info", str(tmp_path / "s"), "--verify", "true"]) == 0
    shown = capsys.readouterr().out
    assert "users 0, items 0; train 0, test 0; split: random (test_fraction 0.2, seed 0)" in shown


def test_there_is_no_picture_of_nothing(tmp_path, capsys):
    (tmp_path / "a").write_text("0\n5\n")  # users, who have nothing
    store, facts, picture = (str(tmp_path / name) for name in ("s", "facts.json", "x.svg"))
    assert main(["convert", str(tmp_path / "a"), store]) == 0
    assert main(["info", store, "--plot", picture, "--json", facts]) == 1
    shown = capsys.readouterr()
    assert f"--plot: expected interactions in train to draw, got none in {store}" in shown.err
    assert "users 6, items 0" in shown.out
    assert json.loads((tmp_path / "facts.json").read_text())["num_users"] == 6
    assert not (tmp_path / "x.svg").exists()
