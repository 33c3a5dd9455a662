"""Refused calls that several operators have in common; see ops.bad_calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from ops.op_cases import Arguments
from torch import Tensor

Change = Callable[[Arguments], Arguments]
Bad = tuple[Change, type[Exception], str]


def to(name: str, change: Callable[[Any], Any]) -> Change:
    return lambda arguments: {name: change(arguments[name])}


def put(name: str, position: int, value: int) -> Change:
    def change(tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        tensor[position] = value
        return tensor

    return to(name, change)


def strided(tensor: Tensor) -> Tensor:
    return tensor.repeat_interleave(2, 0)[::2]


def bad_graph(indices_checked: bool = True) -> list[Bad]:
    bad: list[Bad] = [
        (to("indptr", lambda t: t[None]), ValueError, r"indptr must be 1-D .*got 2-D \[1, 61\]"),
        (to("indptr", lambda t: t[0]), ValueError, r"indptr must be 1-D .*got 0-D"),
        (to("indptr", lambda t: t.int()), ValueError, "indptr must be int64, got int32"),
        (to("indptr", lambda t: t[:0]), ValueError, "indptr must have .*>= 1 elements, got 0"),
        (to("indptr", strided), ValueError, "indptr must be contiguous"),
        (to("indices", strided), ValueError, "indices must be contiguous"),
        (to("indices", lambda t: t[None]), ValueError, "indices must be 1-D .*got 2-D"),
        (
            to("indices", lambda t: t.float()),
            ValueError,
            "indices must be int32 or int64, got float32",
        ),
        (put("indptr", 0, 1), ValueError, r"indptr\[0\] must be 0, got 1"),
        (
            put("indptr", -1, 7),
            ValueError,
            r"indptr\[-1\] must be the number of indices, \d+, got 7",
        ),
        (put("indptr", 30, -5), ValueError, r"indptr must not decrease .*indptr\[30\] = -5"),
        (put("indptr", 30, 2**62), ValueError, r"indptr must not decrease .*= 4611686018427387904"),
    ]
    if indices_checked:
        bad += [
            (to("indices", lambda t: torch.full_like(t, -1)), IndexError,
             r"indices must be in \[0, 60\), got indices\[\d+\] = -1 in row \d+"),
            (to("indices", lambda t: torch.full_like(t, 60)), IndexError,
             r"indices must be in \[0, 60\), got indices\[\d+\] = 60 in row \d+"),
        ]  # fmt: skip
    return bad


def bad_vector(name: str, length: str) -> list[Bad]:
    return [
        (to(name, lambda t: t[:-1]), ValueError, rf"{name} must have {length} elements in axis 0"),
        (to(name, lambda t: t[None]), ValueError, rf"{name} must be 1-D .*got 2-D"),
        (to(name, lambda t: t.half()), ValueError, rf"{name} must be float32, got float16"),
        (to(name, lambda t: strided(t)), ValueError, rf"{name} must be contiguous"),
    ]


def bad_table(name: str, rows: str) -> list[Bad]:
    return [
        (to(name, lambda t: t[0]), ValueError, rf"{name} must be 2-D .*got 1-D"),
        (
            to(name, lambda t: t[:-1]),
            ValueError,
            rf"{name} must have {rows}(elements in axis 0|rows)",
        ),
        (
            to(name, lambda t: t[:, :-1].contiguous()),
            ValueError,
            rf"{name} must have 8 elements in axis 1",
        ),
        (to(name, lambda t: t.half()), ValueError, rf"{name} must be float32, got float16"),
    ]


def bad_ids(name: str, size: int = 60) -> list[Bad]:
    return [
        (
            put(name, 3, size),
            IndexError,
            rf"{name} must be in \[0, {size}\), got {name}\[3\] = {size}",
        ),
        (put(name, 3, -1), IndexError, rf"{name} must be in \[0, {size}\), got {name}\[3\] = -1"),
        (to(name, lambda t: t.int()), ValueError, rf"{name} must be int64, got int32"),
        (to(name, lambda t: t[None]), ValueError, rf"{name} must be 1-D .*got 2-D"),
        (to(name, strided), ValueError, rf"{name} must be contiguous"),
    ]


def in_order(cases: list[Bad]) -> list[Bad]:
    """The same calls without a list of rows."""
    return [(lambda a, c=change: {**c(a), "rows": None}, *rest) for change, *rest in cases]


def bad_number(name: str, values: list[float], pattern: str) -> list[Bad]:
    return [(to(name, lambda _, v=v: v), ValueError, pattern) for v in values]


X_DTYPE: list[Bad] = [
    (to("x", lambda t, dtype=dtype: t.to(dtype)), ValueError,
     f"x must be float32, float64, bfloat16 or float16, got {name}")
    for dtype, name in [(torch.int32, "int32"), (torch.complex64, "another dtype")]
]  # fmt: skip
X_FLOATS: list[Bad] = [
    *((to("x", lambda t, dtype=dtype: t.to(dtype)), ValueError,
       f"x must be float32 or float64, got {name}")
      for dtype, name in [(torch.bfloat16, "bfloat16"), (torch.float16, "float16"), (torch.int64, "int64")]),
    (to("x", lambda t: t.t().contiguous().t()), ValueError, "x must be contiguous"),
]  # fmt: skip
ALPHA = bad_number(
    "alpha", [-0.1, 1.1, float("nan")], r"alpha must be in \[0, 1\], got (-0.1|1.1|-?nan)"
)
FANOUT = bad_number("fanout", [-1, 257], r"fanout must be in \[0, 256\], got (-1|257)")
SAMPLING: list[Bad] = [
    *FANOUT,
    *((to("row_fanout", lambda t, v=v: torch.full_like(t, v)), ValueError,
       rf"row_fanout must be in \[0, fanout\], got row_fanout\[\d+\] = {v} with fanout 5") for v in (-1, 6)),
    *bad_vector("row_fanout", "60")[:2], *bad_vector("row_fanout", "60")[3:],
    *bad_vector("edge_starts", r"\d+")[:2], *bad_vector("edge_starts", r"\d+")[3:],
    (to("row_fanout", lambda t: t.int()), ValueError, "row_fanout must be int16, got int32"),
    (to("edge_starts", lambda t: t.float()), ValueError, "edge_starts must be int32, got float32"),
]  # fmt: skip
NOT_SQUARE: Bad = (
    to("indptr", lambda t: torch.cat([t, t[-1:]])), ValueError,
    "(self_loops needs a square graph, got 61 rows and 60 columns|row_scale must have 61 elements)",
)  # fmt: skip
ADAM: list[Bad] = [
    *bad_number("step", [0, -1], "step must be at least 1, got (0|-1)"),
    *bad_number("lr", [-1.0, float("nan")], "lr must not be negative, got"),
    *bad_number("beta1", [1.0, -0.1, float("nan")], r"beta1 must be in \[0, 1\), got"),
    *bad_number("beta2", [1.0, -0.1, float("nan")], r"beta2 must be in \[0, 1\), got"),
    *bad_number("eps", [-1.0, float("nan")], "eps must not be negative, got"),
]
SLACK_ROWS: list[Bad] = [
    *bad_ids("row_begin")[2:], *bad_ids("degree")[2:],
    (to("degree", lambda t: t[:-1]), ValueError, "degree must have 60 elements in axis 0"),
    (to("indices", lambda t: t.float()), ValueError, "indices must be int32 or int64, got float32"),
    (to("indices", lambda t: t[None]), ValueError, "indices must be 1-D .*got 2-D"),
    (to("indices", strided), ValueError, "indices must be contiguous"),
    (to("row_begin", lambda t: torch.full_like(t, -5)), ValueError,
     r"row_begin and degree must be a range of the \d+ indices, got row_begin\[\d+\] = -5 and degree\[\d+\] = \d+"),
    (to("degree", lambda t: torch.full_like(t, 2**62)), ValueError,
     r"row_begin and degree must be a range of .*and degree\[\d+\] = 4611686018427387904"),
    (to("indices", lambda t: torch.full_like(t, -1)), IndexError,
     r"indices must be in \[0, 60\), got indices\[\d+\] = -1 in row \d+"),
    (to("indices", lambda t: torch.full_like(t, 60)), IndexError,
     r"indices must be in \[0, 60\), got indices\[\d+\] = 60 in row \d+"),
    (to("y", lambda t: t.bfloat16()), ValueError, "y must be float32 or float64, got bfloat16"),
    (to("y", lambda t: t.half()), ValueError, "y must be float32 or float64, got float16"),
    (to("y", lambda t: t[0]), ValueError, r"y must be 2-D \[num_nodes, dim\], got 1-D \[8\]"),
    (to("y", lambda t: t[:-1]), ValueError, "y must have 60 elements in axis 0"),
    (to("y", lambda t: t.t().contiguous().t()), ValueError, "y must be contiguous"),
    (lambda a: {"y": a["y"], "residual": a["y"]}, ValueError, "y and residual must not share memory"),
]  # fmt: skip
C0 = bad_number("c0", [-0.1, 1.0, float("nan")], r"c0 must be in \[0, 1\), got")


def listed(
    change: Callable[[Tensor], Tensor], weight: bool = False
) -> Callable[[Arguments], Arguments]:
    """Rows in another order, changed; without the weight that such rows may not have."""
    return lambda a: {
        "rows": change(torch.arange(60).flip(0)),
        **({} if weight else {"weight": None}),
    }


def _put(value: int) -> Callable[[Tensor], Tensor]:
    return lambda rows: rows.index_fill(0, torch.tensor([3]), value)


PROPAGATE: list[Bad] = [
    (listed(_put(60)), IndexError, r"rows must be in \[0, 60\), got rows\[3\] = 60"),
    (listed(_put(-1)), IndexError, r"rows must be in \[0, 60\), got rows\[3\] = -1"),
    (listed(lambda rows: rows[:-1]), ValueError, "rows must have 60 elements in axis 0"),
    (listed(lambda rows: rows.int()), ValueError, "rows must be int64, got int32"),
    (listed(lambda rows: rows[None]), ValueError, "rows must be 1-D .*got 2-D"),
    (listed(strided), ValueError, "rows must be contiguous"),
    (listed(lambda rows: rows, weight=True), ValueError, "rows must be None where weight is given, got both"),
    *bad_graph(), *bad_vector("weight", r"\d+"), *bad_vector("row_scale", "60"),
    *bad_vector("col_scale", "60"), *bad_table("x0", "60 "), *ALPHA, *X_DTYPE, NOT_SQUARE,
    (to("x", lambda t: t[0]), ValueError, r"x must be 2-D \[num_cols, dim\], got 1-D \[8\]"),
    (to("x", lambda t: t[None]), ValueError, "x must be 2-D .*got 3-D"),
]  # fmt: skip


EMBEDDINGS: list[Bad] = [
    *bad_table("items", "")[:1], *bad_table("items", "")[2:],
    (to("queries", lambda t: t[0]), ValueError, "queries must be 2-D .*got 1-D"),
    (to("queries", lambda t: t.half()), ValueError, "queries must be float32 or float64, got float16"),
    (to("queries", lambda t: t.bfloat16()), ValueError, "queries must be float32 or float64, got bfl"),
    (to("queries", lambda t: t.t().contiguous().t()), ValueError, "queries must be contiguous"),
    (to("items", lambda t: t.t().contiguous().t()), ValueError, "items must be contiguous"),
    (to("items", lambda t: t.double()), ValueError, "items must be float32, got float64"),
]  # fmt: skip
