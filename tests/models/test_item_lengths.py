"""Scores with an item's length to some power."""

from __future__ import annotations

import pytest
import torch
from models.contract import checkerboard

from ltgnn.models import create
from ltgnn.models.item_lengths import with_length_exponent


@pytest.mark.parametrize("exponent", [0.0, 0.8, 1.0, 1.5])
def test_directions_stay_and_lengths_are_powers(exponent):
    items = torch.randn(50, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    items[4] = 0
    result = with_length_exponent(items, exponent)
    rest = torch.arange(50) != 4
    expected = items.norm(dim=1)[rest] ** exponent
    torch.testing.assert_close(result.norm(dim=1)[rest], expected)
    assert (torch.cosine_similarity(result, items)[rest] > 1 - 1e-12).all()
    assert not result[4].any()


@pytest.mark.parametrize("name", ["ltgnn", "mf", "lightgcn"])
def test_every_model_scores_with_it(name):
    graph = checkerboard()
    plain, model = (create(name, graph, dim=8, length_exponent=e) for e in (1.0, 0.5))
    users, items = plain.embeddings()
    expected = users @ (items / items.norm(dim=1, keepdim=True).sqrt()).T
    torch.testing.assert_close(model.score_block(torch.arange(graph.num_users)), expected)


def test_same_bits_for_any_number_of_threads():
    items = torch.randn(5003, 33, generator=torch.Generator().manual_seed(4))
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(with_length_exponent(items, 0.85))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_a_negative_exponent_is_refused():
    with pytest.raises(ValueError, match="length_exponent must be not negative, got -1"):
        create("mf", checkerboard(), length_exponent=-1.0)
