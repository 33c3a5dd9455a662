"""What several commands share."""

from __future__ import annotations

from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace


def add_threads(parser: ArgumentParser) -> None:
    """The flag that `use_threads` reads."""
    parser.add_argument("--threads", type=int | None, default=None, help="none: torch's own choice")


def use_threads(args: Namespace) -> None:
    """Set torch's number of threads from --threads."""
    if args.threads is None:
        return
    if args.threads < 1:
        raise ValueError(f"--threads must be at least 1, got {args.threads}")
    torch.set_num_threads(args.threads)


def parse_numbers(flag: str, text: str) -> tuple[int, ...]:
    """`5,10,20` as numbers; ValueError names the flag."""
    try:
        numbers = tuple(int(word) for word in text.split(","))
    except ValueError:
        raise ValueError(
            f"{flag} must be numbers with commas, like 5,10,20, got {text!r}"
        ) from None
    if min(numbers) < 1 or len(set(numbers)) != len(numbers):
        raise ValueError(f"{flag} must be different numbers from 1 up, got {text!r}")
    return numbers


def print_metrics(result: dict[str, Any], ks: tuple[int, ...]) -> None:
    """One line a metric, one column a cut-off."""
    names = [key.removesuffix(f"@{ks[0]}") for key in result if key.endswith(f"@{ks[0]}")]
    names = [name for name in names if not name.startswith(("valid_", "best_on"))]
    print("  " + " " * 10 + "".join(f"{'@' + str(k):>9}" for k in ks))
    for name in names:
        print(f"  {name:<10}" + "".join(f"{result[f'{name}@{k}']:>9.4f}" for k in ks))
