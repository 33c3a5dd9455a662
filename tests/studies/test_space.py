"""Search spaces: what is accepted, what is named as wrong, and what optuna makes of them."""

from __future__ import annotations

import importlib

import pytest

from ltgnn.studies.space import check_space, distributions

WRONG = [
    ({}, "space must name at least one setting"),
    ({"a": {}}, "space: a: expected choices, or low and high .* got nothing"),
    ({"a": {"low": 1}}, "a: expected choices, or low and high"),
    ({"a": {"low": 1, "high": 2, "hihg": 3}}, "a: expected choices, or low and high"),
    ({"a": {"low": 2, "high": 1}}, "a: low must be at most high, got 2 and 1"),
    ({"a": {"low": float("nan"), "high": 1}}, "a: low must be at most high"),
    ({"a": {"low": "x", "high": 1}}, "a: low must be a number, got 'x'"),
    ({"a": {"low": True, "high": 1}}, "a: low must be a number, got True"),
    ({"a": {"low": 0, "high": 1, "log": True}}, "a: low must be positive on a log scale, got 0"),
    ({"a": {"low": 1, "high": 2, "log": "yes"}}, "a: log must be true or false, got 'yes'"),
    (
        {"a": {"low": 1, "high": 2, "log": True, "step": 1}},
        "a: there is either a log scale or a step",
    ),
    ({"a": {"low": 1, "high": 2, "step": 0}}, "a: step must be positive, got 0"),
    ({"a": {"choices": []}}, "a: choices must be a list of at least one value"),
    ({"a": {"choices": 3}}, "a: choices must be a list"),
    (
        {"a": {"choices": [[1]]}},
        r"a: choices must be numbers, words, true, false or null, got \[1\]",
    ),
    ({"a": {"choices": [1], "low": 1}}, "a: choices must stand alone, got choices, low"),
]


@pytest.mark.parametrize(("space", "message"), WRONG)
def test_what_makes_no_sense_is_named(space, message):
    with pytest.raises(ValueError, match=message):
        check_space(space)


def test_what_optuna_makes_of_it():
    optuna = pytest.importorskip("optuna", reason="optuna is not installed")
    kinds = optuna.distributions
    found = distributions({
        "lr": {"low": 1e-4, "high": 1e-2, "log": True}, "alpha": {"low": 0.0, "high": 1, "step": 0.25},
        "fanout": {"low": 0, "high": 16, "step": 4}, "dim": {"low": 8, "high": 64, "log": True},
        "loss": {"choices": ["bpr", None]}, "fixed": {"low": 3, "high": 3},
    })  # fmt: skip
    assert found == {
        "lr": kinds.FloatDistribution(1e-4, 1e-2, log=True),
        "alpha": kinds.FloatDistribution(0.0, 1.0, step=0.25),
        "fanout": kinds.IntDistribution(0, 16, step=4),
        "dim": kinds.IntDistribution(8, 64, log=True),
        "loss": kinds.CategoricalDistribution(["bpr", None]),
        "fixed": kinds.IntDistribution(3, 3),
    }


def test_without_optuna_the_extra_is_named(monkeypatch):
    def without(name, *rest):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ImportError, match=r'needs optuna.*pip install "ltgnn\[tune\]".*No module'):
        distributions({"a": {"low": 1, "high": 2}})
