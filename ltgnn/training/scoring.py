"""Scores a model on a part of the data, so many users at a time: nothing grows with the data but the embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse
import torch
from torch import Tensor
from tqdm import tqdm

from ltgnn.evaluation import EvaluationSums, evaluate_score_sums, evaluate_sums
from ltgnn.graph import BipartiteGraph
from ltgnn.models import Recommender, ScoreMix
from ltgnn.ops import topk, topk_scores_
from ltgnn.training.run_data import RunData

USERS_AT_ONCE = 1 << 15

# (users, what they have seen as CSR) to (scores, ids), [users, k] each
Rank: TypeAlias = Callable[[Tensor, tuple[Tensor, Tensor]], tuple[Tensor, Tensor]]


def score(
    model: Recommender | ScoreMix,
    data: RunData,
    split: str,
    ks: tuple[int, ...],
    *,
    truth: RunData | None = None,
    eval_users: int = 0,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, float]:
    """Metrics on one split, by full ranking; what came before it is masked: train, for test also valid.

    Args:
        model: whose graph is that of the train part; or a mix of such.
        data: the run's.
        split: the part that is predicted.
        ks: cut-offs.
        truth: other data, over the same users and items, whose `split` is predicted; None: the run's own.
        eval_users: score a sample of so many of the users who have something in the split, drawn by the seed;
            0: all of them.
        seed: see eval_users.
        progress: show a progress bar.

    Returns:
        The metrics; "num_users" says how many users were scored.

    Raises:
        ValueError: nobody has anything in the split.
    """
    truth = truth or data
    chosen = np.flatnonzero(truth.degrees(split))
    if 0 < eval_users < len(chosen):
        random = np.random.default_rng(seed % 2**64)
        chosen = np.sort(random.choice(chosen, eval_users, replace=False))
    if not len(chosen):
        raise ValueError(f"nobody has an interaction in {split}")
    if isinstance(model, Recommender) and model.has_embeddings:
        sums_of, at_once = _by_embeddings(model), USERS_AT_ONCE
    else:
        sums_of, at_once = _by_blocks(model), model.block_users
    sums = None
    with tqdm(
        total=len(chosen), desc=f"scoring {split}", unit=" users", unit_scale=True, leave=False,
        disable=None if progress else True,
    ) as bar:  # fmt: skip
        for users in np.split(chosen, range(at_once, len(chosen), at_once)):
            part = sums_of(
                users,
                truth=truth.rows(split, users),
                seen=seen_rows(model.graph, data, split, users),
                ks=ks,
            )
            if sums is None:
                sums = part
            else:
                sums.merge(part)
            bar.update(len(users))
    assert sums is not None
    return sums.result()


def _by_embeddings(model: Recommender) -> Callable[..., EvaluationSums]:
    """What scores some users, by inner products."""
    users_emb, items_emb = model.embeddings()

    def sums_of(users: npt.NDArray[np.int64], **options: Any) -> EvaluationSums:
        rows = users_emb[torch.from_numpy(users).to(users_emb.device)]
        return evaluate_sums(rows, items_emb, **options)

    return sums_of


def _by_blocks(model: Recommender | ScoreMix) -> Callable[..., EvaluationSums]:
    """The same, by blocks of scores."""

    def sums_of(users: npt.NDArray[np.int64], **options: Any) -> EvaluationSums:
        ids = torch.from_numpy(users)
        return evaluate_score_sums(
            lambda rows: model.score_block(ids[rows]), len(ids), model.graph.num_items,
            block_users=model.block_users, **options,
        )  # fmt: skip

    return sums_of


def best_items(
    model: Recommender | ScoreMix,
    data: RunData,
    users: npt.NDArray[np.int64],
    k: int,
    *,
    progress: bool = False,
) -> tuple[Tensor, Tensor]:
    """The k best items of each user that the user has not had in train or valid.

    Args:
        model: whose graph is that of the train part.
        data: the run's.
        users: numbers, sorted, each once.
        k: items for each, at least 1.
        progress: show a progress bar.

    Returns:
        (scores [len(users), k], ids [len(users), k]), see `ltgnn.ops.topk`.
    """
    ids = torch.from_numpy(users)
    rows = seen_rows(model.graph, data, "test", users)
    indptr, indices = torch.from_numpy(rows.indptr.astype(np.int64)), torch.from_numpy(rows.indices)
    if isinstance(model, Recommender) and model.has_embeddings:
        rank, at_once = _rank_by_embeddings(model, k), USERS_AT_ONCE
    else:
        rank, at_once = _rank_by_blocks(model, k), model.block_users
    found = []
    with tqdm(
        total=len(ids), desc="ranking", unit=" users", unit_scale=True, leave=False,
        disable=None if progress else True,
    ) as bar:  # fmt: skip
        for start in range(0, len(ids), at_once):
            part = ids[start : start + at_once]
            bounds = indptr[start : start + len(part) + 1]
            found.append(
                rank(part, (bounds - bounds[0], indices[int(bounds[0]) : int(bounds[-1])]))
            )
            bar.update(len(part))
    if not found:
        return torch.empty(0, k), torch.empty(0, k, dtype=torch.int64)
    scores, best = zip(*found, strict=True)
    return torch.cat(scores), torch.cat(best)


def _rank_by_embeddings(model: Recommender, k: int) -> Rank:
    """What ranks for some users, by inner products."""
    queries, items = model.embeddings()
    return lambda users, seen: topk(queries[users.to(queries.device)], items, k, seen=seen)


def _rank_by_blocks(model: Recommender | ScoreMix, k: int) -> Rank:
    """The same, by blocks of scores."""
    return lambda users, seen: topk_scores_(model.score_block(users), k, seen=seen)


def seen_rows(
    graph: BipartiteGraph, data: RunData, split: str, users: npt.NDArray[np.int64]
) -> scipy.sparse.csr_array:
    """[len(users), num_items]: what is not ranked for these users: train, for test also valid."""
    seen: Any = graph.user_rows(torch.from_numpy(users))
    if split == "test" and data.has_validation:
        seen = seen + data.rows("valid", users)
    return scipy.sparse.csr_array(seen)
