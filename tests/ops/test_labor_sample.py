"""Sampling a layer for all rows together: unbiased, reproducible, fewer nodes than row by row."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph
from ltgnn.ops import labor_sample, sample_neighbors

SEEDS = 3000


def graph_of_hubs() -> BipartiteGraph:
    random = torch.Generator().manual_seed(5)
    users = (200 * torch.rand(5000, generator=random) ** 2).long()
    items = (150 * torch.rand(5000, generator=random) ** 3).long()
    return BipartiteGraph.from_edges(users, items, num_users=201, num_items=151)


def neighbours(graph: BipartiteGraph, row: int) -> Tensor:
    begin, end = graph.indptr[row : row + 2].tolist()
    return graph.indices[begin:end].long()


def estimates(graph: BipartiteGraph, rows: Tensor, x: Tensor, fanout: int) -> Tensor:
    """[SEEDS, targets]: Horvitz and Thompson's estimate of the sum over neighbours."""
    runs = []
    for seed in range(SEEDS):
        sample = labor_sample(graph, rows, fanout=fanout, seed=seed)
        row = torch.repeat_interleave(sample.indptr.diff())
        total = x.new_zeros(len(rows)).index_add(0, row, x[sample.indices])
        runs.append(total / sample.probability.double())
    return torch.stack(runs)


@pytest.mark.parametrize("fanout", [1, 5])
def test_sums_are_unbiased(fanout: int) -> None:
    graph = graph_of_hubs()
    random = torch.Generator().manual_seed(1)
    x = torch.randn(graph.num_nodes, generator=random, dtype=torch.float64)
    rows = torch.tensor([0, 7, 200, 201, 203, 0, 190])
    got = estimates(graph, rows, x, fanout)
    exact = torch.stack([x[neighbours(graph, row)].sum() for row in rows.tolist()])
    assert ((got.mean(0) - exact).abs() <= 4 * got.std(0) / SEEDS**0.5 + 1e-9).all()
    assert got.std(0)[0] > 0.1  # the hub really is sampled
    counts = estimates(graph, rows, torch.ones_like(x), fanout)
    degrees = graph.degrees[rows].double()
    assert ((counts.mean(0) - degrees).abs() <= 4 * counts.std(0) / SEEDS**0.5 + 1e-9).all()


def test_each_row_takes_neighbours_of_its_own_and_short_rows_all() -> None:
    graph = graph_of_hubs()
    rows = torch.arange(graph.num_nodes)
    sample = labor_sample(graph, rows, fanout=6, seed=3)
    assert len(sample.indptr) == len(rows) + 1 and sample.indptr[-1] == len(sample.indices)
    for row in rows.tolist():
        own = neighbours(graph, row)
        got = sample.indices[sample.indptr[row] : sample.indptr[row + 1]]
        assert torch.isin(got, own).all() and (got.diff() > 0).all()
        assert len(own) > 6 or torch.equal(got, own)
        assert abs(sample.probability[row] - min(1.0, 6 / max(1, len(own)))) < 1e-6


def test_a_node_is_shared_by_the_rows_that_know_it() -> None:
    """Of two rows with the same neighbours the one with the larger share takes all that the other takes."""
    graph = BipartiteGraph.from_edges(
        [0] * 40 + [1] * 60 + [2] * 40, [*range(40), *range(60), *range(40)]
    )
    sample = labor_sample(graph, torch.tensor([0, 1, 2]), fanout=8, seed=1)
    a, b, c = (sample.indices[sample.indptr[k] : sample.indptr[k + 1]] for k in range(3))
    assert torch.equal(a, c) and len(a) > 0
    common = b[b < 3 + 40]
    assert torch.isin(common, a).all()


def test_fewer_distinct_nodes_than_by_rows_at_the_same_number_of_draws() -> None:
    graph, rows = graph_of_hubs(), torch.arange(200)
    ours = [labor_sample(graph, rows, fanout=4, seed=seed) for seed in range(30)]
    theirs = [sample_neighbors(graph, rows, fanout=4, seed=seed) for seed in range(30)]
    drawn = sum(len(sample.indices) for sample in ours), sum(int((s >= 0).sum()) for s in theirs)
    assert abs(drawn[0] / drawn[1] - 1) < 0.05
    distinct = (
        sum(len(sample.indices.unique()) for sample in ours),
        sum(len(s[s >= 0].unique()) for s in theirs),
    )
    assert distinct[0] < 0.9 * distinct[1], distinct


@pytest.mark.parametrize("piece", [1, 50, 1 << 22])
def test_same_sample_in_any_pieces_and_for_any_other_rows(
    piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = graph_of_hubs()
    whole = labor_sample(graph, torch.arange(graph.num_nodes), fanout=3, seed=9)
    monkeypatch.setattr(import_module("ltgnn.ops.labor_sample"), "_PIECE", piece)
    rows = torch.tensor([5, 300, 5, 0])
    part = labor_sample(graph, rows, fanout=3, seed=9)
    for k, row in enumerate(rows.tolist()):
        got = part.indices[part.indptr[k] : part.indptr[k + 1]]
        assert torch.equal(got, whole.indices[whole.indptr[row] : whole.indptr[row + 1]])
    assert not torch.equal(
        labor_sample(graph, torch.arange(200), fanout=3, seed=10).indices,
        labor_sample(graph, torch.arange(200), fanout=3, seed=9).indices,
    )


def test_edges_of_the_domain() -> None:
    graph = graph_of_hubs()
    nobody = labor_sample(graph, torch.empty(0, dtype=torch.int64), fanout=3, seed=0)
    assert nobody.indptr.tolist() == [0] and len(nobody.indices) == len(nobody.probability) == 0
    assert len(labor_sample(graph, torch.arange(9), fanout=0, seed=0).indices) == 0
    lonely = int((graph.degrees == 0).nonzero()[0])
    alone = labor_sample(graph, torch.tensor([lonely]), fanout=2, seed=0)
    assert alone.indptr.tolist() == [0, 0]


def test_bad_calls() -> None:
    graph, rows = graph_of_hubs(), torch.arange(3)
    for settings, error, text in [
        ({"rows": rows, "fanout": -1}, ValueError, "fanout must not be negative, got -1"),
        ({"rows": rows.int(), "fanout": 1}, ValueError, "rows must be a vector of int64, got"),
        ({"rows": rows[None], "fanout": 1}, ValueError, "rows must be a vector of int64, got"),
        ({"rows": rows - 1, "fanout": 1}, IndexError, r"rows must be in \[0, 352\), got -1 to 1"),
        ({"rows": rows + 350, "fanout": 1}, IndexError, r"rows must be in .*, got 350 to 352"),
    ]:
        with pytest.raises(error, match=f"labor_sample: {text}"):
            labor_sample(graph, **settings, seed=0)
