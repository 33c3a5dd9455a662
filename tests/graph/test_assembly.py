"""A graph from blocks of both sides: equal to one from edges, and refused where the blocks are not that."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ltgnn.graph import BipartiteGraph, MappedStorage, assembly, graph_from_blocks


def sides(num_users=40, num_items=30, num_edges=400, seed=0):
    random = np.random.default_rng(seed)
    users, items = (
        random.integers(num_users - 1, size=num_edges),
        random.integers(1, num_items, size=num_edges),
    )
    graph = BipartiteGraph.from_edges(users, items, num_users=num_users, num_items=num_items)
    by_user = graph.to_scipy()
    by_item = by_user.T.tocsr()
    return graph, by_user, by_item


def blocks(indices, size):
    return [(at, indices[at : at + size]) for at in range(0, len(indices), size)]


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
@pytest.mark.parametrize("mapped", [False, True])
def test_equals_a_graph_from_edges(size, mapped, tmp_path, monkeypatch):
    monkeypatch.setattr(assembly, "_PIECE", 16)
    want, by_user, by_item = sides()
    got = graph_from_blocks(
        by_user.indptr.astype(np.int64), by_item.indptr.astype(np.int64),
        blocks(by_user.indices, size), blocks(by_item.indices, size),
        MappedStorage(tmp_path) if mapped else None,
    )  # fmt: skip
    assert torch.equal(got.indptr, want.indptr) and torch.equal(got.indices, want.indices)
    assert (got.num_users, got.num_items) == (want.num_users, want.num_items)
    assert got.indices.dtype == torch.int32


def test_no_edges():
    none = np.zeros(4, np.int64)
    graph = graph_from_blocks(none, none, [], [])
    assert (graph.num_users, graph.num_items, graph.num_edges) == (3, 3, 0)


def test_node_numbers_past_int32():
    # A graph of so many nodes has row pointers of 24 GB: the part that adds is tested alone.
    items = np.array([10**9], np.int32)
    nodes = np.zeros(1, np.int64)
    assembly._fill("user", np.array([0, 1]), [(0, items)], 2 * 10**9, 2**31 - 1, nodes)
    assert nodes.tolist() == [10**9 + 2**31 - 1]


def swap(array, at):
    array[at], array[at + 1] = array[at + 1], array[at]


SPOILS = {
    "not ascending": (lambda u, i: swap(u.indices, u.indptr[5]), "by user: expected ascending rows"),
    "repeated": (lambda u, i: u.indices.__setitem__(u.indptr[5] + 1, u.indices[u.indptr[5]]),
                 "by user: expected ascending rows"),
    "too large": (lambda u, i: u.indices.__setitem__(u.indptr[6] - 1, 30),
                  r"by user: expected indices in \[0, 30\)"),
    "negative": (lambda u, i: i.indices.__setitem__(0, -1), r"by item: expected indices in \[0, 40\), got -1"),
    "another pair": (lambda u, i: i.indices.__setitem__(i.indptr[4] - 1, 39), "the same pairs"),
}  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILS)
@pytest.mark.parametrize("size", [5, 1000])
def test_spoilt_sides_are_refused(spoil, size):
    _, by_user, by_item = sides()
    change, message = SPOILS[spoil]
    change(by_user, by_item)
    with pytest.raises(ValueError, match=message):
        graph_from_blocks(
            by_user.indptr.astype(np.int64), by_item.indptr.astype(np.int64),
            blocks(by_user.indices, size), blocks(by_item.indices, size),
        )  # fmt: skip


def test_missing_and_surplus_blocks_are_refused():
    _, by_user, by_item = sides()
    indptr, other = by_user.indptr.astype(np.int64), by_item.indptr.astype(np.int64)
    good, others = blocks(by_user.indices, 50), blocks(by_item.indices, 50)
    for bad in (good[:-1], good[1:], [*good, (len(by_user.indices), np.array([1]))]):
        with pytest.raises(ValueError, match="by user: expected"):
            graph_from_blocks(indptr, other, bad, others)
    with pytest.raises(ValueError, match="as many edges"):
        graph_from_blocks(indptr, other[:-1], good, others)
