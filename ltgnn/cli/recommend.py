"""`ltgnn recommend`: items for users, from a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import ArgumentParser, Namespace

from ltgnn.cli.common import add_threads, use_threads
from ltgnn.cli.runs import open_model
from ltgnn.data import Dataset
from ltgnn.ops import topk
from ltgnn.training.run_dir import write_json

HELP = "recommend items to users"


def build_parser() -> ArgumentParser:
    """Flags of the command."""
    parser = ArgumentParser(description=HELP)
    parser.add_argument("run", type=str, help="run folder")
    parser.add_argument("--users", type=str, required=True,
                        help="users with commas, by the ids of the data files")  # fmt: skip
    parser.add_argument("--k", type=int, default=10, help="items for each user")
    parser.add_argument("--json", type=str | None, default=None, help="write the result here")
    add_threads(parser)
    return parser


def find_users(dataset: Dataset, words: list[str]) -> list[int]:
    """User numbers of external ids.

    Raises:
        ValueError: a user is not in the data.
    """
    ids = dataset.train.user_ids
    known = None if ids is None else {str(name): k for k, name in enumerate(ids.tolist())}
    numbers = []
    for word in words:
        as_number = int(word) if word.isdecimal() else -1
        number = as_number if known is None else known.get(word, -1)
        if not 0 <= number < dataset.num_users:
            raise ValueError(f"no user {word!r}; there are {dataset.num_users:,} users in the data")
        numbers.append(number)
    return numbers


def recommend(folder: str | Path, users: list[int], k: int) -> list[dict[str, Any]]:
    """The best k items for each user that the user has not had in train or valid.

    Returns:
        One `{"user": id, "items": [ids], "scores": [...]}` for each, by external ids; fewer than k items where the
        user has had nearly all.
    """
    if k < 1:
        raise ValueError(f"--k must be at least 1, got {k}")
    _, dataset, model, _ = open_model(folder)
    seen = dataset.train.to_scipy()
    if dataset.valid is not None:
        seen = seen + dataset.valid.to_scipy()
    rows = seen[np.asarray(users)]
    queries, items = model.embeddings()
    scores, found = topk(
        queries[torch.tensor(users)],
        items,
        min(k, max(1, dataset.num_items)),
        seen=(torch.from_numpy(rows.indptr.astype(np.int64)), torch.from_numpy(rows.indices)),
    )
    user_ids, item_ids = dataset.train.user_ids, dataset.train.item_ids
    result = []
    for user, row, values in zip(users, found.tolist(), scores.tolist(), strict=True):
        kept = [item for item in row if item >= 0]
        result.append(
            {
                "user": user if user_ids is None else user_ids[user].item(),
                "items": kept if item_ids is None else [item_ids[item].item() for item in kept],
                "scores": values[: len(kept)],
            }
        )
    return result


def print_recommendations(folder: str | Path, users: list[int], k: int) -> None:
    """One line a user."""
    for row in recommend(folder, users, k):
        pairs = zip(row["items"], row["scores"], strict=True)
        print(f"user {row['user']}: " + "  ".join(f"{item} ({value:.3f})" for item, value in pairs))


def run(args: Namespace) -> None:
    """The command."""
    use_threads(args)
    _, dataset, _, _ = open_model(args.run)
    users = find_users(dataset, args.users.split(","))
    if args.json is not None:
        write_json(Path(args.json), {"recommendations": recommend(args.run, users, args.k)})
    print_recommendations(args.run, users, args.k)
