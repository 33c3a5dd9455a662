"""The loop: log, best epoch, early stopping, faults, resume."""

from __future__ import annotations

import json

import pytest
import torch
from models.contract import checkerboard, same_bits

from ltgnn.models import create
from ltgnn.training import TrainConfig, Trainer, TrainingError, checkpoint


def trainer(run_dir=None, *, values=None, settings=None, **config):
    """A trainer on the checkerboard; `values` are the metric that evaluations give one after the other."""
    scores = iter(values or [])
    model = create("ltgnn", checkerboard(), dim=8, **(settings or {}))
    evaluate = (lambda _: {"valid": {"recall@20": next(scores)}}) if values else None
    options = {"batch_size": 64, "epochs": 4, **config}
    return Trainer(model, TrainConfig(**options), evaluate=evaluate, run_dir=run_dir)


def test_best_epoch_log_and_best_checkpoint(tmp_path):
    run = trainer(tmp_path, values=[0.1, 0.4, 0.3, 0.2])
    history = run.fit()
    assert (history.best_epoch, history.best_value, history.last_epoch) == (2, 0.4, 4)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert [line["valid"]["recall@20"] for line in lines] == [0.1, 0.4, 0.3, 0.2]
    two = trainer(epochs=2)
    two.fit()
    run.load_best()
    assert same_bits(run.model.state_dict(), two.model.state_dict())


def test_patience_stops_early():
    history = trainer(values=[0.1, 0.3, 0.2, 0.25, 0.9], epochs=9, patience=2).fit()
    assert history.stopped
    assert (history.last_epoch, history.best_epoch) == (4, 2)


def test_patience_counts_only_what_is_monitored():
    for evaluate in (None, lambda _: {"test": {"recall@20": 0.1}}):
        model = create("ltgnn", checkerboard(), dim=8)
        config = TrainConfig(batch_size=64, epochs=4, patience=1)
        history = Trainer(model, config, evaluate=evaluate).fit()
        assert not history.stopped and history.last_epoch == 4 and history.best_value is None


def test_a_run_folder_is_made(tmp_path):
    run = trainer(tmp_path / "new" / "run", epochs=1)
    run.resume()
    run.fit()
    assert checkpoint.is_there(tmp_path / "new" / "run" / "last")


def test_eval_every_counts_epochs_and_always_ends_with_one():
    history = trainer(values=[0.1, 0.2, 0.3], epochs=5, eval_every=2).fit()
    evaluated = [record["epoch"] for record in history.epochs if "valid" in record]
    assert evaluated == [2, 4, 5]


def test_resume_goes_on_to_the_same_bits(tmp_path):
    whole = trainer(tmp_path / "whole", values=[0.1, 0.4, 0.3, 0.2])
    whole.fit()
    (tmp_path / "part").mkdir()
    trainer(tmp_path / "part", values=[0.1, 0.4], epochs=2).fit()
    with open(tmp_path / "part" / "log.jsonl", "a") as log:
        log.write('{"epoch": 3, "loss": ')  # killed in the middle of a line
    rest = trainer(tmp_path / "part", values=[0.3, 0.2])
    rest.resume()
    history = rest.fit()
    assert same_bits(rest.model.state_dict(), whole.model.state_dict())
    assert (history.best_epoch, history.best_value) == (2, 0.4)
    lines = (tmp_path / "part" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4]


def test_another_run_in_the_folder_is_not_mixed_in(tmp_path):
    one = trainer(tmp_path, values=[0.9], epochs=1)
    one.fit()
    one.config = TrainConfig(batch_size=64, epochs=1)
    one.fit()  # its own
    two = trainer(tmp_path, epochs=2)
    with pytest.raises(FileExistsError, match="holds checkpoints of another run: call resume()"):
        two.fit()
    assert two.history.last_epoch == 0 and (tmp_path / "log.jsonl").read_text().count("\n") == 1
    two.resume()
    assert two.fit().last_epoch == 2


def test_a_run_killed_in_its_first_checkpoint_begins_anew(tmp_path):
    whole = trainer(tmp_path / "whole", values=[0.1, 0.2], epochs=2)
    whole.fit()
    killed = tmp_path / "killed"
    for kind in ("last", "best"):
        (killed / kind / ".tmp-checkpoint-000000").mkdir(parents=True)
    (killed / "log.jsonl").write_text(
        '{"epoch": 1, "loss": 0.5}\n'
    )  # written before the checkpoint
    rest = trainer(killed, values=[0.1, 0.2], epochs=2)
    rest.resume()
    rest.load_best()  # there is none: nothing changes
    rest.fit()
    assert same_bits(rest.model.state_dict(), whole.model.state_dict())
    lines = (killed / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


@pytest.mark.parametrize("table", ["e0", "adam_v"])
def test_a_fault_is_found_and_the_last_checkpoint_kept(tmp_path, table):
    run = trainer(tmp_path, epochs=1)
    run.fit()
    kept = checkpoint.load(tmp_path / "last").tensors
    faulty = trainer(tmp_path, epochs=3)
    faulty.resume()
    getattr(faulty.model, table)[0, 0] = float("nan")
    with pytest.raises(TrainingError, match="not finite|the loss is nan"):
        faulty.fit()
    assert same_bits(checkpoint.load(tmp_path / "last").tensors, kept)


def test_learning_rate_schedule_falls():
    constant, cosine = trainer(epochs=3), trainer(epochs=3, schedule="cosine")
    moved = []
    for run in (constant, cosine):
        run.fit()
        before = run.model.e0.clone()
        run.config = TrainConfig(epochs=4, batch_size=64, schedule=run.config.schedule)
        run.fit()
        moved.append((run.model.e0 - before).abs().sum().item())
    assert moved[1] < 0.5 * moved[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": -1}, "epochs must be at least 0, got -1"),
        ({"batch_size": -5}, "batch_size must be at least 0, got -5"),
        ({"monitor": "recall"}, "monitor must be METRIC@K"),
        ({"monitor": "luck@20"}, "monitor must be METRIC@K"),
        ({"seed": -1}, "seed must be in [0, 2^63), got -1"),
        ({"seed": 2**63}, "seed must be in [0, 2^63), got 9223372036854775808"),
        ({"sampling": "x"}, "sampling must be 'interactions' or 'users', got 'x'"),
        ({"schedule": "x"}, "schedule must be 'constant' or 'cosine', got 'x'"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError) as caught:
        TrainConfig(**settings)
    assert message in str(caught.value)


def test_no_epochs_is_no_training():
    run = trainer(epochs=0)
    before = run.model.e0.clone()
    assert run.fit().last_epoch == 0
    assert torch.equal(before, run.model.e0)
