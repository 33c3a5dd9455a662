"""Checkpoints: a crash or a full disk at any step leaves the old or the new state."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from training.checkpoint_tools import names, saved_value, small

from ltgnn.training import checkpoint, checkpoint_format
from ltgnn.training.checkpoint import CheckpointError, save


class Killed(BaseException):
    """Stands for SIGKILL: from here on not one more step of the save takes place."""


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException) -> Callable[[], int]:
    """Raise at the given call among those that make a save durable; return a counter of calls."""
    calls = 0

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == step or (calls > step and isinstance(error, Killed)):
                raise error
            return original(*args, **kwargs)

        return wrapped

    for module, name in (
        (os, "fsync"),
        (os, "replace"),
        (os, "mkdir"),
        (os, "rmdir"),
        (os, "unlink"),
        (checkpoint_format, "_create"),
        (checkpoint, "_sync_dir"),
        (shutil, "rmtree"),
    ):
        monkeypatch.setattr(module, name, wrap(getattr(module, name)))
    return lambda: calls


def stops(tmp_path: Path, make: Callable[[], BaseException]) -> list[int]:
    """Stop the third save at every possible step; return the value loadable after each."""
    values: list[int] = []
    for step in itertools.count(1):
        run = tmp_path / str(step)
        save(run, small(1), {})
        save(run, small(2), {})
        with pytest.MonkeyPatch.context() as monkeypatch:
            count = stop_at(monkeypatch, step, make())
            with contextlib.suppress(Killed, CheckpointError):
                save(run, small(3), {})
            if count() < step:  # the save came to its end before this step
                return values
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # neither the old nor the new one may be damaged
            values.append(saved_value(run))
        for path in run.glob("checkpoint-*"):  # never half a one under a final name
            checkpoint_format.read(path)
        # Whatever was left behind is cleared by the next save.
        save(run, small(4), {})
        assert saved_value(run) == 4
        assert len(names(run)) == 2
        assert all(name.startswith("checkpoint-") for name in names(run))
    raise AssertionError("unreachable")


def test_a_kill_at_any_step_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    values = stops(tmp_path, Killed)
    assert len(values) >= 14, values
    assert values == sorted(values)  # old before the rename, new from there on
    assert set(values) == {2, 3}


def test_everything_is_on_disk_before_it_is_relied_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(handle: int) -> None:
        events.append("fsync " + Path(os.readlink(f"/proc/self/fd/{handle}")).name)
        fsync(handle)

    def record_replace(old: Path, new: Path) -> None:
        events.append(f"rename to {new.name}")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    save(tmp_path / "run", small(), {})
    assert events == [
        "fsync tensors.safetensors",
        "fsync manifest.json",
        "fsync .tmp-checkpoint-000000",
        "rename to checkpoint-000000",
        "fsync run",
    ]


def test_a_full_disk_at_any_step_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    values = stops(tmp_path, lambda: OSError(errno.ENOSPC, "No space left on device"))
    assert set(values) == {2, 3}


def test_a_full_disk_is_reported_and_leaves_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, small(1), {})

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="could not write 96 bytes .*disk full; earlier"):
        save(tmp_path, small(2), {})
    assert names(tmp_path) == ["checkpoint-000000"]
    assert saved_value(tmp_path) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_write_to_a_full_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, small(1), {})
    full = partial(open, "/dev/full", "wb")
    monkeypatch.setattr(checkpoint_format, "open", lambda *_: full(), raising=False)
    with pytest.raises(CheckpointError, match="disk full"):
        save(tmp_path, {"x": torch.ones(100_000)}, {})
    assert names(tmp_path) == ["checkpoint-000000"]


def test_a_run_dir_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(CheckpointError, match="could not write"):
        save(tmp_path / "run", small(), {})


def test_an_interrupt_cleans_up(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        stop_at(monkeypatch, 5, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, small(), {})
    assert names(tmp_path) == []


def test_litter_of_other_saves_is_removed_and_nothing_else(tmp_path: Path) -> None:
    litter = tmp_path / ".tmp-checkpoint-000009"
    litter.mkdir()
    (litter / "tensors.safetensors").write_text("half")
    (tmp_path / ".tmp-checkpoint-file").write_text("")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (tmp_path / ".tmp-checkpoint-link").symlink_to(outside)
    (tmp_path / "log.txt").write_text("x")
    save(tmp_path, small(), {})
    assert names(tmp_path) == ["checkpoint-000000", "log.txt", "outside"]
    assert (outside / "precious").exists()
