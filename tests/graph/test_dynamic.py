"""DynamicGraph against a set of pairs: insertion, deletion, moves and compaction of rows, copies, errors."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltgnn.graph import BipartiteGraph, DynamicGraph
from ltgnn.graph.slack_pool import _Copy
from ltgnn.ops import SlackRows, SupportsCsr, SupportsSlackRows, low_rank_approximation

Pairs = set[tuple[int, int]]
USERS, ITEMS = 8, 6
CPU = torch.device("cpu")
batches = st.lists(
    st.tuples(
        st.booleans(),
        st.lists(st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1)), max_size=40),
    ),
    max_size=8,
)


def columns(pairs: Any) -> tuple[list[int], list[int]]:
    return [u for u, _ in pairs], [i for _, i in pairs]


def fixed(pairs: Pairs, users: int = USERS, items: int = ITEMS) -> BipartiteGraph:
    return BipartiteGraph.from_edges(*columns(sorted(pairs)), num_users=users, num_items=items)


def check(graph: DynamicGraph, pairs: Pairs) -> None:
    """The graph holds exactly these pairs, in both directions and every form."""
    want = fixed(pairs, graph.num_users, graph.num_items)
    got = graph.to_bipartite()
    assert torch.equal(got.indptr, want.indptr) and torch.equal(got.indices, want.indices)
    assert got.indices.dtype == want.indices.dtype
    assert graph.num_edges == len(pairs) and torch.equal(graph.degrees, want.degrees)
    check_rows(graph.slack_rows(CPU), want)


def check_rows(rows: SlackRows, want: BipartiteGraph) -> None:
    assert rows.row_begin.dtype == rows.degree.dtype == torch.int64
    for node in range(want.num_nodes):
        begin = int(rows.row_begin[node])
        row = rows.indices[begin : begin + int(rows.degree[node])]
        assert torch.equal(row, want.indices[want.indptr[node] : want.indptr[node + 1]])
    spans = sorted(zip(rows.row_begin.tolist(), rows.degree.tolist(), strict=True))
    assert all(a + n <= b for (a, n), (b, _) in zip(spans, spans[1:], strict=False))


def affected(pairs: Pairs) -> list[int]:
    return sorted({u for u, _ in pairs} | {USERS + i for _, i in pairs})


@given(batches, st.booleans())
def test_follows_a_set_of_pairs(steps: list[tuple[bool, Any]], one_by_one: bool) -> None:
    graph, pairs = DynamicGraph(USERS, ITEMS), set()
    for add, batch in steps:
        change = set(batch) - pairs if add else set(batch) & pairs
        groups = [[pair] for pair in batch] if one_by_one else [batch]
        touched: set[int] = set()
        for group in groups:
            nodes = (
                graph.insert(*columns(group), existing="ignore")
                if add
                else graph.delete(*columns(group), missing="ignore")
            )
            assert nodes.dtype == torch.int64 and nodes.tolist() == sorted(set(nodes.tolist()))
            touched |= set(nodes.tolist())
        assert sorted(touched) == affected(change)
        pairs = pairs | change if add else pairs - change
        check(graph, pairs)


@pytest.mark.parametrize("batch", [1, 5, 16, 17, 300])
def test_long_random_sequences(batch: int) -> None:
    """Rows move, the pool grows and is laid out anew; a copy elsewhere is kept up to date."""
    rng = np.random.default_rng(batch)
    graph, pairs = DynamicGraph(40, 30), set()
    copy, same_pool, pools = _Copy(CPU), 0, set()
    graph._rows._copies[torch.device("meta")] = copy  # stands for another device
    for step in range(60):
        users, items = rng.integers(0, 40, batch), rng.integers(0, 30, batch)
        items[: batch // 2] = 7  # a hub
        drawn = set(zip(users.tolist(), items.tolist(), strict=True))
        if step % 3 < 2:
            graph.insert(users, items, existing="ignore")
            pairs |= drawn
        else:
            graph.delete(users, items, missing="ignore")
            pairs -= drawn
        if step % 4 == 0:
            before = copy.rows
            check_rows(copy.refresh(graph.slack_rows(CPU)), fixed(pairs, 40, 30))
            same_pool += copy.rows is before
        pools.add(graph.slack_rows(CPU).indices.data_ptr())
        check(graph, pairs)
    graph.delete(*columns(sorted(pairs)))
    check(graph, set())
    assert same_pool > 0  # else nothing but whole copies was tried
    assert batch == 1 or len(pools) > 1


def test_compaction_bounds_the_pool() -> None:
    """Rows that keep moving leave no more waste than half of what is used."""
    graph = DynamicGraph(300, 300)
    rng = np.random.default_rng(0)
    for _ in range(20):
        graph.insert(rng.integers(0, 300, 3000), rng.integers(0, 300, 3000), existing="ignore")
    pool = graph._rows
    assert pool._waste() * 2 <= pool.end
    assert pool.end <= 4 * int(pool.degree.sum()) + 8 * graph.num_nodes
    assert len(pool.pool) <= 3 * pool.end


def test_from_bipartite_and_room_for_nodes() -> None:
    pairs = {(0, 0), (7, 5), (7, 0), (3, 2)}
    source = fixed(pairs)
    check(DynamicGraph.from_bipartite(source), pairs)
    graph = DynamicGraph.from_bipartite(source, num_users=11, num_items=9)
    check(graph, pairs)
    graph.insert([10, 0], [8, 8])
    check(graph, pairs | {(10, 8), (0, 8)})
    check(DynamicGraph.from_bipartite(source), pairs)  # the source is as it was
    with pytest.raises(ValueError, match="num_users must be at least the graph's 8, got 7"):
        DynamicGraph.from_bipartite(source, num_users=7)


def test_reading() -> None:
    graph = DynamicGraph.from_bipartite(fixed({(0, 1), (2, 1), (2, 5)}))
    assert graph.has_edge(2, 5) and not graph.has_edge(2, 0)
    assert graph.neighbors(2).tolist() == [9, 13] and graph.neighbors(9).tolist() == [0, 2]
    assert graph.num_nodes == 14 and graph.to_scipy().nnz == 3
    assert repr(graph) == "DynamicGraph(num_users=8, num_items=6, num_edges=3)"
    assert isinstance(graph, SupportsCsr) and isinstance(graph, SupportsSlackRows)
    frozen = graph.to_bipartite()
    assert graph.to_bipartite() is frozen  # made once
    graph.insert([0], [0])
    assert frozen.num_edges == 3 and graph.to_bipartite().num_edges == 4
    with pytest.raises(IndexError, match=r"user must be in \[0, 8\), got -1"):
        graph.has_edge(-1, 0)
    with pytest.raises(IndexError, match=r"item must be in \[0, 6\), got 6"):
        graph.has_edge(0, 6)
    with pytest.raises(IndexError, match=r"node must be in \[0, 14\), got 14"):
        graph.neighbors(14)


@pytest.mark.parametrize("extra", [0, 30])  # few and many edges take different paths
@pytest.mark.parametrize(
    ("call", "users", "items", "error", "pattern"),
    [
        ("insert", [0, 5], [0, 1], ValueError, r"edge \(user 5, item 1\) exists already; pass existing="),
        ("insert", [0, 0], [0, 0], ValueError, r"edge \(user 0, item 0\) is twice in the list.*existing="),
        ("insert", [-1], [0], IndexError, r"users must be in \[0, 50\), got -1"),
        ("insert", [0], [9], IndexError, r"items must be in \[0, 9\), got 9"),
        ("insert", [0.5], [1], TypeError, "users must be integers, got float64"),
        ("insert", [[0]], [1], ValueError, "users must be 1-D, got 2-D"),
        ("insert", [0, 1], [1], ValueError, r"must have equal length, got \d+ and \d+"),
        ("delete", [5, 0], [1, 2], ValueError, r"edge \(user 0, item 2\) is not there"),
        ("delete", [5, 5], [1, 1], ValueError, r"edge \(user 5, item 1\) is twice in the list.*missing="),
        ("delete", [5], [2**62], IndexError, r"items must be in \[0, 9\), got 4611686018427387904"),
    ],
)  # fmt: skip
def test_bad_edges_leave_the_graph_alone(
    call: str, users: Any, items: Any, error: type[Exception], pattern: str, extra: int
) -> None:
    there = {(u, 8) for u in range(12, 12 + extra)} if call == "delete" else set()
    pairs = {(5, 1), (6, 1), *there}
    graph = DynamicGraph.from_bipartite(fixed(pairs, 50, 9))
    if np.ndim(users) == 1:
        users = [*users, *range(12, 12 + extra)]
        items = [*items, *[8] * extra]
    with pytest.raises(error, match=pattern):
        getattr(graph, call)(users, items)
    check(graph, pairs)


def test_bad_settings() -> None:
    graph = DynamicGraph(2, 2)
    with pytest.raises(ValueError, match="existing must be 'error' or 'ignore', got 'skip'"):
        graph.insert([0], [0], existing="skip")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="missing must be 'error' or 'ignore', got 'skip'"):
        graph.delete([0], [0], missing="skip")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="num_items must not be negative, got -1"):
        DynamicGraph(2, -1)
    assert graph.insert([], []).tolist() == [] and graph.num_edges == 0


def test_copies_are_graphs_of_their_own() -> None:
    graph = DynamicGraph(3, 4)
    graph.insert([0, 1], [0, 1])
    graph.slack_rows(torch.device("cpu"))  # kept for the next call
    copied = copy.deepcopy(graph)
    copied.insert([2], [3])
    check(copied, {(0, 0), (1, 1), (2, 3)})
    assert copied.slack_rows(torch.device("cpu")).degree.tolist() == [1, 1, 1, 1, 1, 0, 1]
    check(graph, {(0, 0), (1, 1)})


def test_approximations_are_those_of_the_immutable_graph() -> None:
    frozen = fixed({(0, 0), (0, 1), (1, 1), (2, 2), (1, 3)})
    ours, theirs = (
        low_rank_approximation(g, 2) for g in (DynamicGraph.from_bipartite(frozen), frozen)
    )
    assert ours.bipartite and torch.equal(ours.values, theirs.values)


def test_no_nodes() -> None:
    graph = DynamicGraph(0, 0)
    check(graph, set())
    assert graph.insert(np.zeros(0, int), torch.zeros(0, dtype=torch.int32)).tolist() == []
    check(DynamicGraph.from_bipartite(fixed(set(), 0, 4)), set())
