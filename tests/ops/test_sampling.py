"""Sampling operators: unbiased, exact where they can be, uniform, reproducible."""

from __future__ import annotations

import pytest
import torch
from ops.chi_square import chi_square, chi_square_limit
from ops.graphs import from_rows
from torch import Tensor

from ltgnn.graph import BipartiteGraph
from ltgnn.ops import (
    Csr,
    negative_sample,
    propagate,
    reference,
    sample_aggregate,
    sample_neighbors,
)

F64 = torch.float64
SEEDS = 3000


def star_graph() -> BipartiteGraph:
    """User 0 has 20 items, user 1 has 3, user 2 none; item 5 is known to both."""
    users = [0] * 20 + [1] * 3
    return BipartiteGraph.from_edges(users, [*range(20), 5, 20, 21], num_users=3)


def table(rows: int, dim: int = 3, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(rows, dim, generator=random, dtype=F64)


# ---- the random numbers ----


@pytest.mark.parametrize(
    ("words", "want"),
    [
        ((0, 0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ((2**64 - 1,) * 3, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ],
)
def test_philox_gives_the_published_numbers(words: tuple[int, int, int], want: list[int]) -> None:
    """Known answers of philox4x32-10 in the Random123 distribution."""
    assert reference.philox(*words) == want


# ---- sample_aggregate ----


def runs(rows: Tensor, x: Tensor, history: Tensor | None) -> Tensor:
    """[SEEDS, targets, dim]: estimates with one seed each."""
    graph = star_graph()
    history_sum = None if history is None else propagate(graph, history)
    return torch.stack([
        sample_aggregate(graph, rows, x, fanout=4, seed=seed, history=history, history_sum=history_sum)
        for seed in range(SEEDS)
    ])  # fmt: skip


def test_unbiased_and_history_lowers_the_variance() -> None:
    graph, rows = star_graph(), torch.tensor([0, 1, 8])
    x = table(graph.num_nodes)
    exact = propagate(graph, x)[rows]
    spread = []
    for history in (None, x + 0.05 * table(graph.num_nodes, seed=1)):
        estimates = runs(rows, x, history)
        error = (estimates.mean(0) - exact).abs()
        deviation = estimates.std(0)
        assert (error <= 4 * deviation / SEEDS**0.5 + 1e-12).all()
        spread.append(deviation[0])
    assert (spread[1] < 0.2 * spread[0]).all()
    assert (spread[0] > 0.01).all()  # the wide row really is sampled


def test_no_variance_where_nothing_changed() -> None:
    graph, rows = star_graph(), torch.arange(3)
    x = table(graph.num_nodes)
    total = propagate(graph, x)
    for seed in range(20):
        got = sample_aggregate(graph, rows, x, fanout=2, seed=seed, history=x, history_sum=total)
        torch.testing.assert_close(got, total[rows])


@pytest.mark.parametrize("self_loops", [False, True])
@pytest.mark.parametrize("fanout", [20, 21, 256])
def test_exact_where_the_fanout_covers_the_row(fanout: int, self_loops: bool) -> None:
    graph = star_graph()
    rows = torch.tensor([3, 0, 2, 1, 0])  # in any order, repeated
    x, history = table(graph.num_nodes), table(graph.num_nodes, seed=1)
    exact = propagate(graph, x, self_loops=self_loops)[rows]
    got = sample_aggregate(graph, rows, x, fanout=fanout, seed=5, self_loops=self_loops)
    torch.testing.assert_close(got, exact)
    total = propagate(graph, history, self_loops=self_loops)
    reduced = sample_aggregate(
        graph, rows, x, fanout=fanout, seed=5, history=history, history_sum=total,
        self_loops=self_loops,
    )  # fmt: skip
    torch.testing.assert_close(reduced, exact)


def test_self_loop_is_never_sampled() -> None:
    """A row whose neighbours hold zeros gives its own value, whatever is drawn."""
    graph = star_graph()
    x = torch.zeros(graph.num_nodes, 1, dtype=F64)
    x[0] = 21.0  # degree 20 and the loop: scale 1/21
    for seed in range(10):
        got = sample_aggregate(graph, torch.tensor([0]), x, fanout=3, seed=seed, self_loops=True)
        torch.testing.assert_close(got, torch.ones(1, 1, dtype=F64))


def test_no_neighbours_and_no_fanout() -> None:
    graph, x = star_graph(), table(25)
    nothing = torch.zeros(1, 3, dtype=F64)
    assert torch.equal(sample_aggregate(graph, torch.tensor([2]), x, fanout=4, seed=0), nothing)
    assert torch.equal(sample_aggregate(graph, torch.tensor([0]), x, fanout=0, seed=0), nothing)


def test_depends_on_seed_and_row_only() -> None:
    graph, x = star_graph(), table(25)
    alone = sample_aggregate(graph, torch.tensor([0]), x, fanout=4, seed=9)
    among = sample_aggregate(graph, torch.tensor([1, 2, 0]), x, fanout=4, seed=9)
    assert torch.equal(alone[0], among[2])
    other = sample_aggregate(graph, torch.tensor([0]), x, fanout=4, seed=10)
    assert not torch.equal(alone, other)


def test_records_no_gradient() -> None:
    x = table(25).requires_grad_()
    assert not sample_aggregate(star_graph(), torch.tensor([0]), x, fanout=4, seed=0).requires_grad


def test_refuses_stored_values() -> None:
    csr = star_graph().csr(dtype=F64)
    weighted = Csr(csr.indptr, csr.indices, csr.num_cols, torch.ones(len(csr.indices), dtype=F64))
    with pytest.raises(ValueError, match="a graph with stored edge values cannot be sampled"):
        sample_aggregate(weighted, torch.tensor([0]), table(25), fanout=4, seed=0)


# ---- sample_neighbors ----


@pytest.mark.parametrize("fanout", [1, 4, 19])
def test_every_neighbour_is_drawn_equally_often(fanout: int) -> None:
    graph = star_graph()
    draws = torch.stack(
        [sample_neighbors(graph, torch.tensor([0]), fanout=fanout, seed=s)[0] for s in range(SEEDS)]
    )
    assert draws.min() >= 3 and draws.max() < 23
    assert all(len(row.unique()) == fanout for row in draws)
    counts = torch.bincount(draws.flatten() - 3, minlength=20)
    # Draws without replacement vary less than the multinomial that chi-square is about.
    assert chi_square(counts) < chi_square_limit(20)


def test_pairs_of_neighbours_are_drawn_equally_often() -> None:
    """Floyd's method makes every subset equally likely, not only every element."""
    graph = BipartiteGraph.from_edges([0] * 6, range(6))
    counts = torch.zeros(6, 6)
    for seed in range(SEEDS):
        a, b = sorted(sample_neighbors(graph, torch.tensor([0]), fanout=2, seed=seed)[0].tolist())
        counts[a - 1, b - 1] += 1
    pairs = counts[counts.triu(1).bool()]
    assert len(pairs) == 15
    assert chi_square(pairs) < chi_square_limit(15)


def test_short_rows_come_whole_and_in_order() -> None:
    got = sample_neighbors(star_graph(), torch.tensor([1, 2]), fanout=5, seed=0)
    assert got.tolist() == [[8, 23, 24, -1, -1], [-1] * 5]


# ---- negative_sample ----


def test_negatives_are_never_owned_and_uniform() -> None:
    owned = [[1, 2, 5, 9], [*range(10)], [], [0, 9]]
    indptr, indices, _ = from_rows(owned, 10)
    users = torch.arange(4).repeat(5000)
    got = negative_sample(indptr, indices, users, 10, seed=3)
    assert reference.is_negative(indptr, indices, users, got, 10).all()
    for user in (0, 2, 3):
        missing = torch.tensor([item for item in range(10) if item not in owned[user]])
        counts = torch.bincount(got[users == user], minlength=10)[missing]
        assert counts.sum() == 5000
        assert chi_square(counts) < chi_square_limit(len(missing))
    assert (got[users == 1] == -1).all()


@pytest.mark.parametrize("missing", [0, 1, 12_345, 99_999])
def test_an_owner_of_nearly_everything(missing: int) -> None:
    items = 100_000
    owned = torch.cat([torch.arange(missing), torch.arange(missing + 1, items)]).int()
    got = negative_sample(
        torch.tensor([0, items - 1]), owned, torch.zeros(2000, dtype=torch.int64), items, seed=0
    )
    assert (got == missing).all()


def test_negatives_of_many_items() -> None:
    items = 2**31 - 1
    users = torch.zeros(4000, dtype=torch.int64)
    owned = torch.tensor([0, items - 1], dtype=torch.int64)
    got = negative_sample(torch.tensor([0, 2]), owned, users, items, seed=1)
    assert got.min() > 0 and got.max() < items - 1
    assert abs(got.double().mean() / items - 0.5) < 4 * (1 / 12) ** 0.5 / 4000**0.5


def test_no_items_at_all() -> None:
    indptr, none = torch.tensor([0, 0]), torch.zeros(0, dtype=torch.int32)
    assert negative_sample(indptr, none, torch.tensor([0]), 0, seed=0).tolist() == [-1]


def test_negatives_depend_on_seed_and_position_only() -> None:
    indptr, indices, _ = from_rows([[3], [4, 5]], 50)
    users = torch.tensor([0, 1] * 50)
    first = negative_sample(indptr, indices, users, 50, seed=7)
    assert torch.equal(first[:10], negative_sample(indptr, indices, users[:10], 50, seed=7))
    assert not torch.equal(first, negative_sample(indptr, indices, users, 50, seed=8))
