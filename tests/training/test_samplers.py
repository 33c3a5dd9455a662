"""Batches: every pair once, or user-balanced; negatives; a function of the seed."""

from __future__ import annotations

import pytest
import torch

from ltgnn.graph import BipartiteGraph
from ltgnn.ops import mix_seed
from ltgnn.training.samplers import PairSampler, auto_batch_size


def graph_of(pairs: list[tuple[int, int]], num_items: int = 6) -> BipartiteGraph:
    users, items = zip(*pairs, strict=True)
    return BipartiteGraph.from_edges(users, items, num_items=num_items)


PAIRS = [(0, 0), (0, 1), (0, 2), (1, 3), (2, 0), (2, 5), (3, 4)]


def sampler(graph, **options):
    defaults = {"batch_size": 3, "negatives": False, "sampling": "interactions", "seed": 0}
    return PairSampler(graph, **{**defaults, **options})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "PairSampler: batch_size must be at least 1, got 0"),
        ({"negatives": -1}, "PairSampler: negatives must be at least 0, got -1"),
        (
            {"sampling": "items"},
            "PairSampler: sampling must be 'interactions' or 'users', got 'items'",
        ),
    ],
)
def test_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        sampler(graph_of(PAIRS), **change)


def test_an_epoch_holds_every_pair_once():
    batches = list(sampler(graph_of(PAIRS)).epoch(1))
    assert [len(batch.users) for batch in batches] == [3, 3, 1]
    seen = [
        pair
        for batch in batches
        for pair in zip(batch.users.tolist(), batch.items.tolist(), strict=True)
    ]
    assert sorted(seen) == PAIRS
    assert len({batch.seed for batch in batches}) == 3


def test_epochs_differ_and_repeat_by_seed():
    first, again, other = (sampler(graph_of(PAIRS), seed=seed) for seed in (1, 1, 2))

    def order(source, epoch):
        return [batch.items.tolist() for batch in source.epoch(epoch)]

    assert order(first, 1) == order(again, 1)
    assert order(first, 1) != order(first, 2)
    assert order(first, 1) != order(other, 1)


def test_user_balanced_sampling_draws_users_evenly_and_only_their_items():
    pairs = [(0, i) for i in range(90)] + [(2, 3)]
    graph = graph_of(pairs, num_items=90)  # user 1 has nothing
    batches = list(sampler(graph, sampling="users", batch_size=91).epoch(1))
    users, items = batches[0].users, batches[0].items
    assert len(users) == graph.num_edges
    assert set(users.tolist()) == {0, 2}
    assert 25 <= int((users == 2).sum()) <= 66  # binomial(91, 1/2), five sigma
    assert set(items[users == 2].tolist()) == {3}


def test_negatives_are_never_owned_and_owners_of_everything_are_left_out():
    pairs = [(0, i) for i in range(6)] + [(1, 0), (1, 5)]
    graph = graph_of(pairs)
    for batch in sampler(graph, negatives=True).epoch(1):
        assert batch.users.tolist() == [1] * len(batch.users)
        assert not set(batch.negatives.tolist()) & {0, 5}


def test_mix_seed_spreads():
    seeds = {mix_seed(a, b, c) for a in range(10) for b in range(10) for c in range(10)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    ("pairs", "size"), [(0, 256), (10**5, 256), (604_475, 2048), (10**9, 2048)]
)
def test_auto_batch_size(pairs, size):
    assert auto_batch_size(pairs) == size


@pytest.mark.parametrize(
    ("pairs", "size"),
    [(604_475, 2048), (810_128, 2048), (10**7, 4096), (10**8, 32768), (10**10, 32768)],
)
def test_large_data_take_large_batches_where_a_step_is_linear(pairs, size):
    assert auto_batch_size(pairs, quadratic=False) == size


def test_no_edges_no_batches():
    graph = BipartiteGraph.from_edges([], [], num_users=2, num_items=2)
    for sampling in ("interactions", "users"):
        assert list(sampler(graph, sampling=sampling).epoch(1)) == []
    assert torch.equal(graph.degrees, torch.zeros(4, dtype=torch.int64))


def test_a_batch_needs_no_other():
    source = sampler(graph_of(PAIRS), negatives=True)
    for step, batch in enumerate(source.epoch(2)):
        alone = sampler(graph_of(PAIRS), negatives=True).batch(2, step)
        for one, other in zip(vars(batch).values(), vars(alone).values(), strict=True):
            assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def test_epochs_do_not_resemble_each_other():
    """Places of pairs in two epochs: rank correlation 0 within four sigma, each place equally likely."""
    count = 4000
    pairs = [(user, item) for user in range(200) for item in range(20)]
    source = sampler(graph_of(pairs, num_items=20), batch_size=count)
    orders = []
    for epoch in range(1, 21):
        (batch,) = source.epoch(epoch)
        place = torch.empty(count, dtype=torch.int64)
        place[batch.users * 20 + batch.items] = torch.arange(count)
        orders.append(place.double())
    stacked = torch.stack([order - order.mean() for order in orders])
    correlation = torch.corrcoef(stacked)
    correlation.fill_diagonal_(0)
    assert correlation.abs().max() < 4.5 / count**0.5
    identity = torch.arange(count).double() - (count - 1) / 2
    along = stacked @ identity / (stacked.norm(dim=1) * identity.norm())
    assert along.abs().max() < 4 / count**0.5
