"""The training loop: epochs, evaluation, early stopping, log and checkpoints."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ltgnn.models import Recommender, TrainingFree
from ltgnn.training import checkpoint
from ltgnn.training.config import TrainConfig
from ltgnn.training.mean_loss import MeanLoss, TrainingError
from ltgnn.training.memory import release_freed
from ltgnn.training.samplers import PairSampler, auto_batch_size


@dataclass
class History:
    """What happened so far; saved with each checkpoint.

    Attributes:
        epochs: one record an epoch: epoch, loss (None where nothing is trained), seconds, and what was evaluated.
        best_epoch: the epoch with the best monitored value; 0 before any.
        best_value: that value; None before any.
        stopped: early stopping has ended the run.
    """

    epochs: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float | None = None
    stopped: bool = False

    @property
    def last_epoch(self) -> int:
        """The number of epochs done."""
        return len(self.epochs)

    def record(self, epoch: int) -> dict[str, Any]:
        """The record of an epoch; of one before the first, an empty one."""
        return self.epochs[epoch - 1] if 0 < epoch <= len(self.epochs) else {}


def all_finite(table: Tensor) -> bool:
    """Whether a table [rows, dim] is free of NaN and infinity; looked at piece by piece."""
    return all(bool(torch.isfinite(part).all()) for part in table.split(1 << 12))


KINDS = ("last", "best")
Evaluate = Callable[[Recommender], dict[str, dict[str, float]]]


class Trainer:
    """Trains one model, or fits one that has no training: its one epoch is the fit, without a gradient step.

    With a run folder, the model and the history are saved in `last/` after each `checkpoint_every` epochs, and
    the model of the best epoch in `best/`; `log.jsonl` gets one line an epoch. A run that was killed goes on from
    `last/` with `resume()` to the same bits that it would have reached (CPU).

    Args:
        model: the model; trained in place.
        config: how to train.
        evaluate: returns metrics by split, such as `{"valid": {"recall@20": 0.1}}`. None: no evaluation.
        monitor_split: the split whose `config.monitor` chooses the best epoch.
        run_dir: where to save, a folder that is made where there is none; None: nowhere.
        progress: show progress bars.
        on_epoch: called with each epoch's record.

    Raises:
        ValueError: the model cannot be trained with the config's sampling.
    """

    def __init__(
        self,
        model: Recommender,
        config: TrainConfig,
        *,
        evaluate: Evaluate | None = None,
        monitor_split: str = "valid",
        run_dir: str | os.PathLike[str] | None = None,
        progress: bool = False,
        on_epoch: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        self.model = model
        self.config = config
        self.evaluate = evaluate
        self.monitor_split = monitor_split
        self.run_dir = None if run_dir is None else Path(run_dir)
        self.progress = progress
        self.on_epoch = on_epoch
        self.history = History()
        self._resumed = False
        self.sampler = _sampler_of(model, config) if model.is_trained else None

    @property
    def epochs(self) -> int:
        """How many there are to be: the config's, and one at most where they would not differ."""
        return self.config.epochs if self.model.is_trained else min(1, self.config.epochs)

    def fit(self) -> History:
        """Train up to `config.epochs` epochs, from wherever the history stands.

        Raises:
            FileExistsError: the run folder holds another run, which was not taken up by `resume`.
            TrainingError: the loss, or what the model has learned, is not finite; the last checkpoint is left as it
                was.
            CheckpointError: the model could not be saved.
        """
        if self.run_dir is not None:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            if not self._resumed and any(
                map(checkpoint.is_there, map(self.run_dir.joinpath, KINDS))
            ):
                raise FileExistsError(
                    f"run_dir: {self.run_dir} holds checkpoints of another run: call resume() to go on "
                    "with it, or choose an empty folder"
                )
            self._resumed = True  # what is there from now on is this run's
        while self.history.last_epoch < self.epochs and not self.history.stopped:
            self._run_epoch(self.history.last_epoch + 1)
        return self.history

    def resume(self) -> None:
        """Take up model and history from the run folder's latest good checkpoint, where there is one.

        Where there is none yet, since the run was killed before its first was whole, it begins anew.

        Raises:
            ValueError: there is no run_dir.
            CheckpointError: there are checkpoints, but none is intact.
        """
        if self.run_dir is None:
            raise ValueError("resume: the trainer has no run_dir")
        self.run_dir.mkdir(parents=True, exist_ok=True)
        if checkpoint.is_there(self.run_dir / "last"):
            saved = checkpoint.load_into(self.run_dir / "last", self.model.state_dict())
            self.history = History(**saved.meta["history"])
        self._resumed = True
        # The log may be ahead of the checkpoint, or end in half a line: write it anew.
        lines = "".join(json.dumps(record) + "\n" for record in self.history.epochs)
        path = self.run_dir / "log.jsonl"
        scratch = path.with_suffix(".tmp")
        scratch.write_text(lines)
        os.replace(scratch, path)

    def load_best(self) -> None:
        """Put the best epoch's parameters into the model, where one was saved.

        Raises:
            CheckpointError: it was, but is not intact.
        """
        if self.run_dir is not None and checkpoint.is_there(self.run_dir / "best"):
            checkpoint.load_into(self.run_dir / "best", self.model.state_dict())

    # ---- one epoch ----

    def _run_epoch(self, epoch: int) -> None:
        start = time.perf_counter()
        loss = None
        if self.sampler is None:
            self._fit_once()
        else:
            loss = self._train(self.sampler, epoch)
        release_freed()
        seconds = time.perf_counter() - start
        record: dict[str, Any] = {"epoch": epoch, "loss": loss, "seconds": seconds}
        history = self.history
        history.epochs.append(record)
        if self.evaluate is not None and self._is_evaluated(epoch):
            start = time.perf_counter()
            record.update(self.evaluate(self.model))
            release_freed()
            record["eval_seconds"] = time.perf_counter() - start
            value = self._monitored(record)
            if value is not None and (history.best_value is None or value > history.best_value):
                history.best_value, history.best_epoch = value, epoch
                self._save("best")
            since = sum(
                self._monitored(other) is not None for other in history.epochs[history.best_epoch :]
            )
            if self.config.patience and since >= self.config.patience:
                history.stopped = True
        if self.run_dir is not None:
            with open(self.run_dir / "log.jsonl", "a") as log:
                log.write(json.dumps(record) + "\n")
        last = epoch == self.epochs or history.stopped
        if last or epoch % self.config.checkpoint_every == 0:
            self._save("last")
        if self.on_epoch is not None:
            self.on_epoch(record)

    def _fit_once(self) -> None:
        """The epoch of a model without training; it has no loss."""
        assert isinstance(self.model, TrainingFree)
        with tqdm(
            total=self.model.fit_steps, desc=f"fitting {self.model.name}", unit=" steps", leave=False,
            disable=None if self.progress else True,
        ) as bar:  # fmt: skip
            self.model.fit(bar.update)
        if not all(all_finite(table) for table in self.model.state_dict().values() if table.dim()):
            raise TrainingError("what was fitted is not finite")

    def _train(self, sampler: PairSampler, epoch: int) -> float:
        factor = 1.0
        if self.config.schedule == "cosine":
            factor = 0.5 * (1.0 + math.cos(math.pi * (epoch - 1) / self.config.epochs))
        mean = MeanLoss(self.model, epoch)
        with tqdm(
            total=self.model.graph.num_edges,
            desc=f"epoch {epoch}/{self.config.epochs}",
            unit=" pairs",
            unit_scale=True,
            leave=False,
            disable=None if self.progress else True,  # None: shown on a terminal only
        ) as bar:
            bar.set_postfix_str("refreshing")
            self.model.start_epoch(epoch)
            bar.set_postfix_str("")
            for batch in sampler.epoch(epoch, factor):
                mean.add(self.model.training_step(batch), len(batch.users))
                bar.update(len(batch.users))
        loss = mean.value()
        # A step's damage shows in the next step's loss: look at the tables once more before they are kept.
        if not all_finite(self.model.e0):
            raise TrainingError(
                f"an embedding is not finite after epoch {epoch}. The last checkpoint is kept"
            )
        return loss

    def _monitored(self, record: dict[str, Any]) -> float | None:
        """What chooses the best epoch; None where an epoch was not evaluated, or not on that split."""
        value: float | None = record.get(self.monitor_split, {}).get(self.config.monitor)
        return value

    def _is_evaluated(self, epoch: int) -> bool:
        every = self.config.eval_every
        return epoch == self.epochs or (every > 0 and epoch % every == 0)

    def _save(self, kind: str) -> None:
        if self.run_dir is not None:
            meta = {"history": vars(self.history)}
            checkpoint.save(self.run_dir / kind, self.model.state_dict(), meta)


def _sampler_of(model: Recommender, config: TrainConfig) -> PairSampler:
    """What makes the batches that the model asks for."""
    if config.sampling not in model.samplings:
        wanted = " or ".join(map(repr, model.samplings))
        raise ValueError(f"sampling must be {wanted} for {model.name}, got {config.sampling!r}")
    in_batch = model.config.loss == "softmax"
    return PairSampler(
        model.graph,
        batch_size=config.batch_size or auto_batch_size(model.graph.num_edges, quadratic=in_batch),
        negatives=model.config.draws_per_pair,
        sampling=config.sampling,
        seed=config.seed,
        popularity=model.config.negatives == "popularity",
        log_q=model.config.log_q,
    )
