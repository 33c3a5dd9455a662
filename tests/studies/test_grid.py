"""Grids and variants become cells."""

from __future__ import annotations

from pathlib import Path

import pytest
from studies.study_tools import small_experiment

from ltgnn.studies import StudyConfig, expand
from ltgnn.studies.ablation import plan
from ltgnn.studies.config import merge, nest
from ltgnn.studies.run_folder import StudyRun, digest


def names(**parts):
    return [cell.name for cell in expand(StudyConfig(**parts))]


def test_every_combination_is_a_cell_last_key_fastest():
    cells = expand(StudyConfig(grid={"ltgnn.fanout": [0, 4], "ltgnn.loss": ["bpr", "softmax"]}))
    assert [cell.overrides for cell in cells] == [
        {"ltgnn.fanout": 0, "ltgnn.loss": "bpr"}, {"ltgnn.fanout": 0, "ltgnn.loss": "softmax"},
        {"ltgnn.fanout": 4, "ltgnn.loss": "bpr"}, {"ltgnn.fanout": 4, "ltgnn.loss": "softmax"},
    ]  # fmt: skip
    assert cells[1].name == "fanout=0, loss=softmax"


def test_another_models_settings_make_no_cells():
    grid = {"model": ["ltgnn", "mf", "lightgcn"], "ltgnn.fanout": [0, 4], "lightgcn.layers": [1, 2]}
    assert names(grid=grid) == [
        "model=ltgnn, fanout=0", "model=ltgnn, fanout=4", "model=mf",
        "model=lightgcn, layers=1", "model=lightgcn, layers=2",
    ]  # fmt: skip
    assert names(grid={"ltgnn.fanout": [0, 4]}, base={"model": "mf"}) == ["mf"]


def test_variants_come_after_the_grid_and_nothing_is_one_cell():
    variants = {"authors": {"preset": "authors"}, "plain": {}}
    assert names(grid={"epochs": [1, 2]}, variants=variants) == [
        "epochs=1", "epochs=2", "authors", "plain",
    ]  # fmt: skip
    assert names() == ["base"]


def test_values_that_look_alike_are_told_apart():
    lr = [0.1, 0.10000001, 1e-7]
    assert names(grid={"ltgnn.lr": lr}) == ["lr=0.1", "lr=0.10000001", "lr=1e-07"]
    assert names(grid={"ltgnn.self_loops": [True, False]}) == [
        "self_loops=true",
        "self_loops=false",
    ]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"grid": {"model": ["ltgcn"]}}, "grid: no model named 'ltgcn'; there are .*gcn, "),
        ({"grid": {"epochs": []}}, "grid: epochs must list at least one value"),
        ({"grid": {"seed": [1, 2]}}, r"grid: seed cannot be varied here \(seeds, protocols\)"),
        ({"space": {"protocol": {}}}, "space: protocol cannot be varied"),
        ({"variants": {"a": {"out": "x"}}}, "variants: a: out cannot be varied"),
        ({"base": {"out": "x"}}, "base: out must be left out"),
        ({"seeds": []}, "seeds must be different numbers, at least one"),
        ({"seeds": [1, 1]}, "seeds must be different numbers"),
        (
            {"protocols": ["best"]},
            r"protocols must be of auto, validation, test, last, got \['best'",
        ),
        ({"protocols": ["auto", "validation"]}, "protocols must be 'auto' alone or without it"),
        ({"metrics": ["recall"]}, "metrics must be METRIC@K"),
        ({"metrics": []}, "metrics must name at least one"),
        ({"grid": {"epochs": [1]}, "variants": {"epochs=1": {}}}, "is the name of another cell"),
        ({"grid": {"epochs": [1, "1"]}}, "grid: epochs has the value 1 more than once"),
    ],
)
def test_what_makes_no_sense_is_named(parts, message):
    with pytest.raises(ValueError, match=message):
        expand(StudyConfig(**parts))


def test_base_may_be_what_print_config_writes():
    assert StudyConfig(base={"out": None, "overwrite": False, "resume": None, "epochs": 3})


def test_dots_lead_into_groups():
    assert nest({"a.b.c": 1, "a": {"d": 2}, "e": {"f.g": 3}}) == {
        "a": {"b": {"c": 1}, "d": 2}, "e": {"f.g": 3},
    }  # fmt: skip
    base = {"a": {"b": 1, "c": 2}}
    assert merge(base, {"a": {"b": 5}, "d": None}) == {"a": {"b": 5, "c": 2}, "d": None}
    assert base == {"a": {"b": 1, "c": 2}}


def test_a_plan_has_each_cell_with_each_protocol_and_seed(tmp_path):
    config = StudyConfig(
        grid={"ltgnn.fanout": [0, 4]}, seeds=[3, 5], protocols=["test", "validation"]
    )
    runs = plan(config, tmp_path, lambda over: small_experiment(fanout=over["ltgnn.fanout"]))
    found = [
        (r.cell.name, r.experiment.settings["fanout"], r.experiment.protocol, r.experiment.train.seed)
        for r in runs
    ]  # fmt: skip
    assert found == [
        (f"fanout={fanout}", fanout, protocol, seed)
        for seed in (3, 5) for fanout in (0, 4) for protocol in ("test", "validation")
    ]  # fmt: skip
    assert len({run.folder for run in runs}) == 8 and list(tmp_path.iterdir()) == []


def test_a_plan_names_the_cell_whose_settings_are_wrong(tmp_path):
    def make(overrides):
        return small_experiment(fanout=overrides["ltgnn.fanout"])

    config = StudyConfig(grid={"ltgnn.fanout": [4, -1]})
    with pytest.raises(ValueError, match=r"cell 'fanout=-1': fanout must be in \[0, 256\], got -1"):
        plan(config, tmp_path, make)
    config = StudyConfig(grid={"ltgnn.fanout": [4]}, metrics=["recall@7"])
    with pytest.raises(ValueError, match="metrics must be at one of ks .*, got 'recall@7'"):
        plan(config, tmp_path, make)


def test_other_settings_are_another_folder():
    from ltgnn.studies import Cell

    one, other = small_experiment(alpha=0.5), small_experiment(alpha=0.6)
    assert digest(one) == digest(small_experiment(alpha=0.5)) != digest(other)
    cell = Cell("../a b|c, x=1", {})
    folder = StudyRun(cell, one, Path("root")).folder
    assert folder.parent == Path("root/a-b-c-x=1")  # nothing leads out of the root
    assert folder.name == f"test-seed0-{digest(one)}"
