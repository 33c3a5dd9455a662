"""topk against a full float64 ranking: ties, masks, blocking, memory and each error."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ltgnn.ops._topk_tiles import error_bounds
from ltgnn.ops.topk import topk

Seen = tuple[Tensor, Tensor]


def full_ranking(queries: Tensor, items: Tensor, k: int, seen: Seen | None) -> tuple[Tensor, ...]:
    """The definition, spelled out: score all pairs, mask, order by (-score, id), cut."""
    out = np.float64 if queries.dtype == torch.float64 else np.float32
    q, x = queries.double().numpy(), items.double().numpy()
    scores = np.full((len(q), k), -np.inf, dtype=out)
    ids = np.full((len(q), k), -1, dtype=np.int64)
    for row in range(len(q)):
        score = (q[row] * x).sum(axis=1).astype(out)
        allowed = np.ones(len(x), dtype=bool)
        if seen is not None:
            allowed[seen[1][seen[0][row] : seen[0][row + 1]].numpy()] = False
        left = np.flatnonzero(allowed)
        best = left[np.lexsort((left, -score[left]))][:k]
        scores[row, : len(best)] = score[best]
        ids[row, : len(best)] = best
    return torch.from_numpy(scores), torch.from_numpy(ids)


def random_seen(num_queries: int, num_items: int, share: float, seed: int) -> Seen:
    mask = torch.rand(num_queries, num_items, generator=torch.manual_seed(seed)) < share
    indptr = torch.cat([torch.zeros(1, dtype=torch.int64), mask.sum(1).cumsum(0)])
    return indptr, mask.nonzero()[:, 1].int()


def integers(rows: int, dim: int, high: int, seed: int) -> Tensor:
    """Small integers: every product is exact, so ties are plentiful and real."""
    return torch.randint(-high, high + 1, (rows, dim), generator=torch.manual_seed(seed)).float()


def assert_same(got: tuple[Tensor, ...], want: tuple[Tensor, ...]) -> None:
    assert got[1].dtype == torch.int64
    assert torch.equal(got[1], want[1])
    assert torch.equal(got[0], want[0])


@pytest.mark.parametrize("block_bytes", [1, 5_000, 200_000, 64 << 20])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.995])
def test_ties_break_by_id_for_any_blocking(block_bytes: int, share: float) -> None:
    queries, items = integers(37, 3, 2, 0), integers(1300, 3, 2, 1)
    seen = random_seen(37, 1300, share, 2)
    got = topk(queries, items, 20, seen=seen, block_bytes=block_bytes)
    assert_same(got, full_ranking(queries, items, 20, seen))


@pytest.mark.parametrize("dim", [1, 7, 64])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_random_embeddings(dtype: torch.dtype, dim: int) -> None:
    generator = torch.manual_seed(3)
    queries = torch.randn(50, dim, generator=generator).to(dtype)
    items = torch.randn(2000, dim, generator=generator).to(dtype)
    seen = random_seen(50, 2000, 0.1, 4)
    scores, ids = topk(queries, items, 13, seen=seen)
    want_scores, want_ids = full_ranking(queries, items, 13, seen)
    assert torch.equal(ids, want_ids)
    assert scores.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(scores, want_scores, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_query_alone_gets_the_same_bits(threads: int) -> None:
    # Items differ in the last bit only: a matrix product would order them by its rounding.
    generator = torch.manual_seed(5)
    items = torch.randn(1, 48, generator=generator).expand(3000, 48).clone()
    items += torch.randint(-1, 2, items.shape, generator=generator) * 2e-7
    queries = torch.randn(33, 48, generator=generator)
    whole = topk(queries, items, 10)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for row in range(33):
            alone = topk(queries[row : row + 1], items, 10, block_bytes=100_000)
            assert_same(alone, (whole[0][row : row + 1], whole[1][row : row + 1]))
    finally:
        torch.set_num_threads(before)
    assert_same(whole, full_ranking(queries, items, 10, None))


def test_near_ties_within_the_list() -> None:
    # A dozen items that differ in the last bit, far above all others: nothing has to be searched again.
    generator = torch.manual_seed(6)
    best = torch.randn(1, 48, generator=generator)
    items = 0.1 * torch.randn(3000, 48, generator=generator)
    near = torch.randperm(3000, generator=generator)[:12]
    items[near] = best + torch.randint(-1, 2, (12, 48), generator=generator) * 2e-7
    items[near[:2]] = items[near[2:4]]  # real ties, too
    queries = best + 0.1 * torch.randn(200, 48, generator=generator)
    assert_same(topk(queries, items, 20), full_ranking(queries, items, 20, None))


def test_all_items_equal_returns_the_smallest_ids() -> None:
    items, queries = torch.full((5000, 3), 0.1), torch.full((9, 3), 0.7)
    _, ids = topk(queries, items, 4, block_bytes=300_000)
    assert ids.tolist() == [[0, 1, 2, 3]] * 9


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_small_problem(data: st.DataObject) -> None:
    num_queries, num_items = data.draw(st.integers(0, 6)), data.draw(st.integers(0, 40))
    dim, k = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 45))
    seed = data.draw(st.integers(0, 1 << 20))
    queries, items = integers(num_queries, dim, 1, seed), integers(num_items, dim, 1, seed + 1)
    seen = random_seen(num_queries, num_items, data.draw(st.sampled_from([0.0, 0.5, 1.0])), seed)
    block_bytes = data.draw(st.sampled_from([1, 3_000, 1 << 20]))
    got = topk(queries, items, k, seen=seen, block_bytes=block_bytes)
    assert_same(got, full_ranking(queries, items, k, seen))


def test_fewer_candidates_than_k() -> None:
    seen = (torch.tensor([0, 2, 3, 3]), torch.tensor([1, 0, 1]))
    scores, ids = topk(torch.ones(3, 1), torch.tensor([[5.0], [-6.0]]), 3, seen=seen)
    inf = float("inf")
    assert ids.tolist() == [[-1, -1, -1], [0, -1, -1], [0, 1, -1]]
    assert scores.tolist() == [[-inf] * 3, [5.0, -inf, -inf], [5.0, -6.0, -inf]]


def test_sliced_and_transposed_inputs() -> None:
    queries, items = integers(5, 12, 3, 8).t()[:, ::2], integers(6, 800, 3, 9).t()[::2, ::2]
    assert_same(topk(queries, items, 5), full_ranking(queries, items, 5, None))


def test_seen_may_be_a_column_of_pairs() -> None:
    pairs = torch.tensor([[0, 1], [0, 4], [1, 2]])
    queries, items = integers(2, 3, 3, 1), integers(6, 3, 3, 2)
    seen = torch.tensor([0, 2, 3]), pairs[:, 1]
    assert_same(topk(queries, items, 3, seen=seen), full_ranking(queries, items, 3, seen))


def test_one_column_in_shortened_products() -> None:
    # Where torch may round factors of a product, the score of one column is not exact either.
    before = torch.backends.mkldnn.matmul.fp32_precision
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    try:
        queries, items = torch.full((3, 1), 1.1), torch.full((100, 1), 1.1)
        # Not every processor shortens them: the bound must allow for it on all.
        assert bool((error_bounds(queries, items, torch.float32, 1 << 20) > 2.0**-7).all())
        assert_same(topk(queries, items, 2), full_ranking(queries, items, 2, None))
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = before


def test_inputs_are_not_changed_and_results_need_no_grad() -> None:
    queries = integers(4, 3, 3, 1).requires_grad_()
    items, copy = integers(700, 3, 3, 2), integers(700, 3, 3, 2)
    scores, _ = topk(queries, items, 5)
    assert not scores.requires_grad
    assert torch.equal(items, copy)


@pytest.mark.parametrize(
    ("where", "value"), [("queries", "nan"), ("items", "nan"), ("items", "inf")]
)
def test_nan_and_infinity_are_refused(where: str, value: str) -> None:
    tensors = {"queries": torch.ones(4, 2), "items": torch.ones(30, 2)}
    tensors[where][3, 1] = float(value)
    with pytest.raises(ValueError, match=f"must be finite, got .* in row 3 of {where}"):
        topk(tensors["queries"], tensors["items"], 2)


def test_overflowing_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="scores must fit"):
        topk(torch.full((1, 2), 1e30), torch.full((3, 2), 1e30), 2)


Q, X = torch.ones(2, 3), torch.ones(4, 3)
IDS = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("error", "pattern", "queries", "items", "k", "seen"),
    [
        (ValueError, r"queries must be 2-D \[num_queries, dim\], got 1-D", Q[0], X, 1, None),
        (ValueError, r"items must be 2-D \[num_items, dim\], got 3-D", Q, X[None], 1, None),
        (ValueError, "items must have dim 3, got 2", Q, X[:, :2], 1, None),
        (ValueError, "items must be on cpu, got meta", Q, X.to("meta"), 1, None),
        (TypeError, "queries must be floating point, got torch.int64", Q.long(), X, 1, None),
        (TypeError, "items must be torch.float32 like queries", Q, X.double(), 1, None),
        (TypeError, "items must be a tensor, got list", Q, [[1.0]], 1, None),
        (TypeError, "k must be an int, got float", Q, X, 1.5, None),
        (ValueError, "k must be at least 1, got 0", Q, X, 0, None),
        (TypeError, "seen must be a pair", Q, X, 1, IDS),
        (TypeError, "seen indptr must be a tensor, got list", Q, X, 1, ([0, 1, 2], IDS)),
        (TypeError, "seen indptr must be torch.int64", Q, X, 1, (torch.zeros(3), IDS)),
        (
            TypeError,
            "seen indices must be .*int32 or",
            Q,
            X,
            1,
            (torch.tensor([0, 1, 2]), IDS.short()),
        ),
        (ValueError, "seen indices must be 1-D", Q, X, 1, (torch.tensor([0, 1, 2]), IDS[None])),
        (ValueError, "seen indptr must have 3 entries", Q, X, 1, (torch.tensor([0, 2]), IDS)),
        (ValueError, "seen indptr must rise from 0 to 2", Q, X, 1, (torch.tensor([0, 1, 1]), IDS)),
        (ValueError, "seen indptr must rise", Q, X, 1, (torch.tensor([0, 3, 2]), IDS)),
        (ValueError, "seen indptr must rise", Q, X, 1, (torch.tensor([1, 1, 2]), IDS)),
        (IndexError, r"in \[0, 4\), got 4", Q, X, 1, (torch.tensor([0, 1, 2]), IDS + 3)),
        (IndexError, r"in \[0, 4\), got -1", Q, X, 1, (torch.tensor([0, 1, 2]), IDS - 1)),
    ],
)
def test_errors(
    error: type[Exception], pattern: str, queries: Tensor, items: Tensor, k: int, seen: Seen
) -> None:
    with pytest.raises(error, match=pattern):
        topk(queries, items, k, seen=seen)


def test_memory_stays_within_the_bound() -> None:
    # A process of its own: the peak of resident memory never falls again. 400 MB of scores
    # would be needed at once; the bound is 16 MiB and torch's own buffers are warmed up first.
    script = textwrap.dedent("""
        import resource, torch
        from ltgnn.ops.topk import topk
        torch.set_num_threads(1)
        queries, items = torch.randn(5000, 16), torch.randn(20000, 16)
        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        topk(queries[:20], items, 20, block_bytes=1 << 20)
        before = peak()
        topk(queries, items, 20, block_bytes=16 << 20)
        print(peak() - before)
    """)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    # Results and MKL's packing buffers come on top of the 16 MiB.
    assert int(run.stdout) < 32 * 1024
