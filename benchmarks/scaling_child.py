"""One run of `bench_scaling` in a process of its own, so that its peak memory is its own.

    python -m benchmarks.scaling_child '{"store": "FILE", "model": "ltgnn", ...}'

Prints one JSON object. `model` "torch_lightgcn" is LightGCN as plain torch has it: the normalised adjacency as a
sparse CSR tensor, three products and autograd, dense Adam. "ltgnn_rows" is no model: it reads the rows that LTGNN's
steps read, from tables as large as LTGNN's, and does nothing with them.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ltgnn.graph import BipartiteGraph, TableStorage
from ltgnn.models import LTGNN, MODELS, Recommender
from ltgnn.models.base import config_from_dict
from ltgnn.ops import sample_neighbors
from ltgnn.training import TrainConfig
from ltgnn.training.experiment import Experiment, build_model, open_data, run
from ltgnn.training.memory import estimate
from ltgnn.training.run_data import RunData
from ltgnn.training.samplers import PairSampler, auto_batch_size


def memory_mb(key: str) -> float:
    """VmRSS, VmHWM, RssAnon of this process, in MB. (Not ru_maxrss: that starts from the parent's peak.)"""
    with open("/proc/self/status") as status:
        found = re.search(key + r":\s+(\d+) kB", status.read())
    return int(found[1]) / 1e3 * 1.024 if found else 0.0


@contextmanager
def timed_refreshes() -> Iterator[list[float]]:
    """The seconds of each refresh of LTGNN's memory while this is open."""
    seconds: list[float] = []
    plain = LTGNN.refresh

    def refresh(model: LTGNN) -> None:
        start = time.perf_counter()
        plain(model)
        seconds.append(time.perf_counter() - start)

    LTGNN.refresh = refresh  # type: ignore[method-assign]
    try:
        yield seconds
    finally:
        LTGNN.refresh = plain  # type: ignore[method-assign]


class AnonymousPeak:
    """The most memory that belongs to the process alone, sampled 20 times a second: without mapped files."""

    def __init__(self) -> None:
        self.value = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            self.value = max(self.value, memory_mb("RssAnon"))

    def stop(self) -> float:
        """The peak, in MB."""
        self._done.set()
        self._thread.join()
        return self.value


def whole_epochs(experiment: Experiment) -> dict[str, Any]:
    """Seconds of each epoch, as `ltgnn train` counts them."""
    epochs: list[dict[str, Any]] = []
    with timed_refreshes() as refreshes:
        result = run(experiment, progress=True, on_epoch=epochs.append)
    return {
        "seconds": [record["seconds"] for record in epochs],
        "refresh_seconds": refreshes[
            1:
        ],  # the first belongs to the model's making; then one an epoch
        "losses": [record["loss"] for record in epochs],
        "graph_seconds": result["graph_seconds"],
        "whole": True,
    }


def some_steps(experiment: Experiment, data: RunData, steps: int) -> dict[str, Any]:
    """So many steps, from which an epoch's seconds are estimated: for what is too slow for whole ones."""
    model: Recommender = build_model(experiment, data)
    train = experiment.train
    sampler = PairSampler(
        model.graph,
        batch_size=train.batch_size or auto_batch_size(model.graph.num_edges, quadratic=False),
        negatives=True, sampling="interactions", seed=train.seed,
    )  # fmt: skip
    model.start_epoch(1)
    model.training_step(sampler.batch(1, 0))
    start = time.perf_counter()
    for step in range(1, steps + 1):
        model.training_step(sampler.batch(1, step % sampler.batches_per_epoch))
    seconds = (time.perf_counter() - start) / steps
    return {
        "seconds": [seconds * sampler.batches_per_epoch],
        "step_seconds": seconds, "steps": steps, "whole": False,
    }  # fmt: skip


def ltgnn_rows(experiment: Experiment, data: RunData, steps: int) -> dict[str, Any]:
    """The reads of an LTGNN epoch by torch, from so many steps: what no way to compute it can do without."""
    model = build_model(experiment, data)
    assert isinstance(model, LTGNN)
    train, offset = experiment.train, model.graph.num_users
    sampler = PairSampler(
        model.graph,
        batch_size=train.batch_size or auto_batch_size(model.graph.num_edges, quadratic=False),
        negatives=True, sampling="interactions", seed=train.seed,
    )  # fmt: skip
    tables = [model.e0.detach(), model.adam_m, model.adam_v, model.delta, model.history_sum]
    times = []
    for step in range(steps + 1):
        pairs = sampler.batch(1, step % sampler.batches_per_epoch)
        assert pairs.negatives is not None
        ends = [pairs.users, pairs.items + offset, pairs.negatives.flatten() + offset]
        rows = torch.unique(torch.cat(ends))
        drawn = sample_neighbors(model.graph, rows, fanout=model.config.fanout, seed=pairs.seed)
        reads = [(table, rows) for table in tables] + [(model.delta, drawn[drawn >= 0])]
        start = time.perf_counter()
        for table, read in reads:
            bags = torch.arange(0, len(read), 64)
            torch.nn.functional.embedding_bag(read, table, bags, mode="sum")
        times.append(time.perf_counter() - start)
    seconds = statistics.median(times[1:])
    return {
        "seconds": [seconds * sampler.batches_per_epoch],
        "step_seconds": seconds, "steps": steps, "whole": False,
    }  # fmt: skip


def torch_lightgcn(
    graph: BipartiteGraph, dim: int, layers: int, batch: int, steps: int
) -> dict[str, Any]:
    """LightGCN in plain torch, with autograd; full graph in every step."""
    scale = graph.scale()
    rows = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.degrees)
    weight = scale[rows] * scale[graph.indices]
    del rows
    adjacency = torch.sparse_csr_tensor(
        graph.indptr.to(torch.int32), graph.indices, weight, (graph.num_nodes, graph.num_nodes)
    )
    e0 = torch.nn.Parameter(torch.empty(graph.num_nodes, dim).normal_(0, 0.1))
    optimiser = torch.optim.Adam([e0], lr=1e-3)
    sampler = PairSampler(graph, batch_size=batch, negatives=True, sampling="interactions", seed=0)
    times = []
    for step in range(steps):
        start = time.perf_counter()
        pairs = sampler.batch(1, step)
        out = [e0]
        for _ in range(layers):
            out.append(adjacency @ out[-1])
        mean = torch.stack(out).mean(0)
        u, p, n = (mean[nodes] for nodes in (pairs.users, pairs.items + graph.num_users,
                                             pairs.negatives + graph.num_users))  # fmt: skip
        loss = torch.nn.functional.softplus((u * n).sum(1) - (u * p).sum(1)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        times.append(time.perf_counter() - start)
    seconds = min(times[1:] or times)
    return {
        "seconds": [seconds * sampler.batches_per_epoch],
        "step_seconds": seconds,
        "steps": steps,
        "whole": False,
    }


def main() -> None:
    """Do the run that the argument asks for."""
    wanted = json.loads(sys.argv[1])
    torch.set_num_threads(wanted["threads"])
    before, anonymous_before = memory_mb("VmRSS"), memory_mb("RssAnon")
    anonymous = AnonymousPeak()
    plain, rows = wanted["model"] == "torch_lightgcn", wanted["model"] == "ltgnn_rows"
    experiment = Experiment(
        data=wanted["store"], data_options={"split": "none"},
        model="lightgcn" if plain else "ltgnn" if rows else wanted["model"],
        settings={"dim": wanted["dim"], "loss": "bpr"},
        train=TrainConfig(epochs=wanted["epochs"], batch_size=wanted["batch_size"]),
        protocol="last", tables=wanted["tables"],
    )  # fmt: skip
    data, _ = open_data(experiment)
    if plain:
        graph = data.build_graph(TableStorage())
        result = torch_lightgcn(graph, wanted["dim"], 3, wanted["batch_size"], wanted["steps"])
    elif rows:
        result = ltgnn_rows(experiment, data, wanted["steps"])
    elif wanted["steps"]:
        result = some_steps(experiment, data, wanted["steps"])
    else:
        result = whole_epochs(experiment)
    if not plain:
        kind = MODELS[experiment.model]
        config = config_from_dict(kind.config_type, experiment.settings)
        predicted = estimate(data, kind, config, experiment.train, experiment.tables)
        result["estimate_mb"] = predicted.peak / 1e6
    peak = memory_mb("VmHWM")
    print(json.dumps({
        **wanted, **result, "interactions": data.sizes["train"], "num_users": data.num_users,
        "num_items": data.num_items,
        "batch_size": wanted["batch_size"] or auto_batch_size(data.sizes["train"], quadratic=False),
        "peak_mb": peak, "peak_above_import_mb": peak - before,
        "anonymous_above_import_mb": anonymous.stop() - anonymous_before,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
