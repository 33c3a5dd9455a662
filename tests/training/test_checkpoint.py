"""Checkpoints: exact round trips; no damage, crash, full disk or hostile file goes unnoticed."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import json
import os
import random
import shutil
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from ltgnn.training import checkpoint
from ltgnn.training.checkpoint import CheckpointError, CheckpointWarning, load, save

META = {"epoch": 3, "best": 0.1 + 0.2, "config": {"dim": 64, "name": "Ärger", "lr": None}}


def small(value: int = 1) -> dict[str, Tensor]:
    return {
        "emb": torch.full((5, 3), float(value)),
        "step": torch.tensor(value),
        "m": torch.ones(7),
    }


def saved_value(run: Path) -> int:
    """Load, check that the state is whole, and say which save it came from."""
    tensors = load(run).tensors
    value = int(tensors["step"])
    assert tensors.keys() == small().keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in small(value).items())
    return value


def names(run: Path) -> list[str]:
    return sorted(path.name for path in run.iterdir())


def manifest(run: Path) -> Path:
    return max(run.glob("checkpoint-*")) / "manifest.json"


def tensor_file(run: Path) -> Path:
    return max(run.glob("checkpoint-*")) / "tensors.safetensors"


# --- round trips ---------------------------------------------------------------------------------


def test_round_trip_of_every_dtype_and_shape(tmp_path: Path) -> None:
    generator = torch.manual_seed(0)
    tensors = {}
    for dtype in checkpoint._CODES:
        values = torch.randint(0, 2, (3, 4, 5), generator=generator).to(dtype)
        tensors[f"full {dtype}"] = values
        tensors[f"scalar {dtype}"] = values[0, 0, 0]
        tensors[f"empty {dtype}"] = values[:0]
    tensors["nan"] = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    tensors["naïve/../../name\n"] = torch.arange(3)
    path = save(tmp_path / "new" / "run", tensors, META)
    got = load(tmp_path / "new" / "run")
    assert got.path == path
    assert got.meta == META
    assert got.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert got.tensors[name].dtype == tensor.dtype, name
        assert got.tensors[name].shape == tensor.shape, name
        raw = (x.reshape(-1).view(torch.uint8) for x in (got.tensors[name], tensor.contiguous()))
        assert torch.equal(*raw), name


def test_shared_strided_negated_and_grad_tensors(tmp_path: Path) -> None:
    base = torch.arange(24.0).view(4, 6)
    tensors = {
        "base": base,
        "same": base,
        "row": base[1],
        "transposed": base.t(),
        "strided": base[::2, 1::3],
        "expanded": torch.tensor([7.0]).expand(3, 2),
        "negated": torch._neg_view(base[0]),
        "parameter": torch.nn.Parameter(base.clone()),
    }
    save(tmp_path, tensors, {})
    got = load(tmp_path).tensors
    for name, tensor in tensors.items():
        assert torch.equal(got[name], tensor), name
    assert not got["parameter"].requires_grad
    got["base"].zero_()
    assert torch.equal(got["same"], base)  # nothing is shared after loading


def test_no_tensors_at_all(tmp_path: Path) -> None:
    save(tmp_path, {}, {"a": 1})
    assert load(tmp_path).tensors == {}


def test_other_libraries_can_read_the_tensors(tmp_path: Path) -> None:
    tensors = {**small(), "half": torch.ones(3).bfloat16(), "flag": torch.tensor([True, False])}
    save(tmp_path, tensors, {})
    got = safetensors.torch.load_file(tensor_file(tmp_path))
    assert got.keys() == tensors.keys()
    assert all(torch.equal(got[name], tensor) for name, tensor in tensors.items())
    assert json.loads(manifest(tmp_path).read_text())["body"]["tensors"][0]["name"] == "step"


def test_keeps_two_and_counts_on(tmp_path: Path) -> None:
    paths = [save(tmp_path, small(value), {}) for value in range(5)]
    assert names(tmp_path) == ["checkpoint-000003", "checkpoint-000004"]
    assert paths[-1] == tmp_path / "checkpoint-000004"
    assert saved_value(tmp_path) == 4


@pytest.mark.parametrize(
    ("error", "pattern", "tensors", "meta"),
    [
        (ValueError, "non-empty Unicode str, got ''", {"": torch.ones(1)}, {}),
        (ValueError, "got '__metadata__'", {"__metadata__": torch.ones(1)}, {}),
        (ValueError, "Unicode", {"\ud800": torch.ones(1)}, {}),
        (TypeError, "x must be a tensor, got list", {"x": [1.0]}, {}),
        (TypeError, "x must be dense .*complex64", {"x": torch.ones(1, dtype=torch.complex64)}, {}),
        (TypeError, "x must be dense .*sparse_coo", {"x": torch.eye(2).to_sparse()}, {}),
        (TypeError, "x must be dense .*meta", {"x": torch.ones(1, device="meta")}, {}),
        (TypeError, "meta must be a dict, got list", {}, []),
        (TypeError, "keys of meta must be str, got 1", {}, {"a": [{1: 2}]}),
        (TypeError, "not JSON serializable", {}, {"a": torch.ones(1)}),
        (ValueError, "not JSON compliant", {}, {"a": float("nan")}),
    ],
)
def test_what_cannot_be_saved(
    tmp_path: Path, error: type[Exception], pattern: str, tensors: Any, meta: Any
) -> None:
    with pytest.raises(error, match=pattern):
        save(tmp_path, tensors, meta)
    assert names(tmp_path) == []


# --- damage --------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path: Path) -> tuple[bytes, bytes]:
    """(manifest, tensors) of a small checkpoint, with slack in it: padding, empty, NaN, bool."""
    extra = {
        "none": torch.ones(0),
        "flag": torch.tensor([True]),
        "nan": torch.full((2,), torch.nan),
    }
    save(tmp_path / "stored", {**small(), **extra}, META)
    return manifest(tmp_path / "stored").read_bytes(), tensor_file(tmp_path / "stored").read_bytes()


def verify(manifest_bytes: bytes, tensor_bytes: bytes) -> None:
    checkpoint._read_from(manifest_bytes, io.BytesIO(tensor_bytes), len(tensor_bytes))


def test_10000_bit_flips_are_all_detected(stored: tuple[bytes, bytes]) -> None:
    verify(*stored)
    rng = random.Random(0)
    sizes = [len(part) * 8 for part in stored]
    places = [(which, bit) for which in (0, 1) for bit in range(sizes[which])]
    assert len(places) > 10_000
    for which, bit in rng.sample(places, 10_000):
        parts = [bytearray(part) for part in stored]
        parts[which][bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(CheckpointError):
            verify(bytes(parts[0]), bytes(parts[1]))


def test_1000_truncations_and_growth_are_all_detected(stored: tuple[bytes, bytes]) -> None:
    rng = random.Random(1)
    for _ in range(1_000):
        which = rng.randrange(2)
        parts = list(stored)
        parts[which] = parts[which][: rng.randrange(len(parts[which]))]
        with pytest.raises(CheckpointError):
            verify(*parts)
    for parts in ((stored[0] + b"\n", stored[1]), (stored[0], stored[1] + b"\0")):
        with pytest.raises(CheckpointError):
            verify(*parts)


def test_truncation_after_the_size_was_read(stored: tuple[bytes, bytes]) -> None:
    with pytest.raises(CheckpointError, match="ends within"):
        checkpoint._read_from(stored[0], io.BytesIO(stored[1][:-1]), len(stored[1]))


@pytest.mark.parametrize("which", [manifest, tensor_file])
def test_damaged_files_fall_back_with_a_warning(
    tmp_path: Path, which: Callable[[Path], Path]
) -> None:
    save(tmp_path, small(1), {})
    save(tmp_path, small(2), {})
    file = which(tmp_path)
    good, rng = file.read_bytes(), random.Random(2)
    for _ in range(60):
        data = bytearray(good)
        if rng.random() < 0.5:
            del data[rng.randrange(len(data)) :]
        else:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        file.write_bytes(data)
        with pytest.warns(CheckpointWarning, match="using checkpoint-000000.*checkpoint-000001: "):
            assert saved_value(tmp_path) == 1
    file.unlink()
    with pytest.warns(CheckpointWarning, match="checkpoint-000001: cannot read it"):
        assert saved_value(tmp_path) == 1
    file.write_bytes(good)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert saved_value(tmp_path) == 2


def test_mixed_up_files_are_refused(tmp_path: Path) -> None:
    first, second = save(tmp_path, small(1), {}), save(tmp_path, small(2), {})
    shutil.copy(first / "tensors.safetensors", second / "tensors.safetensors")
    with pytest.warns(CheckpointWarning, match="'(emb|step)' is damaged"):
        assert saved_value(tmp_path) == 1


def test_every_problem_is_named_when_none_is_left(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot list"):
        load(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="expected checkpoint-NNNNNN .* found none"):
        load(tmp_path)
    first, second = save(tmp_path, small(1), {}), save(tmp_path, small(2), {})
    (first / "manifest.json").write_text("{}")
    (second / "tensors.safetensors").write_bytes(b"")
    pattern = "checkpoint-000001: tensors.safetensors must have .* checkpoint-000000: manifest.json"
    with pytest.raises(CheckpointError, match=pattern):
        load(tmp_path)


def test_the_intact_one_is_kept_not_just_the_newest(tmp_path: Path) -> None:
    save(tmp_path, small(1), {})
    save(tmp_path, small(2), {})
    tensor_file(tmp_path).write_bytes(b"damaged")
    save(tmp_path, small(3), {})
    assert names(tmp_path) == ["checkpoint-000000", "checkpoint-000002"]
    tensor_file(tmp_path).write_bytes(b"damaged")
    with pytest.warns(CheckpointWarning):
        assert saved_value(tmp_path) == 1


# --- crashes and full disks ----------------------------------------------------------------------


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
        (checkpoint, "_create"),
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
            checkpoint._read(path)
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
    monkeypatch.setattr(checkpoint, "open", lambda *_: full(), raising=False)
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


# --- hostile files: the digest is right, the content is not --------------------------------------


def forge(tmp_path: Path, change: Callable[[dict[str, Any]], None], data: bytes = b"") -> Path:
    """A checkpoint whose manifest was changed and sealed again, as an attacker can."""
    run = tmp_path / "run"
    save(run, {"x": torch.zeros(4), "y": torch.zeros(2)}, {})
    body = json.loads(manifest(run).read_text())["body"]
    change(body)
    text = json.dumps(body).encode()
    seal = checkpoint._PREFIX + checkpoint._digest(text).encode() + checkpoint._MIDDLE
    manifest(run).write_bytes(seal + text + checkpoint._SUFFIX)
    if data:
        tensor_file(run).write_bytes(data)
    return run


def entry(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body["tensors"][0].update(fields)


@pytest.mark.parametrize(
    ("pattern", "change"),
    [
        ("expected version 1, got 2", lambda body: body.update(version=2)),
        ("not of format", lambda body: body.update(format="pickle")),
        ("must hold an object meta", lambda body: body.update(meta=[])),
        ("must hold an object meta", lambda body: body.update(tensors={})),
        ("must hold an object meta", lambda body: body.pop("tensors")),
        ("no more", lambda body: body["tensors"].append([])),
        ("no more", entry(file="../../etc/passwd")),
        ("no more", lambda body: body["tensors"][0].pop("shape")),
        ("distinct, non-empty strings, got 'y'", entry(name="y")),
        ("distinct, non-empty strings, got ''", entry(name="")),
        ("distinct, non-empty strings, got 1", entry(name=1)),
        ("distinct, non-empty strings, got '__metadata__'", entry(name="__metadata__")),
        (r"distinct, non-empty strings, got '\\ud800'", entry(name="\ud800")),
        ("does not match manifest", entry(name="z")),
        ("unknown dtype 'object'", entry(dtype="object")),
        ("unknown dtype", entry(dtype=["F32"])),
        ("must have .* bytes", entry(dtype="F64")),
        ("does not match manifest", entry(dtype="I32")),
        ("does not match manifest", entry(shape=[2, 2])),
        ("list of at most 64", entry(shape="4")),
        ("list of at most 64", entry(shape=[1] * 65)),
        ("sizes must be integers", entry(shape=[-4])),
        ("sizes must be integers", entry(shape=[4.0])),
        ("sizes must be integers", entry(shape=[True, 4])),
        ("sizes must be integers", entry(shape=[1 << 62])),
        ("must have .* bytes", entry(shape=[1 << 61] * 64)),
        ("cannot allocate|must have .* bytes", entry(shape=[0] + [1 << 61] * 8)),
        ("'x' is damaged", entry(sha256="0" * 64)),
        ("'x' is damaged", entry(sha256=None)),
    ],
)
def test_hostile_manifests(
    tmp_path: Path, pattern: str, change: Callable[[dict[str, Any]], None]
) -> None:
    run = forge(tmp_path, change)
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(CheckpointError, match=pattern):
        load(run)
    assert sorted(path for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("length", [0, 1, 1 << 40, (1 << 64) - 1])
def test_hostile_header_lengths(tmp_path: Path, length: int) -> None:
    run = forge(tmp_path, lambda body: None)
    data = tensor_file(run).read_bytes()
    tensor_file(run).write_bytes(length.to_bytes(8, "little") + data[8:])
    with pytest.raises(CheckpointError, match="header does not match"):
        load(run)


@pytest.mark.parametrize("text", [b"[" * 100_000, b"9" * 10_000, b"{", b"\xff", b"null"])
def test_hostile_json(tmp_path: Path, text: bytes) -> None:
    run = forge(tmp_path, lambda body: None)
    seal = checkpoint._PREFIX + checkpoint._digest(text).encode() + checkpoint._MIDDLE
    manifest(run).write_bytes(seal + text + checkpoint._SUFFIX)
    with pytest.raises(CheckpointError, match="manifest.json is not"):
        load(run)


def test_a_bool_that_is_neither(tmp_path: Path) -> None:
    save(tmp_path, {"x": torch.tensor([1, 7], dtype=torch.uint8)}, {})
    data = tensor_file(tmp_path).read_bytes()
    body = json.loads(manifest(tmp_path).read_text())["body"]
    body["tensors"][0]["dtype"] = "BOOL"
    header = checkpoint._header(body["tensors"])
    tensor_file(tmp_path).write_bytes(header + data[-2:])
    manifest(tmp_path).write_bytes(checkpoint._seal({}, body["tensors"]))
    with pytest.raises(CheckpointError, match="a bool must be 0 or 1"):
        load(tmp_path)


def test_links_and_pipes_are_refused(tmp_path: Path) -> None:
    target = save(tmp_path / "other", small(), {})
    run = tmp_path / "run"
    run.mkdir()
    (run / "checkpoint-000000").symlink_to(target)
    with pytest.raises(CheckpointError, match="found none"):
        load(run)
    path = save(run, small(), {})
    (path / "manifest.json").unlink()
    (path / "manifest.json").symlink_to(target / "manifest.json")
    with pytest.raises(CheckpointError, match="cannot read it"):
        load(run)
    (path / "manifest.json").unlink()
    os.mkfifo(path / "manifest.json")
    with pytest.raises(CheckpointError, match="not a regular file"):
        load(run)


def test_a_huge_manifest_is_not_read_to_its_end(tmp_path: Path) -> None:
    save(tmp_path, small(), {})
    os.truncate(manifest(tmp_path), 1 << 40)  # sparse: takes no space
    with pytest.raises(CheckpointError, match="exceeds"):
        load(tmp_path)


def test_a_canary_pickle_is_not_run(tmp_path: Path) -> None:
    # GLOBAL os.system, the argument, REDUCE: what torch.load of old would have executed.
    canary = tmp_path / "canary"
    payload = f"cos\nsystem\n(S'touch {canary}'\ntR.".encode()
    run = forge(tmp_path, lambda body: None, payload)
    with pytest.raises(CheckpointError):
        load(run)
    manifest(run).write_bytes(payload)
    with pytest.raises(CheckpointError):
        load(run)
    assert not canary.exists()
