"""Full-ranking evaluation of embeddings.

The protocol is the one of NGCF and LightGCN: every item is ranked for every user that has at
least one item in ``truth``, the user's ``seen`` items are left out of the ranking, and each metric
is averaged over those users.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ltgnn.evaluation.inputs import CSR, read_csr, read_users, take_rows
from ltgnn.evaluation.metrics import METRICS
from ltgnn.evaluation.sums import EvaluationSums
from ltgnn.ops.topk import topk
from ltgnn.ops.topk_scores import topk_scores_

__all__ = ["evaluate", "evaluate_score_sums", "evaluate_sums"]

_KS = (5, 10, 20, 50)
_METRICS = ("recall", "ndcg", "precision", "hit_rate", "mrr")
_BLOCK_BYTES = 64 << 20


def evaluate(
    users_emb: Tensor,
    items_emb: Tensor,
    *,
    truth: CSR,
    seen: CSR | None = None,
    ks: Sequence[int] = _KS,
    metrics: Sequence[str] = _METRICS,
    users: Any = None,
    block_bytes: int = _BLOCK_BYTES,
) -> dict[str, float]:
    """Rank all items for every user with test items and average the metrics.

    Args:
        users_emb: [U, D] floating point; the score of a pair is the inner product.
        items_emb: [I, D], same dtype and device.
        truth: [U, I] relevant items (see `CSR`); users without any are left out. An item listed
            twice counts once. One that is also in ``seen`` is relevant but can never be ranked.
        seen: [U, I] items left out of the ranking: train for validation, train and validation for
            test. None ranks everything.
        ks: distinct cut-offs, at least 1.
        metrics: names in `METRICS`.
        users: distinct ids in [0, U) to evaluate, int [n]; None means all. A rank passes its share.
        block_bytes: memory to use beside inputs and a few numbers per interaction.

    Returns:
        "num_users" evaluated, and the mean of each metric as "recall@20" and so on.

    Raises:
        TypeError: wrong dtype, see also `ltgnn.ops.topk`.
        ValueError: wrong shape, embeddings that are no tensor, users that are no integers, unknown metric, k < 1,
            repeated user, no user to evaluate.
        IndexError: a user or item id is out of range.

    Complexity: O(n I D) time for n users with test items.
    Source: NGCF (SIGIR 2019), LightGCN (SIGIR 2020), see `ltgnn.evaluation.metrics`.

    Example:
        Popularity is a ranking like any other: one column, the counts of items in train.

        >>> import torch
        >>> train = (torch.tensor([0, 1, 3]), torch.tensor([0, 0, 2]))  # 2 users, 3 items
        >>> test = (torch.tensor([0, 1, 2]), torch.tensor([2, 1]))
        >>> counts = torch.bincount(train[1], minlength=3)[:, None].float()
        >>> evaluate(torch.ones(2, 1), counts, truth=test, seen=train, ks=[1], metrics=["recall"])
        {'num_users': 2.0, 'recall@1': 1.0}
    """
    return evaluate_sums(
        users_emb,
        items_emb,
        truth=truth,
        seen=seen,
        ks=ks,
        metrics=metrics,
        users=users,
        block_bytes=block_bytes,
    ).result()


def evaluate_sums(
    users_emb: Tensor,
    items_emb: Tensor,
    *,
    truth: CSR,
    seen: CSR | None = None,
    ks: Sequence[int] = _KS,
    metrics: Sequence[str] = _METRICS,
    users: Any = None,
    block_bytes: int = _BLOCK_BYTES,
) -> EvaluationSums:
    """As `evaluate`, without the division: the part of one rank, which may hold no user at all.

    Args:
        users_emb, items_emb, truth, seen, ks, metrics, users, block_bytes: as in `evaluate`.

    Returns:
        Sums over the given users; merged over disjoint parts they equal those of the whole to the
        last bit.

    Raises:
        TypeError, ValueError, IndexError: as `evaluate`, except that no user is no error.

    Example:
        >>> import torch
        >>> test = (torch.tensor([0, 1, 2]), torch.tensor([0, 1]))
        >>> part = evaluate_sums(torch.eye(2), torch.eye(2), truth=test, ks=[1], users=[1])
        >>> part.num_users, part.result()["ndcg@1"]
        (1, 1.0)
    """
    _names(ks, metrics)
    for name, emb in (("users_emb", users_emb), ("items_emb", items_emb)):
        if not isinstance(emb, Tensor) or emb.dim() != 2:
            got = f"{emb.dim()}-D" if isinstance(emb, Tensor) else type(emb).__name__
            raise ValueError(f"evaluate: {name} must be a 2-D tensor [rows, dim], got {got}")
    width = max(ks)

    def rank(part: Tensor, masked: _Rows) -> Tensor:
        return topk(
            users_emb[part.to(users_emb.device)], items_emb, width,
            seen=masked, block_bytes=max(1, block_bytes // 2),
        )[1]  # fmt: skip

    # Half the memory for the ranking, half for what a user carries here: embedding, results,
    # keys and metric values.
    step = max(1, block_bytes // 2 // (users_emb.shape[1] * users_emb.itemsize + 64 * width))
    shape = (len(users_emb), len(items_emb))
    return _sums(rank, shape, truth, seen, ks, metrics, users, step)


def evaluate_score_sums(
    score_block: Callable[[Tensor], Tensor],
    num_users: int,
    num_items: int,
    *,
    truth: CSR,
    seen: CSR | None = None,
    ks: Sequence[int] = _KS,
    metrics: Sequence[str] = _METRICS,
    users: Any = None,
    block_users: int = 128,
) -> EvaluationSums:
    """As `evaluate_sums`, for a model whose scores are no inner products: it scores so many users at a time.

    Args:
        score_block: from users, int64 [n] on the CPU, to their scores [n, num_items], float32 or float64, in a
            tensor that is overwritten here.
        num_users, num_items: U and I.
        truth, seen, ks, metrics, users: as in `evaluate`.
        block_users: users at a time.

    Returns:
        Sums over the given users; merged over disjoint parts they equal those of the whole to the last bit, where
        a user's scores do not depend on who is scored beside.

    Raises:
        TypeError, ValueError, IndexError: as `evaluate_sums`; scores must not be NaN or +inf.

    Example:
        >>> import torch
        >>> test = (torch.tensor([0, 1, 2]), torch.tensor([0, 1]))
        >>> scores = torch.tensor([[2.0, 1.0], [2.0, 1.0]])
        >>> evaluate_score_sums(lambda users: scores[users], 2, 2, truth=test, ks=[1]).result()["recall@1"]
        0.5
    """
    if block_users < 1:
        raise ValueError(f"evaluate: block_users must be at least 1, got {block_users}")
    _names(ks, metrics)
    width = max(ks)

    def rank(part: Tensor, masked: _Rows) -> Tensor:
        scores = score_block(part)
        if scores.shape != (len(part), num_items):
            raise ValueError(
                f"evaluate: score_block must return [{len(part)}, {num_items}], got {list(scores.shape)}"
            )
        return topk_scores_(scores, width, seen=masked)[1]

    return _sums(rank, (num_users, num_items), truth, seen, ks, metrics, users, block_users)


_Rows: TypeAlias = tuple[Tensor, Tensor] | None


def _sums(
    rank: Callable[[Tensor, _Rows], Tensor],
    shape: tuple[int, int],
    truth: CSR,
    seen: CSR | None,
    ks: Sequence[int],
    metrics: Sequence[str],
    users: Any,
    step: int,
) -> EvaluationSums:
    """Metrics of what `rank` lists, `step` users at a time: from users and seen items to ids [n, max(ks)]."""
    num_users, num_items = shape
    truth_csr = read_csr("truth", truth, num_users, num_items)
    seen_csr = None if seen is None else read_csr("seen", seen, num_users, num_items)
    chosen = read_users(users, num_users)
    chosen = chosen[truth_csr[0][chosen + 1] > truth_csr[0][chosen]]
    sums = EvaluationSums(_names(ks, metrics))
    for part in torch.split(chosen, step):
        ids = rank(part, None if seen_csr is None else take_rows(seen_csr, part))
        hits, num_relevant = _find_hits(ids, take_rows(truth_csr, part), num_items)
        sums.add(
            {
                f"{metric}@{k}": METRICS[metric](hits[:, :k], num_relevant)
                for metric in metrics
                for k in ks
            }
        )
    return sums


def _find_hits(ids: Tensor, truth: tuple[Tensor, Tensor], num_items: int) -> tuple[Tensor, Tensor]:
    """Hit matrix bool [Q, k] and distinct relevant items int64 [Q]: one search in sorted keys."""
    indptr, indices = truth
    rows = torch.arange(len(ids)).repeat_interleave(indptr[1:] - indptr[:-1])
    keys = torch.unique(rows * num_items + indices)  # sorted, repeated pairs removed
    num_relevant = torch.bincount(keys // num_items, minlength=len(ids))
    keys = keys.to(ids.device)
    wanted = torch.arange(len(ids), device=ids.device)[:, None] * num_items + ids
    found = torch.searchsorted(keys, wanted).clamp_(max=len(keys) - 1)
    # An id of -1 (nothing left to rank) would read as the last item of the row before.
    return (keys[found] == wanted) & (ids >= 0), num_relevant.to(ids.device)


def _names(ks: Sequence[int], metrics: Sequence[str]) -> tuple[str, ...]:
    for metric in metrics:
        if metric not in METRICS:
            raise ValueError(f"evaluate: metrics must be among {sorted(METRICS)}, got {metric!r}")
    for k in ks:
        if isinstance(k, bool) or not isinstance(k, int):
            raise TypeError(f"evaluate: ks must be ints, got {type(k).__name__}")
        if k < 1:
            raise ValueError(f"evaluate: ks must be at least 1, got {k}")
    names = tuple(f"{metric}@{k}" for metric in metrics for k in ks)
    if not names or len(set(names)) != len(names):
        raise ValueError(
            f"evaluate: ks and metrics must be given, each once, got {ks} and {metrics}"
        )
    return names
