"""Scores a model on a part of the data, so many users at a time: nothing grows with the data but the embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse
import torch
from tqdm import tqdm

from ltgnn.evaluation import evaluate_sums
from ltgnn.graph import BipartiteGraph
from ltgnn.models import Recommender
from ltgnn.training.run_data import RunData

_USERS = 1 << 15  # scored together


def score(
    model: Recommender,
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
        model: whose graph is that of the train part.
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
        random = np.random.default_rng(seed)
        chosen = np.sort(random.choice(chosen, eval_users, replace=False))
    if not len(chosen):
        raise ValueError(f"nobody has an interaction in {split}")
    users_emb, items_emb = model.embeddings()
    sums = None
    with tqdm(
        total=len(chosen), desc=f"scoring {split}", unit=" users", unit_scale=True, leave=False,
        disable=None if progress else True,
    ) as bar:  # fmt: skip
        for users in np.split(chosen, range(_USERS, len(chosen), _USERS)):
            part = evaluate_sums(
                users_emb[torch.from_numpy(users).to(users_emb.device)],
                items_emb,
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


def seen_rows(
    graph: BipartiteGraph, data: RunData, split: str, users: npt.NDArray[np.int64]
) -> scipy.sparse.csr_array:
    """[len(users), num_items]: what is not ranked for these users: train, for test also valid."""
    seen: Any = graph.user_rows(torch.from_numpy(users))
    if split == "test" and data.has_validation:
        seen = seen + data.rows("valid", users)
    return scipy.sparse.csr_array(seen)
