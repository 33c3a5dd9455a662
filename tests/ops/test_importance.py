"""Drawing neighbours by importance, and a fanout for each row: unbiased, better than uniform, within the budget."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph
from ltgnn.ops import (
    MAX_FANOUT,
    importance_starts,
    neyman_fanout,
    propagate,
    sample_aggregate,
    sample_neighbors,
)

F64 = torch.float64
SEEDS = 4000


def graph_of_two_sizes() -> BipartiteGraph:
    """User 0 has 40 items, user 1 has 9, user 2 has 2, user 3 none; items 0 to 8 are known to two users."""
    users = [0] * 40 + [1] * 9 + [2] * 2
    return BipartiteGraph.from_edges(users, [*range(40), *range(9), 3, 30], num_users=4)


def uneven_table(graph: BipartiteGraph, dim: int = 3) -> Tensor:
    """Rows whose lengths differ by a factor of up to 300."""
    random = torch.Generator().manual_seed(0)
    length = torch.exp(6 * torch.rand(graph.num_nodes, generator=random, dtype=F64) - 3)
    return torch.randn(graph.num_nodes, dim, generator=random, dtype=F64) * length[:, None]


def importance_of(graph: BipartiteGraph, x: Tensor) -> Tensor:
    return x.norm(dim=1) * graph.scale(dtype=F64)


def estimates(graph: BipartiteGraph, rows: Tensor, x: Tensor, **settings: object) -> Tensor:
    """[SEEDS, targets, dim]."""
    return torch.stack(
        [sample_aggregate(graph, rows, x, seed=seed, **settings) for seed in range(SEEDS)]
    )


# ---- importance ----


@pytest.mark.parametrize("kind", ["right", "wrong", "zeros", "one"])
@pytest.mark.parametrize("history", [False, True])
def test_unbiased_for_any_importance(kind: str, history: bool) -> None:
    graph, rows = graph_of_two_sizes(), torch.tensor([0, 1, 2, 3, 4 + 3])
    x = uneven_table(graph)
    q = importance_of(graph, x)
    if kind == "wrong":
        q = 1 / q.clamp(min=1e-3)
    elif (
        kind == "zeros"
    ):  # most neighbours have moved though their importance says that they do not
        q = torch.where(torch.arange(len(q)) % 3 == 0, q, 0.0)
    elif kind == "one":
        q = torch.zeros_like(q).index_fill_(0, torch.tensor([4 + 20]), 1.0)
    starts = importance_starts(graph, q)
    old = uneven_table(graph).flip(0) if history else None
    total = None if old is None else propagate(graph, old)
    got = estimates(
        graph, rows, x, fanout=4, edge_starts=starts, history=old, history_sum=total
    )  # fmt: skip
    error = (got.mean(0) - propagate(graph, x)[rows]).abs()
    assert (error <= 4 * got.std(0) / SEEDS**0.5 + 1e-9).all()
    assert (got.std(0)[0] > 1e-3).all()  # the wide row really is sampled


def test_no_more_variance_than_uniform_draws_where_lengths_differ() -> None:
    graph, rows = graph_of_two_sizes(), torch.tensor([0, 1])
    x = uneven_table(graph)
    exact = propagate(graph, x)[rows]
    starts = importance_starts(graph, importance_of(graph, x))
    errors = [
        (estimates(graph, rows, x, fanout=4, edge_starts=s) - exact).square().sum(2).mean(0)
        for s in (None, starts)
    ]
    assert (errors[1] < 0.5 * errors[0]).all(), errors


def test_little_more_variance_where_they_do_not() -> None:
    """Even importance: stratified draws with replacement against draws without."""
    graph, rows = graph_of_two_sizes(), torch.tensor([0])
    x = torch.randn(
        graph.num_nodes, 8, generator=torch.Generator().manual_seed(1), dtype=F64
    )  # fmt: skip
    starts = importance_starts(graph, torch.ones(graph.num_nodes))
    exact = propagate(graph, x)[rows]
    errors = [
        (estimates(graph, rows, x, fanout=4, edge_starts=s) - exact).square().sum(2).mean()
        for s in (None, starts)
    ]
    assert errors[1] < 1.25 * errors[0], errors


def test_short_rows_stay_exact_and_no_fanout_draws_nothing() -> None:
    graph, x = graph_of_two_sizes(), uneven_table(graph_of_two_sizes())
    starts = importance_starts(graph, importance_of(graph, x))
    rows = torch.tensor([0, 1, 2, 3, 9])
    got = sample_aggregate(graph, rows, x, fanout=40, seed=1, edge_starts=starts)
    assert torch.equal(got, sample_aggregate(graph, rows, x, fanout=40, seed=1))
    torch.testing.assert_close(got, propagate(graph, x)[rows])
    nothing = sample_aggregate(graph, rows, x, fanout=0, seed=1, edge_starts=starts)
    assert torch.equal(nothing, torch.zeros_like(nothing))


def test_neighbours_come_as_often_as_their_share() -> None:
    graph = BipartiteGraph.from_edges([0] * 6, range(6))
    q = torch.tensor([9.0, 1.0, 0.0, 2.0, 4.0, 0.0, 1.0])
    starts = importance_starts(graph, q, uniform_share=0.25)
    share = 0.75 * q[1:] / 8 + 0.25 / 6
    drawn = torch.cat([
        sample_neighbors(graph, torch.tensor([0]), fanout=3, seed=seed, edge_starts=starts)[0]
        for seed in range(SEEDS)
    ])  # fmt: skip
    counts = torch.bincount(drawn - 1, minlength=6).double()
    expected = 3 * SEEDS * share.double()
    assert ((counts - expected).abs() < 5 * expected.sqrt()).all(), (counts, expected)


@pytest.mark.parametrize("piece", [1, 3, 1 << 20])
def test_starts_are_the_sums_of_the_shares(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever pieces they are made in, row by row in float64."""
    monkeypatch.setattr(import_module("ltgnn.ops.importance_starts"), "_PIECE", piece)
    graph = graph_of_two_sizes()
    q = importance_of(graph, uneven_table(graph))
    q[4:10] = 0.0
    got = importance_starts(graph, q, uniform_share=0.3)
    for row in range(graph.num_nodes):
        begin, end = graph.indptr[row : row + 2].tolist()
        own = q[graph.indices[begin:end].long()]
        even = torch.full_like(own, 1 / max(1, end - begin))
        share = 0.7 * own / own.sum() + 0.3 * even if own.sum() > 0 else even
        want = (share.cumsum(0) - share) * 2**31
        assert ((got[begin:end].double() - want).abs() < 1e-6 * 2**31).all()


def test_bad_importance() -> None:
    graph, ones = graph_of_two_sizes(), torch.ones(44)
    for bad, text in [
        (ones[:-1], r"importance must be \[44\], got \[43\]"),
        (ones.long(), "importance must be floating point, got torch.int64"),
        (-ones, "importance must be finite and not negative, got -1.0 to -1.0"),
        (ones * torch.inf, "importance must be finite"),
        (ones * torch.nan, "importance must be finite"),
    ]:
        with pytest.raises(ValueError, match=f"importance_starts: {text}"):
            importance_starts(graph, bad)
    for share in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"uniform_share must be in \(0, 1\], got"):
            importance_starts(graph, ones, uniform_share=share)


# ---- a fanout for each row ----


def heavy_tailed() -> BipartiteGraph:
    random = torch.Generator().manual_seed(5)
    users = (300 * torch.rand(6000, generator=random) ** 3).long()
    items = (200 * torch.rand(6000, generator=random) ** 3).long()
    return BipartiteGraph.from_edges(users, items)


@pytest.mark.parametrize("by_importance", [False, True])
@pytest.mark.parametrize("budget", [1, 2.5, 4, 8, 15])
def test_mean_fanout_is_within_the_budget_and_near_it(budget: float, by_importance: bool) -> None:
    graph = heavy_tailed()
    random = torch.Generator().manual_seed(6)
    length = torch.rand(graph.num_nodes, generator=random)
    often = torch.rand(graph.num_nodes, generator=random, dtype=F64)
    got = neyman_fanout(
        graph, length, budget=budget, frequency=often, by_importance=by_importance
    )  # fmt: skip
    degrees = graph.degrees
    assert got.dtype == torch.int16
    assert (got <= degrees.clamp(max=MAX_FANOUT)).all() and (got >= degrees.clamp(max=1)).all()
    mean = float((often * got).sum() / often.sum())
    assert mean <= budget + 1e-4
    assert mean > 0.93 * budget or bool((got == degrees).all())


@pytest.mark.parametrize("by_importance", [False, True])
def test_no_worse_than_the_same_for_all(by_importance: bool) -> None:
    """Mean squared error over all rows at the same number of draws: less, and unbiased."""
    graph = heavy_tailed()
    x = uneven_table(graph)
    rows, exact = torch.arange(graph.num_nodes), propagate(graph, x)
    q = importance_of(graph, x)
    starts = importance_starts(graph, q) if by_importance else None
    own = neyman_fanout(graph, x.norm(dim=1), budget=4, by_importance=by_importance)
    runs = {}
    for name, settings in {
        "all": {"fanout": 4}, "own": {"fanout": MAX_FANOUT, "row_fanout": own}
    }.items():  # fmt: skip
        runs[name] = torch.stack([
            sample_aggregate(graph, rows, x, seed=seed, edge_starts=starts, **settings)
            for seed in range(400)
        ])  # fmt: skip
    errors = {name: float((run - exact).square().mean()) for name, run in runs.items()}
    assert errors["own"] < 0.8 * errors["all"], errors
    # Unbiased: the error of the mean, in standard errors, is that of a unit normal in every row.
    run = runs["own"]
    score = (run.mean(0) - exact) / (run.std(0) / 400**0.5).clamp(min=1e-9)
    assert score.abs().max() < 6 and score.square().mean() < 1.2


def test_a_row_of_its_own_fanout_draws_what_it_would_draw_alone() -> None:
    graph = heavy_tailed()
    rows = torch.arange(graph.num_nodes)
    own = (rows % 7).to(torch.int16)
    x = uneven_table(graph)
    got = sample_aggregate(graph, rows, x, fanout=6, seed=3, row_fanout=own)
    for fanout in range(7):
        chosen = own == fanout
        alone = sample_aggregate(graph, rows[chosen], x, fanout=fanout, seed=3)
        assert torch.equal(got[chosen], alone)
    drawn = sample_neighbors(graph, rows, fanout=6, seed=3, row_fanout=own)
    assert torch.equal((drawn >= 0).sum(1), torch.minimum(own.long(), graph.degrees))


def test_everything_is_exact_where_the_budget_covers_it() -> None:
    graph = graph_of_two_sizes()
    mean = float(graph.degrees.double().mean())
    got = neyman_fanout(graph, torch.ones(graph.num_nodes), budget=mean)
    assert torch.equal(got.long(), graph.degrees)
    nothing = neyman_fanout(graph, torch.ones(graph.num_nodes), budget=0)
    assert not nothing.any()
    still = neyman_fanout(graph, torch.zeros(graph.num_nodes), budget=1.9)
    assert torch.equal(still.long(), graph.degrees.clamp(max=1))


def test_rows_draw_one_where_all_lengths_are_zero() -> None:
    graph = graph_of_two_sizes()
    drawn = neyman_fanout(graph, torch.zeros(44), budget=0.5)
    assert torch.equal(drawn.long(), graph.degrees.clamp(max=1))


@pytest.mark.parametrize("by_importance", [False, True])
def test_only_the_ratios_of_lengths_count(by_importance: bool) -> None:
    graph = graph_of_two_sizes()
    length = torch.rand(44, generator=torch.Generator().manual_seed(0))
    expected = neyman_fanout(graph, length, budget=2.5, by_importance=by_importance)
    assert len(expected.unique()) > 1
    for exponent in (-100, 100):
        scaled = length * 2.0**exponent
        drawn = neyman_fanout(graph, scaled, budget=2.5, by_importance=by_importance)
        assert torch.equal(drawn, expected)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1.0])
def test_bad_lengths(wrong: float) -> None:
    length = torch.ones(44)
    length[3] = wrong
    with pytest.raises(
        ValueError, match="neyman_fanout: length must be finite and not negative, got"
    ):
        neyman_fanout(graph_of_two_sizes(), length, budget=1)


def test_bad_budgets() -> None:
    graph, ones = graph_of_two_sizes(), torch.ones(44)
    for call, text in [
        ({"length": ones[1:], "budget": 1}, r"length must be \[44\], got \[43\]"),
        ({"length": ones, "budget": 1, "frequency": ones[1:]}, r"frequency must be \[44\], got"),
        ({"length": ones, "budget": -1}, "budget must be finite and not negative, got -1"),
        (
            {"length": ones, "budget": float("nan")},
            "budget must be finite and not negative, got nan",
        ),
        (
            {"length": ones, "budget": float("inf")},
            "budget must be finite and not negative, got inf",
        ),
    ]:
        with pytest.raises(ValueError, match=f"neyman_fanout: {text}"):
            neyman_fanout(graph, **call)
