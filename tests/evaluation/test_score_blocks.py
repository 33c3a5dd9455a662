"""Evaluation from blocks of scores against the one from embeddings with the same scores."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch

from ltgnn.evaluation import evaluate_score_sums, evaluate_sums

NUM_USERS, NUM_ITEMS = 50, 70


def problem(seed=0):
    """Embeddings of small integers, whose scores are exact and tie often; truth and seen."""
    random = np.random.default_rng(seed)
    users = torch.from_numpy(random.integers(-2, 3, (NUM_USERS, 4))).float()
    items = torch.from_numpy(random.integers(-2, 3, (NUM_ITEMS, 4))).float()
    pairs = scipy.sparse.random_array((NUM_USERS, NUM_ITEMS), density=0.3, rng=random).tocsr()
    truth, seen = pairs > 0.8, (pairs > 0) - (pairs > 0.8)
    return users, items, {"truth": scipy.sparse.csr_array(truth), "seen": seen, "ks": [1, 5, 100]}


@pytest.mark.parametrize("block_users", [1, 7, 128])
def test_equals_the_evaluation_of_embeddings(block_users):
    users, items, options = problem()
    wanted = evaluate_sums(users, items, **options)
    asked = []

    def score_block(ids):
        asked.append(len(ids))
        return users[ids] @ items.T

    sums = evaluate_score_sums(
        score_block, NUM_USERS, NUM_ITEMS, block_users=block_users, **options
    )
    assert (sums.num_users, sums.totals) == (wanted.num_users, wanted.totals)
    assert max(asked) <= block_users


def test_parts_merge_to_the_whole():
    users, items, options = problem(1)

    def part(ids):
        return evaluate_score_sums(
            lambda rows: users[rows] @ items.T, NUM_USERS, NUM_ITEMS, users=ids, **options
        )

    whole, first = part(None), part([3, 1, 4])
    first.merge(part([u for u in range(NUM_USERS) if u not in (1, 3, 4)]))
    assert (whole.num_users, whole.totals) == (first.num_users, first.totals)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"block_users": 0}, ValueError, "block_users must be at least 1, got 0"),
        ({"ks": [0]}, ValueError, "ks must be at least 1, got 0"),
        ({"wide": True}, ValueError, r"score_block must return \[50, 70\], got \[50, 71\]"),
        ({"users": [0, 50]}, IndexError, r"users must be in \[0, 50\), got 50"),
    ],
)
def test_wrong_input_is_named(change, error, message):
    users, items, options = problem()
    if change.pop("wide", False):
        items = torch.cat([items, items[:1]])
    options["truth"] = scipy.sparse.csr_array(np.ones((NUM_USERS, NUM_ITEMS)))
    with pytest.raises(error, match=message):
        evaluate_score_sums(
            lambda rows: users[rows] @ items.T, NUM_USERS, NUM_ITEMS, **{**options, **change}
        )
