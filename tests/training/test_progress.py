"""What takes long shows how far it is, on a terminal and where it is asked for."""

from __future__ import annotations

import io
import sys

import pytest

from ltgnn.cli import main
from ltgnn.training import TrainConfig
from ltgnn.training.experiment import Experiment, run

SMALL = {"num_users": 120, "num_items": 150, "num_interactions": 2500}


class Terminal(io.StringIO):
    """Keeps what it is shown."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("model", "init", "expected"),
    [
        ("chebycf", None, ["starting chebycf ...", "fitting chebycf: ", "/8 ", "scoring test: "]),
        (
            "ltgnn",
            "random_projection",
            ["starting ltgnn from random_projection ...", "epoch 1/1: "],
        ),
        ("mf", "svd", ["starting mf from svd ...", "epoch 1/1: "]),
    ],
)
def test_a_run_shows_its_phases(model, init, expected, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    settings = {"dim": 8, **({} if init is None else {"init": init})}
    wanted = Experiment(data_options=SMALL, model=model, settings=settings,
                        train=TrainConfig(epochs=1))  # fmt: skip
    run(wanted)
    assert terminal.getvalue() == ""
    run(wanted, progress=True)
    for text in expected:
        assert text in terminal.getvalue()


def test_recommendations_show_how_far_they_are(tmp_path, monkeypatch):
    run(Experiment(data_options=SMALL, model="mf", train=TrainConfig(epochs=1)), tmp_path / "run")
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    assert main(["recommend", str(tmp_path / "run"), "--users", "0,1,2,3"]) == 0
    assert "ranking: " in shown.getvalue() and "/4.00 " in shown.getvalue()
