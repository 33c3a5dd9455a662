"""Changes that spoil a good call of an operator, drawn at random."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
from ops.op_cases import Arguments
from torch import Tensor

INT32_MAX, INT64_MIN, INT64_MAX = 2**31 - 1, -(2**63), 2**63 - 1


def bad_integers(size: int) -> list[int]:
    return [-1, size, size + 1, INT32_MAX, -(2**31), INT64_MIN, INT64_MAX, INT64_MAX - 3, 2**62]


def change_values(tensor: Tensor, rng: random.Random) -> Tensor:
    """Some elements become extreme ones."""
    tensor = tensor.clone()
    flat = tensor.view(-1)
    for _ in range(rng.choice([1, 1, 2, 5])):
        if not len(flat):
            break
        position = rng.choice([0, len(flat) - 1, rng.randrange(len(flat))])
        if tensor.is_floating_point():
            flat[position] = rng.choice([float("nan"), float("inf"), -float("inf"), 1e30, 0.0])
        else:
            low, high = torch.iinfo(tensor.dtype).min, torch.iinfo(tensor.dtype).max
            value = rng.choice([*bad_integers(60), *range(-3, 70), int(flat[position]) + 1])
            flat[position] = min(max(value, low), high)
    return tensor


def change_shape(tensor: Tensor, rng: random.Random) -> Tensor:
    changes: list[Callable[[], Tensor]] = [
        lambda: tensor[None],
        lambda: tensor.reshape(-1),
        lambda: tensor.reshape(-1)[0] if tensor.numel() else tensor,
        lambda: tensor[:-1],
        lambda: tensor[:0],
        lambda: tensor[1:],
        lambda: torch.cat([tensor, tensor[:1]]),
        lambda: tensor.repeat_interleave(2, 0)[::2],
        lambda: tensor.flip(0),
        lambda: tensor[:1].expand_as(tensor) if len(tensor) else tensor,
        lambda: tensor.t(),
        lambda: tensor[..., :-1],
        lambda: tensor[..., None],
        lambda: tensor.repeat_interleave(2, -1)[..., ::2],
        lambda: tensor.as_strided((5, 3), (0, 0)) if tensor.numel() else tensor,
    ]
    return rng.choice(changes)()


def change_type(tensor: Tensor, rng: random.Random) -> Any:
    dtypes = [torch.int8, torch.int32, torch.int64, torch.bool, torch.float16, torch.bfloat16,
              torch.float32, torch.float64, torch.complex64]  # fmt: skip
    others: list[Callable[[], Any]] = [
        lambda: None,
        lambda: tensor.tolist(),
        lambda: tensor.numpy() if tensor.dtype != torch.bfloat16 else "x",
        lambda: 3,
        lambda: "text",
        lambda: object(),
        lambda: tensor.to("meta"),
        lambda: tensor.to_sparse(),
        lambda: tensor.to_sparse_csr(),
        lambda: torch.empty(0),
    ]
    return tensor.to(rng.choice(dtypes)) if rng.random() < 0.6 else rng.choice(others)()


def change_number(value: Any, rng: random.Random) -> Any:
    if isinstance(value, bool):
        return rng.choice([not value, None, 2, "yes"])
    choices = [-1, 0, 1, 2, 257, 0.5, -0.1, 1.1, float("nan"), float("inf"), -float("inf"),
               INT32_MAX, INT64_MIN, INT64_MAX, 2**64, None, "0.5", [1]]  # fmt: skip
    return rng.choice(choices)


def malform(arguments: Arguments, rng: random.Random) -> Arguments:
    """Changes one to three arguments, the structure more often than others; returns the changed."""
    names = [*arguments, *[n for n in arguments if n in ("indptr", "indices", "rows", "users")] * 4]
    changed = {}
    for name in sorted({rng.choice(names) for _ in range(rng.choice([1, 1, 1, 2, 3]))}):
        value = arguments[name]
        try:
            if isinstance(value, Tensor):
                kind = rng.choice(
                    [change_values, change_values, change_values, change_shape, change_type]
                )
                changed[name] = kind(value, rng)
            else:
                changed[name] = change_number(value, rng)
        except (RuntimeError, IndexError):
            continue  # this tensor cannot be changed so, a 0-D one sliced for instance
    return changed
