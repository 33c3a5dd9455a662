"""Runs on a block store: the results of a run in memory, nothing loaded whole, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from ltgnn.cli import main
from ltgnn.data import BlockStore, Dataset, Interactions, StoreError, convert, load
from ltgnn.graph import TableStorage
from ltgnn.training import TrainConfig, checkpoint
from ltgnn.training import experiment as experiments
from ltgnn.training.experiment import Experiment, build_model, open_data, run
from ltgnn.training.run_data import DatasetInMemory, DatasetInStore
from ltgnn.training.scoring import best_items, score, seen_rows


@pytest.fixture
def source(tmp_path):
    """A folder with a given split, in which some users have nothing to test."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    random = np.random.default_rng(0)
    train, test = [], []
    for user in range(60):
        items = np.sort(random.choice(50, 14, replace=False))
        train.append(f"{user} " + " ".join(map(str, items[:9])))
        if user % 4:
            test.append(f"{user} " + " ".join(map(str, items[9:])))
    (folder / "train.txt").write_text("\n".join(train) + "\n")
    (folder / "test.txt").write_text("\n".join(test) + "\n")
    return folder


def test_what_is_rated_zero_is_known_too():
    train = Interactions([0, 0], [0, 4], 1, 6, values=[5, -1])
    valid = Interactions([0, 0, 0], [1, 2, 4], 1, 6, values=[0, 3, 1])
    test = Interactions([0, 0], [3, 5], 1, 6, values=[0, 2])
    data = DatasetInMemory(Dataset("rated", train, valid, test))
    graph = data.build_graph(TableStorage())
    user = np.array([0])
    assert sorted(seen_rows(graph, data, "test", user).indices) == [0, 1, 2, 4]
    assert data.rows("test", user).toarray().tolist() == [[0, 0, 0, 1, 0, 1]]


@pytest.fixture
def store(source, tmp_path):
    convert(source, tmp_path / "pairs.store")
    return tmp_path / "pairs.store"


def experiment(path, **changes):
    settings = {"dim": 8, "loss": "bpr", **changes.pop("settings", {})}
    train = TrainConfig(epochs=2, batch_size=64)
    return Experiment(data=str(path), settings=settings, train=train, **changes)


def test_a_store_gives_the_results_of_its_source(source, store):
    from_files, from_store = run(experiment(source)), run(experiment(store))
    assert from_store["protocol"] == "test"
    for key in ("recall@20", "ndcg@20", "best_epoch", "num_train", "num_users_evaluated"):
        assert from_files[key] == from_store[key], key


def test_a_store_is_not_read_as_a_data_set(store, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the store was loaded whole")

    monkeypatch.setattr(BlockStore, "dataset", refuse)
    monkeypatch.setattr(BlockStore, "csr", refuse)
    run(experiment(store))


@pytest.mark.parametrize("model", ["ltgnn", "lightgcn", "mf"])
def test_mapped_tables_give_the_same_bits(model, store, tmp_path):
    settings = {"dim": 8, "loss": "bpr"}
    if model == "ltgnn":
        settings |= {"depth": "fixed_point", "gradient_memory": True}
    states = []
    for tables in ("memory", "mmap"):
        out = tmp_path / tables
        wanted = Experiment(data=str(store), model=model, settings=settings, tables=tables,
                            train=TrainConfig(epochs=2, batch_size=64))  # fmt: skip
        run(wanted, out)
        states.append(checkpoint.load(out / "last").tensors)
        assert not [name for name in (path.name for path in out.iterdir()) if "table" in name]
    assert states[0].keys() == states[1].keys()
    for name in states[0]:
        assert torch.equal(states[0][name], states[1][name]), name


def test_a_resumed_run_of_a_store_goes_on_from_the_store(store, tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    run(experiment(store), whole)
    run(experiment(store), halves)
    assert not (whole / "data").exists()
    last = halves / "last"
    for path in sorted(last.iterdir())[1:]:  # as if it had been killed after the first epoch
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    experiments.resume(halves)
    ours, theirs = (checkpoint.load(folder / "last").tensors for folder in (whole, halves))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_another_store_in_its_place_is_refused(store, source, tmp_path):
    run(experiment(store), tmp_path / "run")
    (source / "train.txt").write_text("0 1 2\n1 3\n")
    convert(source, store, overwrite=True)
    with pytest.raises(StoreError, match="not the one that the run was started with"):
        experiments.resume(tmp_path / "run")


def test_a_validation_split_is_drawn_where_the_store_has_none(store):
    data, protocol = open_data(experiment(store, protocol="validation"))
    assert isinstance(data, DatasetInMemory) and protocol == "validation"
    assert data.sizes["valid"] > 0
    data, protocol = open_data(experiment(store))
    assert isinstance(data, DatasetInStore) and protocol == "test"


@pytest.fixture
def drawn(source, tmp_path):
    """A store of one file, split at random with seed 5, a fifth of train for validation."""
    convert(source / "train.txt", tmp_path / "drawn.store", seed=5, valid_fraction=0.2)
    return tmp_path / "drawn.store"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--read.seed", "3"], "--read.seed: expected 0, the default, or 5, as it was split, since"),
        (["--read.test_fraction", "0.4"], "--read.test_fraction: expected 0.2, the default, since"),
        (["--read.valid_fraction", "0.4"], "--read.valid_fraction: expected 0.0, the default, or 0.2"),
        (["--read.header", "true"], "--read.header: expected 'auto', the default"),
        (["--read.columns.user", "1"], "--read.columns: expected None, the default"),
        (["--valid_fraction", "0.3"], "--valid_fraction: expected 0.1, the default, or 0.2, as it was"),
    ],
)  # fmt: skip
def test_options_that_a_split_store_would_ignore_are_refused(drawn, capsys, flags, message):
    for command in (["--estimate", "true"], ["--protocol", "validation", "--estimate", "true"]):
        assert main(["train", "--data", str(drawn), *flags, *command]) == 1
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data_options": {"seed": 5, "test_fraction": 0.2, "valid_fraction": 0.2}},
        {"data_options": {"seed": 0, "valid_fraction": 0.0, "split": "given", "header": "auto"}},
        {"valid_fraction": 0.2},
        {"valid_fraction": 0.3, "protocol": "test"},  # as a study may have it for another protocol
    ],
)
def test_defaults_and_what_the_store_was_made_with_are_accepted(drawn, changes):
    data, protocol = open_data(experiment(drawn, **changes))
    assert isinstance(data, DatasetInStore) and protocol == changes.get("protocol", "validation")


def test_a_misspelt_option_is_refused(drawn):
    with pytest.raises(TypeError, match="unexpected keyword argument 'test_fractoin'"):
        open_data(experiment(drawn, data_options={"test_fractoin": 0.5}))


def test_options_that_have_a_say_over_a_store_are_accepted(drawn, store):
    parts = [
        open_data(experiment(drawn, data_options={"split": "random", "seed": seed}))[0]
        for seed in (3, 4)
    ]
    users = np.arange(60)
    assert (parts[0].rows("test", users) != parts[1].rows("test", users)).nnz
    held, protocol = open_data(experiment(store, data_options={"valid_fraction": 0.3, "seed": 3}))
    assert protocol == "validation" and held.sizes["valid"] > 100
    held, _ = open_data(experiment(store, protocol="validation", valid_fraction=0.4))
    assert held.sizes["valid"] > 200
    with pytest.raises(
        ValueError, match="expected 0.1, the default, since nothing is held out of it"
    ):
        open_data(experiment(store, valid_fraction=0.4))


def test_rows_and_degrees_are_those_of_the_data_set(source, store):
    memory, stored = DatasetInMemory(load(source)), DatasetInStore(store)
    assert (memory.degrees("test") == stored.degrees("test")).all()
    for users in (
        np.arange(60),
        np.array([1, 2, 3, 17, 18, 59]),
        np.array([4]),
        np.array([], np.int64),
    ):
        ours, theirs = memory.rows("test", users), stored.rows("test", users)
        assert (ours != theirs).nnz == 0 and ours.shape == theirs.shape
    graphs = [data.build_graph(TableStorage()) for data in (memory, stored)]
    assert torch.equal(graphs[0].indices, graphs[1].indices)


def test_a_sample_of_users_is_scored_and_said(store):
    wanted = experiment(store)
    data, _ = open_data(wanted)
    model = build_model(wanted, data)
    everyone = score(model, data, "test", (20,))
    assert everyone["num_users"] == 45
    samples = [score(model, data, "test", (20,), eval_users=10, seed=seed) for seed in (0, 0, 1)]
    assert samples[0] == samples[1] != samples[2]
    assert samples[0]["num_users"] == 10
    assert score(model, data, "test", (20,), eval_users=1000) == everyone
    result = run(experiment(store, eval_users=10))
    assert (result["eval_users"], result["num_users_evaluated"]) == (10, 10)


def test_users_in_blocks_score_as_all_at_once(store, monkeypatch):
    wanted = experiment(store)
    data, _ = open_data(wanted)
    model = build_model(wanted, data)
    whole = score(model, data, "test", (5, 20))
    monkeypatch.setattr("ltgnn.training.scoring.USERS_AT_ONCE", 7)
    assert score(model, data, "test", (5, 20)) == whole


def test_users_in_blocks_get_the_items_of_all_at_once(store, monkeypatch):
    data, _ = open_data(experiment(store))
    model = build_model(experiment(store), data)
    users = np.array([0, 1, 5, 8, 9, 10, 30, 41, 58, 59])
    whole = best_items(model, data, users, 6)
    monkeypatch.setattr("ltgnn.training.scoring.USERS_AT_ONCE", 3)
    assert all(map(torch.equal, best_items(model, data, users, 6), whole))


def test_the_command_line(store, tmp_path, capsys):
    out = tmp_path / "run"
    flags = [
        "train",
        "--data",
        str(store),
        "--ltgnn.loss",
        "bpr",
        "--ltgnn.dim",
        "8",
        "--epochs",
        "1",
    ]
    assert main([*flags, "--estimate", "true"]) == 0
    shown = capsys.readouterr().out
    assert "peak" in shown and "available" in shown and not out.exists()
    assert main([*flags, "--out", str(out), "--tables", "mmap", "--eval_users", "9"]) == 0
    assert "a sample of 9 users" in capsys.readouterr().out
    result = json.loads((out / "result.json").read_text())
    assert (result["eval_users"], result["tables"]) == (9, "mmap")
    assert main(["evaluate", str(out), "--eval_users", "9"]) == 0
    assert main(["recommend", str(out), "--users", "0,1"]) == 0
    assert main([*flags, "--out", str(tmp_path / "other"), "--memory", "1MB"]) == 1
    assert "--ltgnn.dim below 8" in capsys.readouterr().err
