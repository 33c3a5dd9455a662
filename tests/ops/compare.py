"""Comparison with a float64 reference: at most twice the error of plain torch in the same dtype."""

from __future__ import annotations

import torch
from ops.backends import native
from ops.op_cases import Arguments, OpCase, Setting
from torch import Tensor

DIMS = (0, 1, 31, 32, 33, 64, 129)
FIXED_WIDTHS = (96, 128, 256)  # widths for which propagate has code of its own
INT32, INT64 = torch.int32, torch.int64


def settings_of(case: OpCase) -> list[Setting]:
    """Each dim on one graph and each graph at one dim; both index types, with and without options."""
    if not case.has_dim:
        return [Setting(graph, index=index, full=full)
                for graph in case.graphs for index in (INT32, INT64) for full in (True, False)]  # fmt: skip
    dims = DIMS + FIXED_WIDTHS if case.name.startswith("propagate") else DIMS
    return [
        Setting(graph, dim, dtype, index, full)
        for dtype in case.dtypes
        for graph, dim, index, full in [
            *(("random", dim, INT32, full) for dim in dims for full in (True, False)),
            *((graph, 8, INT64, True) for graph in case.graphs),
            *((graph, 8, INT32, False) for graph in case.graphs),
        ]
    ]


def assert_as_good_as_plain(got: Tensor, plain: Tensor, exact: Tensor, eps: float) -> None:
    """`got` is within twice the error of `plain`, and a few roundings of values of this size."""
    assert got.shape == exact.shape
    if not exact.is_floating_point():
        assert torch.equal(got, exact)
        return
    finite = exact.isfinite()
    assert torch.equal(got[~finite].double(), exact[~finite])
    got, plain, exact = got[finite], plain[finite], exact[finite]
    if not exact.numel():
        return
    error = (got.double() - exact).abs().max().item()
    # In float64 `plain` is the reference itself: the floor has to bear the whole error.
    roundings = 16 if plain.dtype == torch.float64 else 8
    floor = roundings * eps * max(exact.abs().max().item(), 1.0)
    allowed = 2 * (plain.double() - exact).abs().max().item() + floor
    assert error <= allowed, f"error {error:.3g}, allowed {allowed:.3g}"


def check_against_reference(
    case: OpCase, setting: Setting, arguments: Arguments, backend: str = "cpu"
) -> None:
    """Raises AssertionError where the operator is worse than plain torch."""
    got = native(case, arguments, backend)
    exact = case.plain(arguments, torch.float64)
    plain = exact if setting.dtype == torch.float64 else case.plain(arguments)
    assert len(got) == len(exact)
    for result, rough, right in zip(got, plain, exact, strict=True):
        assert_as_good_as_plain(result, rough, right, torch.finfo(setting.dtype).eps)
