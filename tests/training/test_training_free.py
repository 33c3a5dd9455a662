"""Runs of a model without training: one fit, one evaluation, checkpoint, resume, recommendations."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from models.contract import checkerboard, same_bits

from ltgnn.cli import main
from ltgnn.cli.recommend import recommend
from ltgnn.cli.runs import open_model
from ltgnn.models import create
from ltgnn.training import TrainConfig, Trainer, TrainingError, checkpoint
from ltgnn.training.experiment import Experiment, open_data, resume, run
from ltgnn.training.scoring import best_items, score


def trainer(run_dir=None, epochs=5):
    model = create("chebycf", checkerboard(), dim=8)
    evaluations = []

    def evaluate(model):
        evaluations.append(int(model.step))
        return {"valid": {"recall@20": 0.5}}

    return Trainer(
        model, TrainConfig(epochs=epochs), evaluate=evaluate, run_dir=run_dir
    ), evaluations


def test_it_is_fitted_and_evaluated_once(tmp_path):
    run, evaluations = trainer(tmp_path)
    history = run.fit()
    assert evaluations == [1]
    assert (history.last_epoch, history.best_epoch) == (1, 1)
    line = json.loads((tmp_path / "log.jsonl").read_text())
    assert line["loss"] is None and line["valid"] == {"recall@20": 0.5}
    for kind in ("last", "best"):
        assert same_bits(checkpoint.load(tmp_path / kind).tensors, dict(run.model.state_dict()))
    other, evaluations = trainer(tmp_path)
    other.resume()
    other.fit()
    assert evaluations == []  # everything was there
    everyone = torch.arange(40)
    assert torch.equal(other.model.score_block(everyone), run.model.score_block(everyone))


@pytest.mark.parametrize("dim", [4, 0, 10_000])
def test_fitting_tells_of_as_many_steps_as_it_says(dim):
    graph = trainer()[0].model.graph
    told = []
    model = create("chebycf", graph, dim=dim)
    model.fit(lambda: told.append(int(model.step)))
    assert told == [0] * model.fit_steps and bool(told) == bool(dim)
    silent = create("chebycf", graph, dim=dim)
    silent.fit()
    assert same_bits(dict(silent.state_dict()), dict(model.state_dict()))


def test_a_run_killed_before_its_checkpoint_fits_again(tmp_path):
    run, _ = trainer(tmp_path)
    run.resume()
    run.fit()
    assert run.history.last_epoch == 1
    assert trainer(epochs=0)[0].fit().last_epoch == 0


def test_a_fit_that_is_not_finite_is_an_error(tmp_path, monkeypatch):
    run, _ = trainer(tmp_path)
    monkeypatch.setattr(run.model, "_fit", lambda _: run.model.vectors.fill_(float("nan")))
    with pytest.raises(TrainingError, match="what was fitted is not finite"):
        run.fit()
    assert not (tmp_path / "last").exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    options = {"num_users": 300, "num_items": 200, "num_interactions": 5000}
    experiment = Experiment(data_options=options, model="chebycf", settings={"dim": 32})
    return experiment, folder, run(experiment, folder)


def test_the_result_says_what_fitting_took(finished):
    experiment, folder, result = finished
    assert result["epochs"] == 1 and result["fit_seconds"] == result["train_seconds"] > 0
    again = resume(folder)
    for key in ("recall@20", "ndcg@20", "best_epoch", "protocol"):
        assert again[key] == result[key], key
    without_folder = run(experiment)
    assert without_folder["recall@20"] == result["recall@20"]
    popular = run(Experiment(data_options=experiment.data_options, model="mf",
                             train=TrainConfig(epochs=1)))  # fmt: skip
    assert result["recall@20"] > popular["recall@20"]


def test_a_best_that_was_never_whole_is_passed_over(finished, tmp_path):
    _, folder, _ = finished
    copy = shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(copy / "best")
    (copy / "best" / ".tmp-checkpoint-000000").mkdir(parents=True)
    assert open_model(copy)[3] == 1


def test_blocks_of_users_do_not_change_the_metrics(finished, monkeypatch):
    _, folder, result = finished
    experiment, data, model, epoch = open_model(folder)
    assert epoch == 1
    monkeypatch.setattr(type(model), "block_users", 16)
    metrics = score(model, data, "test", experiment.ks)
    assert metrics["recall@20"] == result["recall@20"]
    assert metrics["num_users"] == result["num_users_evaluated"]


def test_recommendations_are_the_best_unseen(finished):
    _, folder, _ = finished
    experiment, data, model, _ = open_model(folder)
    scores = model.score_block(torch.arange(data.num_users))
    scores[torch.from_numpy(model.graph.to_scipy().toarray() > 0)] = -torch.inf
    valid = data.rows("valid", np.arange(data.num_users)).toarray() > 0
    scores[torch.from_numpy(valid)] = -torch.inf
    wanted = scores.argsort(dim=1, descending=True, stable=True)[:, :7]
    rows = recommend(folder, [250, 3, 3], 7)
    for row, user in zip(rows, (250, 3, 3), strict=True):
        assert row["items"] == wanted[user].tolist()
        assert row["scores"] == scores[user, wanted[user]].tolist()
    everyone = np.arange(data.num_users)
    assert torch.equal(best_items(model, data, everyone, 7)[1], wanted)
    assert open_data(experiment)[1] == "validation"
    assert len(best_items(model, data, everyone[:0], 7)[1]) == 0


def test_runs_are_mixed_on_the_command_line(finished, tmp_path, capsys):
    experiment, folder, result = finished
    run(Experiment(data_options=experiment.data_options, model="mf", train=TrainConfig(epochs=1)),
        tmp_path / "mf")  # fmt: skip
    scores = tmp_path / "scores.json"
    command = ["evaluate", str(tmp_path / "mf"), "--mix", str(folder), "--json", str(scores)]
    assert main([*command, "--mix_weight", "1e6"]) == 0
    mixed = json.loads(scores.read_text())
    assert (mixed["model"], mixed["mix_weight"]) == ("mf+chebycf", 1e6)
    # Such a weight leaves nothing of the first run.
    assert mixed["recall@20"] == pytest.approx(result["recall@20"], abs=2e-3)
    assert main([*command, "--mix_weight", "0"]) == 0
    alone = json.loads(scores.read_text())["recall@20"]
    assert main(command[:2] + command[4:]) == 0
    assert alone == pytest.approx(json.loads(scores.read_text())["recall@20"], abs=2e-3)
    capsys.readouterr()
    assert main(["recommend", str(tmp_path / "mf"), "--users", "3", "--k", "5",
                 "--mix", str(folder), "--mix_weight", "1e6"]) == 0  # fmt: skip
    shown = [int(word) for word in capsys.readouterr().out.split(": ")[1].split()[::2]]
    assert shown == recommend(folder, [3], 5)[0]["items"]
