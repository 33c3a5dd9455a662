"""topk_scores_ against a stable full sort."""

from __future__ import annotations

import pytest
import torch

from ltgnn.ops import topk_scores_


def naive(scores, k, seen):
    """Sort every row by (-score, id)."""
    scores = scores.clone()
    for row in range(len(scores)):
        if seen is not None:
            scores[row, seen[1][seen[0][row] : seen[0][row + 1]].long()] = -torch.inf
    values, ids = scores.sort(dim=1, descending=True, stable=True)
    ids[values == -torch.inf] = -1
    room = k - scores.shape[1]
    if room > 0:
        values = torch.cat([values, values.new_full((len(scores), room), -torch.inf)], 1)
        ids = torch.cat([ids, ids.new_full((len(scores), room), -1)], 1)
    return values[:, :k], ids[:, :k]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("levels", [2, 7, 10**6])
@pytest.mark.parametrize("k", [1, 5, 60, 80])
def test_equals_a_stable_sort(dtype, levels, k):
    """Few levels make ties at rank k in every row."""
    generator = torch.Generator().manual_seed(levels + k)
    scores = torch.randint(levels, (50, 60), generator=generator).to(dtype)
    lengths = torch.randint(0, 60, (50,), generator=generator)
    indptr = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    indices = torch.cat([torch.randperm(60, generator=generator)[:n] for n in lengths.tolist()])
    for seen in (None, (indptr, indices), (indptr, indices.int())):
        wanted = naive(scores, k, seen)
        for mine, its in zip(topk_scores_(scores.clone(), k, seen=seen), wanted, strict=True):
            assert torch.equal(mine, its)


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0, 0), (1, 1)])
def test_empty(shape):
    values, ids = topk_scores_(torch.zeros(shape), 2)
    assert values.shape == ids.shape == (shape[0], 2)
    assert (ids[:, 1:] == -1).all()


@pytest.mark.parametrize(
    ("scores", "options", "error", "message"),
    [
        ([[1, 2]], {}, TypeError, "float32 or float64 tensor, got torch.int64"),
        ([1.0], {}, ValueError, "2-D .* got 1-D"),
        ([[1.0]], {"k": 0}, ValueError, "at least 1, got 0"),
        ([[1.0, float("nan")]], {}, ValueError, "NaN or"),
        ([[1.0, float("inf")]], {}, ValueError, "NaN or"),
        ([[1.0]], {"seen": ([0], [])}, ValueError, "2 pointers .* got 1"),
        ([[1.0]], {"seen": ([0, 2], [0])}, ValueError, "rise from 0 to 1"),
        ([[1.0]], {"seen": ([0, 1], [1])}, IndexError, r"in \[0, 1\), got 1 to 1"),
    ],
)
def test_wrong_input_is_named(scores, options, error, message):
    if "seen" in options:
        options = {
            **options,
            "seen": tuple(torch.tensor(p, dtype=torch.int64) for p in options["seen"]),
        }
    with pytest.raises(error, match=message):
        topk_scores_(torch.tensor(scores), **{"k": 1, **options})
