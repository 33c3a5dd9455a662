"""Each metric against values worked out by hand, and the checks they share."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ltgnn.evaluation.metrics import METRICS, Metric, hit_rate, mrr, ndcg, precision, recall

# Five users at k = 4: the first and third rank are hits; none; all; the last; the first.
HITS = torch.tensor(
    [[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1], [1, 0, 0, 0]], dtype=torch.bool
)
RELEVANT = torch.tensor([2, 3, 10, 1, 2])
# 1 / log2(rank + 1) for the ranks 1 to 4.
D = (1.0, 1 / math.log2(3), 0.5, 1 / math.log2(5))


def check(got: Tensor, want: list[float]) -> None:
    assert got.dtype == torch.float64
    assert got.tolist() == pytest.approx(want, rel=1e-15, abs=0)


def test_recall() -> None:
    check(recall(HITS, RELEVANT), [1.0, 0.0, 0.4, 1.0, 0.5])


def test_precision() -> None:
    check(precision(HITS, RELEVANT), [0.5, 0.0, 1.0, 0.25, 0.25])


def test_hit_rate() -> None:
    check(hit_rate(HITS, RELEVANT), [1.0, 0.0, 1.0, 1.0, 1.0])


def test_mrr() -> None:
    check(mrr(HITS, RELEVANT), [1.0, 0.0, 1.0, 0.25, 1.0])


def test_ndcg() -> None:
    # The ideal of user 2 is cut at 4 ranks although 10 items are relevant.
    check(ndcg(HITS, RELEVANT), [1.5 / (D[0] + D[1]), 0.0, 1.0, D[3], 1 / (D[0] + D[1])])


def test_ndcg_of_a_perfect_ranking_is_exactly_one() -> None:
    relevant = torch.arange(1, 101)
    hits = torch.arange(50)[None, :] < relevant[:, None]
    assert ndcg(hits, relevant).tolist() == [1.0] * 100


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_no_users(metric: Metric) -> None:
    got = metric(torch.zeros(0, 3, dtype=torch.bool), torch.zeros(0, dtype=torch.int64))
    assert got.shape == (0,)
    assert got.dtype == torch.float64


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_errors(metric: Metric) -> None:
    with pytest.raises(TypeError, match=f"{metric.__name__}: hits must be torch.bool"):
        metric(HITS.float(), RELEVANT)
    with pytest.raises(TypeError, match="num_relevant must be torch.int64, got torch.float32"):
        metric(HITS, RELEVANT.float())
    with pytest.raises(ValueError, match=r"hits must be \[num_users, k >= 1\], got \[5, 0\]"):
        metric(HITS[:, :0], RELEVANT)
    with pytest.raises(ValueError, match=r"num_relevant must be \[5\], got \[4\]"):
        metric(HITS, RELEVANT[:4])
    with pytest.raises(ValueError, match="num_relevant must be at least 1, got 0"):
        metric(HITS, RELEVANT - 1)


def test_registry_names_its_functions() -> None:
    assert {name: metric.__name__ for name, metric in METRICS.items()} == {n: n for n in METRICS}
