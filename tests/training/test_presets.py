"""Presets: each fits its model, and their values are those of the sources."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest

from ltgnn.graph import BipartiteGraph
from ltgnn.models import MODELS
from ltgnn.training import TrainConfig, Trainer
from ltgnn.training.experiment import Experiment
from ltgnn.training.presets import PRESETS, find_preset, list_presets, presets_of

IDS = [f"{preset.model}-{preset.name}" for preset in PRESETS]


@pytest.mark.parametrize("preset", PRESETS, ids=IDS)
def test_a_preset_is_valid_for_its_model_and_trains(preset):
    experiment = Experiment(
        model=preset.model, settings=dict(preset.settings), train=TrainConfig(**preset.train)
    )
    users = [u for u in range(12) for _ in range(4)]
    items = [(u + k) % 15 for u in range(12) for k in range(4)]
    graph = BipartiteGraph.from_edges(users, items)
    config = MODELS[preset.model].config_type(**experiment.settings)
    model = MODELS[preset.model](graph, config, seed=1)
    before = model.e0.detach().clone()
    train = {**preset.train, "epochs": 1}
    history = Trainer(model, TrainConfig(**train)).fit()
    assert history.last_epoch == 1 and math.isfinite(history.epochs[0]["loss"])
    assert (model.e0 != before).any()


@pytest.mark.parametrize("preset", PRESETS, ids=IDS)
def test_a_preset_names_what_exists_and_where_it_is_from(preset):
    assert set(preset.settings) <= {f.name for f in fields(MODELS[preset.model].config_type)}
    assert set(preset.train) <= {f.name for f in fields(TrainConfig)}
    assert preset.source
    assert find_preset(preset.model, preset.name) is preset


def test_names_are_unique_within_a_model():
    assert len({(p.model, p.name) for p in PRESETS}) == len(PRESETS)


def test_published_values():
    authors = find_preset("ltgnn", "authors")
    assert {k: authors.settings[k] for k in ("alpha", "fanout", "dim", "lr", "l2", "c0")} == {
        "alpha": 0.45, "fanout": 15, "dim": 64, "lr": 1.5e-3, "l2": 2e-4, "c0": 0.2,
    }  # fmt: skip
    assert authors.settings["init"] == "normal" and authors.settings["self_loops"] is True
    assert dict(authors.train) == {"epochs": 1000, "batch_size": 2048, "sampling": "users"}
    negatives = {
        name: (p.settings["num_negatives"], p.settings["negative_weight"], p.train["batch_size"])
        for name, p in presets_of("ultragcn").items()
        if name not in ("gowalla-short", "amazon-cds")  # this project's own
    }
    assert negatives == {
        "gowalla": (1500, 300.0, 512), "yelp2018": (800, 300.0, 1024), "amazon-book": (500, 500.0, 1024),
    }  # fmt: skip
    # On Amazon-Book the weights of the negatives are the other way around.
    book = presets_of("ultragcn")["amazon-book"].settings
    assert [book[name] for name in ("w1", "w2", "w3", "w4")] == [1e-8, 1.0, 1.0, 1e-8]


def test_flags_are_those_of_the_command_line():
    flags = find_preset("ngcf", "gowalla").flags()
    assert (flags["ngcf.lr"], flags["batch_size"], flags["epochs"]) == (1e-4, 1024, 400)


def test_a_preset_cannot_be_changed():
    with pytest.raises(TypeError):
        find_preset("ngcf", "gowalla").settings["lr"] = 1.0  # type: ignore[index]


def test_unknown_names_say_what_there_is():
    with pytest.raises(ValueError, match="model mf has no preset 'gowalla'; there are ltgnn: gow"):
        find_preset("mf", "gowalla")
    assert "ultragcn: gowalla, gowalla-short, amazon-cds, yelp2018, amazon-book" in list_presets()
