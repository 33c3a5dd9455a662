"""The estimate of memory against the peak of a process of its own; limits; no growth over a thousand steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from ltgnn.data import Dataset, Interactions
from ltgnn.data.block_store import ArraySource, write_blocks
from ltgnn.graph import BipartiteGraph
from ltgnn.models import MODELS
from ltgnn.models.base import config_from_dict
from ltgnn.training import TrainConfig, memory
from ltgnn.training.experiment import Experiment, open_data, run
from ltgnn.training.run_data import DatasetInMemory

CHILD = r"""
import json, re, sys, tempfile, threading
from ltgnn.training import TrainConfig
from ltgnn.training.experiment import Experiment, run

def status(key):
    return int(re.search(key + r":\s+(\d+) kB", open("/proc/self/status").read())[1]) << 10

wanted = json.loads(sys.argv[1])
resident, before, peak = status("VmRSS"), status("RssAnon"), [0]
done = threading.Event()

def watch():
    while not done.wait(0.002):
        peak[0] = max(peak[0], status("RssAnon"))

thread = threading.Thread(target=watch, daemon=True)
thread.start()
with tempfile.TemporaryDirectory(dir=sys.argv[2] or None) as folder:
    run(Experiment(**{**wanted, "train": TrainConfig(**wanted["train"])}), folder if sys.argv[2] else None)
done.set()
thread.join()
print(json.dumps([status("VmHWM") - resident, peak[0] - before]))
"""

SOAK = r"""
import sys, torch
import numpy as np
from ltgnn.graph import BipartiteGraph
from ltgnn.models import create
from ltgnn.training.samplers import PairSampler

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

random = np.random.default_rng(0)
graph = BipartiteGraph.from_edges(random.integers(3000, size=40000), random.integers(1000, size=40000))
model = create("ltgnn", graph, dim=64, loss=sys.argv[1], refresh_every=100)
sampler = PairSampler(graph, batch_size=512, negatives=model.needs_negatives, sampling="interactions", seed=0)

def steps(first, count):
    for step in range(first, first + count):
        model.training_step(sampler.batch(1 + step // 70, step % 70))

steps(0, 300)
warm = resident()
steps(300, 1000)
print(resident() / warm)
"""


def make_store(path, num_users, degree=20):
    """Five users an item; heavy-tailed items."""
    random = np.random.default_rng(0)
    num_items = num_users // 5
    users = np.repeat(np.arange(num_users), degree)
    items = np.floor(num_items * random.random(len(users)) ** 2).astype(np.int64)
    graph = BipartiteGraph.from_edges(users, items, num_users=num_users, num_items=num_items)
    by_user = graph.to_scipy()
    by_item = by_user.T.tocsr()
    test = np.arange(0, num_users, 7)
    arrays = {
        "train/by_user/indptr": by_user.indptr.astype(np.int64),
        "train/by_user/indices": by_user.indices.astype(np.int32),
        "train/by_item/indptr": by_item.indptr.astype(np.int64),
        "train/by_item/indices": by_item.indices.astype(np.int32),
        "test/by_user/indptr": np.searchsorted(test, np.arange(num_users + 1)).astype(np.int64),
        "test/by_user/indices": random.integers(num_items, size=len(test)).astype(np.int32),
    }
    meta = {"name": "made", "split": "given", "num_users": num_users, "num_items": num_items}
    write_blocks(path, [ArraySource.of(name, array) for name, array in arrays.items()], meta)
    return path


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Few interactions a user where there are many runs: a run takes as long as these are many, and its memory is
    mostly its tables'.
    """
    folder = tmp_path_factory.mktemp("stores")
    shapes = {"small": (20_000, 6), "large": (75_000, 6), "dense": (75_000, 20)}
    return {name: make_store(folder / f"{name}.store", *shape) for name, shape in shapes.items()}


def experiment(
    store, model="ltgnn", tables="memory", protocol="last", **settings: Any
) -> dict[str, Any]:
    return {
        "data": str(store), "model": model, "settings": settings, "tables": tables, "protocol": protocol,
        "eval_users": 2000, "train": {"epochs": 1, "batch_size": 8192},
    }  # fmt: skip


def predicted(wanted: dict[str, Any]) -> memory.MemoryEstimate:
    whole = Experiment(**{**wanted, "train": TrainConfig(**wanted["train"])})
    data, _ = open_data(whole)
    config = config_from_dict(MODELS[whole.model].config_type, whole.settings)
    return memory.estimate(
        data, MODELS[whole.model], config, whole.train, whole.tables, whole.eval_users
    )


def measured(wanted: dict[str, Any], folder: str = "") -> tuple[int, int]:
    """The peak above what import takes: of everything resident, and of what is the process's own.

    What glibc frees goes back at once: what it keeps by default is chance, and with two threads up to 100 MB. (What
    operators keep, `release_memory`, is no more than was in use.)
    """
    child = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(wanted), folder],
        capture_output=True,
        text=True,
        timeout=400,
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": str(128 << 10)},
    )
    assert not child.returncode, child.stderr
    everything, own = json.loads(child.stdout)
    return everything, own


@pytest.mark.slow
@pytest.mark.parametrize(
    ("store", "options"),
    [
        ("small", {"loss": "bpr"}),
        ("dense", {"loss": "bpr"}),
        ("large", {"loss": "bpr", "depth": "fixed_point", "gradient_memory": True, "c0": 0.2}),
        ("large", {"loss": "bpr", "model": "mf"}),
        ("small", {"loss": "bpr", "model": "lightgcn"}),
        ("small", {"loss": "bpr", "model": "lightgcn", "layer_dtype": "bfloat16"}),
        ("large", {"loss": "bpr", "protocol": "validation"}),
        ("large", {"loss": "bpr", "dim": 256}),
        ("large", {"loss": "bpr", "model": "ltgnn_multiscale", "alphas": [0.2, 0.6]}),
        ("large", {"loss": "bpr", "model": "mf", "init": "svd"}),
        ("large", {"loss": "bpr", "model": "mf", "init": "random_projection"}),
        ("small", {"model": "chebycf", "dim": 256}),
        ("large", {"model": "chebycf", "dim": 32}),
        ("large", {"loss": "bpr", "negatives": "dns"}),
        ("large", {"loss": "bpr", "negatives": "popularity"}),
        ("large", {"loss": "ccl", "model": "mf", "num_negatives": 16}),
        ("small", {}),
        ("small", {"model": "ngcf"}),
        ("small", {"model": "gcn", "loss": "bpr"}),
        ("small", {"model": "graphsage"}),
        ("small", {"model": "ultragcn"}),
    ],
    ids=str,
)
def test_the_estimate_is_within_a_fifth(store, options, stores):
    wanted = experiment(stores[store], **options)
    if options.get("model") == "lightgcn":
        wanted["train"]["batch_size"] = 1 << 17  # few steps: each is over the whole graph
    guess, truth = predicted(wanted).peak, measured(wanted)[0]
    assert abs(guess - truth) <= 0.2 * truth, (guess / 1e6, truth / 1e6)


@pytest.mark.slow
def test_mapped_tables_leave_memory_to_others(stores, tmp_path):
    wanted = experiment(stores["large"], loss="bpr", dim=256, tables="mmap")
    guess = predicted(wanted)
    truth = measured(wanted, str(tmp_path))[1]
    assert abs(guess.peak - truth) <= 0.2 * truth, (guess.peak / 1e6, truth / 1e6)
    assert guess.mapped > 2 * truth


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["bpr", "softmax"])
def test_a_thousand_steps_take_no_more_memory(loss):
    """After 300 steps of warm-up, the resident set grows by less than 1 %."""
    child = subprocess.run(
        [sys.executable, "-c", SOAK, loss], check=True, capture_output=True, text=True
    )
    assert float(child.stdout) < 1.01


def test_a_run_that_does_not_fit_is_refused_before_it_starts(stores, tmp_path):
    wanted = experiment(stores["small"], loss="bpr")
    whole = Experiment(**{**wanted, "train": TrainConfig(epochs=1), "memory": "10MB"})
    with pytest.raises(
        MemoryError,
        match=r"needs about .*--tables mmap .* --ltgnn.dim below 64 .*--memory",
    ):
        run(whole, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_batch_has_no_more_pairs_than_there_are(stores):
    wanted = experiment(stores["small"], loss="bpr")
    peaks = [
        predicted({**wanted, "train": {"epochs": 1, "batch_size": size}}).peak
        for size in (120_000, 10**9)
    ]
    assert peaks[0] == peaks[1]
    whole = {**wanted, "train": TrainConfig(epochs=1, batch_size=10**9), "memory": "10MB"}
    with pytest.raises(MemoryError, match=r"change --batch_size below \d+ or --tables mmap"):
        run(Experiment(**whole))


def test_interactions_in_memory_are_counted_as_they_are():
    pairs = Interactions(
        [0, 1, 2], [0, 1, 0], 3, 2, [1.0, 2.0, 3.0], [1.0, 2.0, 3.0], np.array(["a", "b", "c"])
    )
    data = DatasetInMemory(Dataset("made", pairs, None, None))
    assert data.held_bytes == 3 * (4 + 4 + 4 + 8) + pairs.user_ids.nbytes


def test_what_is_available_is_the_least_of_all_limits(monkeypatch):
    files = {
        "/proc/meminfo": ["MemTotal: 100 kB\n", "MemAvailable:    50 kB\n"],
        "/proc/self/cgroup": ["0::/a/b\n"],
        "/sys/fs/cgroup/a/b/memory.max": ["max\n"],
        "/sys/fs/cgroup/a/b/memory.current": ["9\n"],
        "/sys/fs/cgroup/a/memory.max": ["40000\n"],
        "/sys/fs/cgroup/a/memory.current": ["30000\n"],
        "/sys/fs/cgroup/a/memory.stat": ["anon 1\n", "inactive_file 500\n"],
    }
    monkeypatch.setattr(memory, "_lines", lambda path: files.get(str(path), []))
    assert memory.available_bytes() == 10_500
    files["/sys/fs/cgroup/a/memory.max"] = ["max\n"]
    assert memory.available_bytes() == 50 << 10
    files["/proc/self/cgroup"] = ["5:cpu,memory:/x\n", "3:pids:/y\n"]
    files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = ["20000\n"]
    files["/sys/fs/cgroup/memory/memory.usage_in_bytes"] = ["1000\n"]
    assert memory.available_bytes() == 19_000
