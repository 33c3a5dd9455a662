"""`ltgnn recommend`: items for users, from a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import ArgumentParser, Namespace

from ltgnn.cli.common import add_threads, use_threads
from ltgnn.cli.runs import add_mix, open_scorer
from ltgnn.training.experiment import open_run
from ltgnn.training.run_data import RunData
from ltgnn.training.run_dir import write_json
from ltgnn.training.scoring import best_items

HELP = "recommend items to users"


def build_parser() -> ArgumentParser:
    """Flags of the command."""
    parser = ArgumentParser(description=HELP)
    parser.add_argument("run", type=str, help="run folder")
    parser.add_argument("--users", type=str, required=True,
                        help="users with commas, by the ids of the data files")  # fmt: skip
    parser.add_argument("--k", type=int, default=10, help="items for each user")
    parser.add_argument("--json", type=str | None, default=None, help="write the result here")
    add_mix(parser)
    add_threads(parser)
    return parser


def find_users(data: RunData, words: list[str]) -> list[int]:
    """User numbers of external ids.

    Raises:
        ValueError: a user is not in the data.
    """
    ids = data.ids("user")
    known = None if ids is None else {str(name): k for k, name in enumerate(ids.tolist())}
    numbers = []
    for word in words:
        as_number = int(word) if word.isdecimal() else -1
        number = as_number if known is None else known.get(word, -1)
        if not 0 <= number < data.num_users:
            raise ValueError(f"no user {word!r}; there are {data.num_users:,} users in the data")
        numbers.append(number)
    return numbers


def recommend(
    folder: str | Path,
    users: list[int] | None,
    k: int,
    *,
    mix: str | None = None,
    mix_weight: float = 1.0,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """The best k items for each user that the user has not had in train or valid.

    Args:
        folder: of the run.
        users: their numbers; None: the first three who have something in train.
        k: items for each.
        mix: another run, whose scores are added; see `open_scorer`.
        mix_weight: their weight.
        progress: show a progress bar.

    Returns:
        One `{"user": id, "items": [ids], "scores": [...]}` for each, by external ids; fewer than k items where the
        user has had nearly all.
    """
    if k < 1:
        raise ValueError(f"--k must be at least 1, got {k}")
    _, data, model, _ = open_scorer(folder, mix, mix_weight)
    if users is None:
        users = torch.nonzero(model.graph.degrees[: data.num_users]).flatten()[:3].tolist()
    # Sorted and once each, as rows are read; then in the order asked for.
    sorted_users, places = np.unique(np.asarray(users, dtype=np.int64), return_inverse=True)
    scores, found = best_items(
        model, data, sorted_users, min(k, max(1, data.num_items)), progress=progress
    )
    scores, found = scores[places], found[places]
    user_ids, item_ids = data.ids("user"), data.ids("item")
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


def print_recommendations(rows: list[dict[str, Any]]) -> None:
    """One line a user."""
    for row in rows:
        pairs = zip(row["items"], row["scores"], strict=True)
        print(f"user {row['user']}: " + "  ".join(f"{item} ({value:.3f})" for item, value in pairs))


def run(args: Namespace) -> None:
    """The command."""
    use_threads(args)
    _, data = open_run(args.run)
    users = find_users(data, args.users.split(","))
    rows = recommend(
        args.run, users, args.k, mix=args.mix, mix_weight=args.mix_weight, progress=True
    )
    print_recommendations(rows)
    if args.json is not None:
        write_json(Path(args.json), {"recommendations": rows})
