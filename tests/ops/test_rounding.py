"""Tables in bfloat16: stochastic rounding, and embeddings in float32 beside them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ops.backends import native, operator, parameters, placed, same_bits
from ops.compare import assert_as_good_as_plain
from ops.op_cases import BY_NAME, Arguments, OpCase, Setting

from ltgnn.ops import adam_

NAMES = ("ltgnn_forward_", "ltgnn_update_", "ltgnn_bpr_step_", "adam_")
EMBEDDINGS = ("e0", "param")
NOT_STORED = ("grad", "h", "l2", "scale")
everywhere = [p for name in NAMES for p in parameters(case=BY_NAME[name], name=name)]


def mixed(case: OpCase, setting: Setting) -> Arguments:
    """Embeddings in float32, the other tables in bfloat16."""

    def stored(name: str, value: Any) -> Any:
        is_table = isinstance(value, torch.Tensor) and value.is_floating_point()
        return value.bfloat16() if is_table and name not in (*EMBEDDINGS, *NOT_STORED) else value

    return {name: stored(name, value) for name, value in case.inputs(setting).items()}


@pytest.mark.parametrize(("backend", "case"), everywhere)
@pytest.mark.parametrize("full", [True, False], ids=["full", "bare"])
@pytest.mark.parametrize("dim", [1, 33, 64])
def test_float32_embeddings_beside_bfloat16(
    backend: str, case: OpCase, full: bool, dim: int
) -> None:
    arguments = mixed(case, Setting("random", dim, full=full))
    got, plain = native(case, arguments, backend), case.plain(arguments)
    exact = case.plain(arguments, torch.float64)
    for result, rough, right in zip(got, plain, exact, strict=True):
        eps = torch.finfo(torch.bfloat16).eps if result.is_floating_point() else 0.0
        assert_as_good_as_plain(result, rough, right, eps)


@pytest.mark.parametrize(("backend", "case"), everywhere)
@pytest.mark.parametrize("full", [True, False], ids=["full", "bare"])
def test_opcheck_of_mixed_tables(backend: str, case: OpCase, full: bool) -> None:
    arguments = placed(mixed(case, Setting("random", 4, full=full)), backend)
    torch.library.opcheck(operator(case, backend).default, (), arguments)


@pytest.mark.parametrize("name", NAMES)
def test_same_bits_for_any_number_of_threads(name: str) -> None:
    case, before = BY_NAME[name], torch.get_num_threads()
    arguments = case.inputs(Setting("big", 33, torch.bfloat16))
    try:
        results = []
        for count in (1, 1, 2, 5):
            torch.set_num_threads(count)
            results.append(native(case, arguments, "cpu"))
    finally:
        torch.set_num_threads(before)
    assert all(same_bits(results[0], other) for other in results[1:])


@pytest.mark.emu
@pytest.mark.parametrize("name", NAMES)
def test_devices_round_alike(name: str) -> None:
    """All but the few elements whose sums differ in the last bit, just where the random bits decide."""
    case = BY_NAME[name]
    arguments = case.inputs(Setting("random", 64, torch.bfloat16))
    here, there = native(case, arguments, "cpu"), native(case, arguments, "emu")
    for a, b in zip(here, there, strict=True):
        if a.dtype == torch.bfloat16:
            assert (a == b).float().mean() > 0.99


def stepped(start: float, lr: float, dtype: torch.dtype, steps: int = 1, rows: int = 4000) -> Any:
    """param, m and v after steps with a gradient of 1."""
    tables = [torch.full((rows, 33), value, dtype=dtype) for value in (start, 0.0, 1.0)]
    for step in range(1, steps + 1):
        adam_(*tables, torch.ones(rows, 33), step=step, lr=lr)  # type: ignore[misc]
    return [table.float() for table in tables]


def test_rounding_is_unbiased() -> None:
    exact = stepped(1.0, 1e-3, torch.float32)
    for table, right in zip(stepped(1.0, 1e-3, torch.bfloat16), exact, strict=True):
        wanted = right[0, 0].item()
        below, above = table.min().item(), table.max().item()
        assert below <= wanted <= above
        # A coin that lands above with probability p: 4 standard deviations of its mean.
        share = (wanted - below) / max(above - below, 1e-30)
        sigma = (above - below) * (share * (1 - share) / table.numel()) ** 0.5
        assert abs(table.double().mean().item() - wanted) <= 4 * sigma + 1e-9


def test_updates_below_the_last_bit_add_up() -> None:
    """300 steps of at most 1e-4 from 1, where bfloat16's neighbours are 4e-3 and 8e-3 away."""
    exact, rounded = (stepped(1.0, 1e-4, d, 300)[0] for d in (torch.float32, torch.bfloat16))
    moved = 1 - exact.mean().item()
    assert moved > 0.005
    assert abs(exact.mean().item() - rounded.mean().item()) < 0.1 * moved


def test_bits_differ_between_rows_columns_steps_and_tables() -> None:
    """No two of them agree more often than chance lets independent coins agree."""
    halfway, up = torch.full((200, 64), 1.0 + 2.0**-9), []  # between two neighbours in bfloat16
    for step in (1, 2):
        param, m, v = torch.zeros(3, 200, 64).bfloat16().unbind()
        adam_(param, m, v, halfway, step=step, lr=0.0, beta1=0.0, beta2=0.0)
        up.append((m.float() > halfway, v.float() > halfway**2))
    (m_up, v_up), (m_later, _) = up
    for a, b in [
        (m_up, m_later), (m_up, v_up), (m_up[1:], m_up[:-1]), (m_up[:, 1:], m_up[:, :-1]),
        (m_up[:, 16:], m_up[:, :-16]),
    ]:  # fmt: skip
        chance = a.float().mean() * b.float().mean() + (~a).float().mean() * (~b).float().mean()
        agree = (a == b).float().mean()
        assert abs(agree - chance) < 4 * (chance * (1 - chance) / a.numel()) ** 0.5


def test_nan_and_infinity_stay_what_they_are() -> None:
    param = torch.tensor([[float("nan"), -float("nan"), 1.0, -0.0]] * 40).bfloat16()
    m, v = torch.zeros_like(param), torch.full_like(param, float("inf"))
    before = param.clone()
    adam_(param, m, v, torch.zeros(40, 4), step=1, lr=0.0)
    assert param.isnan().equal(before.isnan())
    assert same_bits([param.nan_to_num(nan=7.0)], [before.nan_to_num(nan=7.0)])
    assert (v == float("inf"))[:, 2:].all()


def test_dtypes_that_do_not_go_together() -> None:
    case = BY_NAME["adam_"]
    arguments = case.inputs(Setting("random", 8))
    for change, message in [
        ({"m": torch.float64}, "m must be float32, got float64"),
        ({"m": torch.bfloat16}, "v must be bfloat16, got float32"),
        ({"param": torch.bfloat16}, "m must be bfloat16, got float32"),
        ({"param": torch.bfloat16, "m": torch.bfloat16, "v": torch.bfloat16, "grad": torch.bfloat16},
         "grad must be float32, got bfloat16"),
        ({"param": torch.float16}, "param must be float32, float64 or bfloat16, got float16"),
    ]:  # fmt: skip
        changed = {**arguments, **{name: arguments[name].to(d) for name, d in change.items()}}
        with pytest.raises(ValueError, match=message):
            native(case, changed, "cpu")
