"""Negatives by popularity: exact probabilities, never owned; probabilities of items in batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ops.chi_square import chi_square_limit

from ltgnn.graph import BipartiteGraph
from ltgnn.training.popularity import PopularityNegatives, item_log_probabilities
from ltgnn.training.samplers import PairSampler


def skewed_graph(num_users: int = 60, num_items: int = 25) -> BipartiteGraph:
    """Items of many degrees, the last one of degree zero; user 0 owns nearly all, user 1 nothing."""
    random = np.random.default_rng(0)
    rows, columns = np.nonzero(
        random.random((num_users, num_items)) < np.linspace(0.9, 0.02, num_items)
    )
    keep = (rows > 1) & (columns < num_items - 1)
    rows, columns = rows[keep], columns[keep]
    rows = np.concatenate([rows, np.zeros(num_items - 3, dtype=np.int64)])
    columns = np.concatenate([columns, np.delete(np.arange(num_items - 1), [3, 17])[:22]])
    return BipartiteGraph.from_edges(rows, columns, num_users=num_users, num_items=num_items)


@pytest.mark.parametrize("user", [0, 1, 2, 30])
def test_probabilities_are_those_of_the_lacking_items(user):
    graph, draws = skewed_graph(), 60_000
    owned = graph.to_scipy()[[user]].toarray()[0] > 0
    weight = graph.degrees[graph.num_users :].numpy() ** 0.75 * ~owned
    found = PopularityNegatives(graph).draw(torch.full((draws,), user), seed=4)
    counts = torch.bincount(found, minlength=graph.num_items).numpy()
    assert not counts[weight == 0].sum()
    expected = draws * weight / weight.sum()
    cells = expected > 0
    distance = ((counts - expected)[cells] ** 2 / expected[cells]).sum()
    assert distance < chi_square_limit(max(2, int(cells.sum())))


def test_every_draw_is_lacking_and_a_function_of_the_seed():
    graph = skewed_graph()
    subject = PopularityNegatives(graph)
    users = torch.arange(60).repeat(200)
    found = subject.draw(users, seed=1)
    matrix = torch.from_numpy(graph.to_scipy().toarray()) > 0
    assert not matrix[users, found].any()
    assert torch.equal(found, subject.draw(users, seed=1))
    assert not torch.equal(found, subject.draw(users, seed=2))


def test_who_owns_everything_gets_none_and_who_owns_all_popular_items_an_unpopular_one():
    pairs = [(0, i) for i in range(4)] + [(1, i) for i in range(3)] + [(2, 0)]
    users, items = zip(*pairs, strict=True)
    graph = BipartiteGraph.from_edges(users, items, num_items=4)
    found = PopularityNegatives(graph).draw(torch.tensor([0, 1] * 50), seed=0)
    assert found.tolist() == [-1, 3] * 50
    graph = BipartiteGraph.from_edges(users[4:], items[4:], num_items=4)  # nobody has item 3
    found = PopularityNegatives(graph).draw(torch.tensor([1] * 50), seed=0)
    assert set(found.tolist()) == {3}


@pytest.mark.parametrize("shape", [(0, 0), (3, 0), (0, 3), (3, 4)])
def test_graphs_without_edges(shape):
    graph = BipartiteGraph.from_edges([], [], num_users=shape[0], num_items=shape[1])
    subject = PopularityNegatives(graph)
    found = subject.draw(torch.arange(shape[0]).repeat(30), seed=0)
    assert len(found) == 30 * shape[0]
    if shape[1] == 0:
        assert (found == -1).all()
    elif shape[0]:
        assert set(found.tolist()) == set(range(shape[1]))


def test_several_negatives_for_each_pair():
    graph = skewed_graph()
    for popularity in (False, True):
        sampler = PairSampler(graph, batch_size=50, negatives=4, sampling="interactions", seed=0,
                              popularity=popularity)  # fmt: skip
        matrix = torch.from_numpy(graph.to_scipy().toarray()) > 0
        for batch in sampler.epoch(1):
            assert batch.negatives.shape == (len(batch.users), 4)
            assert not matrix[batch.users[:, None], batch.negatives].any()


@pytest.mark.parametrize("sampling", ["interactions", "users"])
def test_log_probabilities_are_those_of_the_batches(sampling):
    graph = skewed_graph()
    sampler = PairSampler(
        graph, batch_size=graph.num_edges, negatives=0, sampling=sampling, seed=0, log_q=True
    )
    probability = item_log_probabilities(graph, sampling).exp()
    assert probability.sum().item() == pytest.approx(1.0)
    counts = torch.zeros(graph.num_items)
    for epoch in range(1, 41):
        (batch,) = sampler.epoch(epoch)
        counts += torch.bincount(batch.items, minlength=graph.num_items)
        torch.testing.assert_close(batch.log_q, probability.log()[batch.items])
    expected = counts.sum() * probability
    if sampling == "interactions":
        torch.testing.assert_close(counts.double(), expected)
    else:
        cells = expected > 0
        distance = ((counts - expected)[cells] ** 2 / expected[cells]).sum()
        assert distance < chi_square_limit(int(cells.sum()))
