"""Graphs to measure on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from ltgnn.data import Dataset, read
from ltgnn.data.block_store import ArraySource, write_blocks
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


def power_law_store(num_edges: int, folder: Path) -> Path:
    """A block store of exactly so many distinct pairs, all train; made once and kept in the folder.

    20 interactions a user and 100 an item on average. A user's share is drawn from a Pareto distribution of shape
    1.5; an item's popularity falls as rank^(-2/3). Pairs are made in pieces of whole users, so that memory is that
    of the compressed matrix and its transpose.
    """
    path = folder / f"power-law-{num_edges}.store"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    num_users, num_items = max(1, num_edges // 20), max(1, num_edges // 100)
    rng = np.random.default_rng(0)
    names = rng.permutation(num_items).astype(np.int32)
    indices = np.empty(num_edges, np.int32)
    degrees = np.zeros(num_users, np.int64)
    done, user = 0, 0
    while done < num_edges:
        count = min(2_000_000, num_edges - done)
        last = done + count == num_edges
        share = num_users - user if last else max(1, round(num_users * count / num_edges))
        keys = _distinct_pairs(rng, count, share, names)
        degrees[user : user + share] = np.bincount(keys // num_items, minlength=share)
        indices[done : done + count] = keys % num_items
        done, user = done + count, user + share
    indptr = np.concatenate([[0], np.cumsum(degrees)])
    ones = np.ones(num_edges, np.int8)
    transposed = scipy.sparse.csr_array(
        (ones, indices, indptr), shape=(num_users, num_items)
    ).tocsc()
    arrays = {
        "train/by_user/indptr": indptr,
        "train/by_user/indices": indices,
        "train/by_item/indptr": transposed.indptr.astype(np.int64),
        "train/by_item/indices": transposed.indices.astype(np.int32),
    }
    meta = {
        "name": path.stem, "split": "none", "num_users": num_users, "num_items": num_items,
    }  # fmt: skip
    write_blocks(path, [ArraySource.of(name, array) for name, array in arrays.items()], meta)
    return path


def _distinct_pairs(
    rng: np.random.Generator, count: int, users: int, names: np.ndarray
) -> np.ndarray:
    """Sorted keys user * num_items + item of `count` distinct pairs."""
    num_items = len(names)
    share = rng.pareto(1.5, users) + 0.4
    keys = np.empty(0, np.int64)
    while len(keys) < count:
        size = int(1.1 * (count - len(keys))) + 100
        user = rng.choice(users, size, p=share / share.sum())
        item = names[np.floor(num_items * rng.random(size) ** 3).astype(np.int64)]
        keys = np.unique(np.concatenate([keys, user * num_items + item]))
    return np.sort(rng.choice(keys, count, replace=False)) if len(keys) > count else keys


def named(name: str, edges: int) -> BipartiteGraph:
    """A power law of `edges` interactions for 'synthetic', of 100,000 for 'small'; else a real train part."""
    if name in ("synthetic", "small"):
        return zipf(edges if name == "synthetic" else 100_000)
    return graph_of(real(name))


def parse_setting(text: str) -> tuple[str, Any]:
    """`name=value`, the value as JSON where it is that, else as a word."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
