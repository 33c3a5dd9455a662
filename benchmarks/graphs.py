"""Graphs to measure on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ltgnn.data import Dataset, read
from ltgnn.graph import BipartiteGraph


def real_path(name: str) -> Path:
    """A folder under the one that LTGNN_DATA names."""
    root = os.environ.get("LTGNN_DATA")
    if root is None:
        raise SystemExit(f"set LTGNN_DATA to the folder that holds {name}/")
    return Path(root) / name


def real(name: str) -> Dataset:
    """A data set under LTGNN_DATA."""
    return read(real_path(name))


def graph_of(dataset: Dataset) -> BipartiteGraph:
    """The graph of the training interactions."""
    return BipartiteGraph.from_edges(
        dataset.train.users, dataset.train.items,
        num_users=dataset.num_users, num_items=dataset.num_items,
    )  # fmt: skip


def zipf(num_edges: int, *, users: int | None = None, items: int | None = None) -> BipartiteGraph:
    """A heavy-tailed graph: 20 interactions a user and 100 an item on average, exponent 0.75 on both sides."""
    rng = np.random.default_rng(0)
    users = users or max(1, num_edges // 20)
    items = items or max(1, num_edges // 100)

    def draw(size: int) -> np.ndarray:
        # Inverse of the continuous power law's distribution, then ranks shuffled over the ids.
        rank = (rng.random(num_edges) ** 4.0 * size).astype(np.int64)
        return rng.permutation(size)[rank]

    return BipartiteGraph.from_edges(draw(users), draw(items), num_users=users, num_items=items)
