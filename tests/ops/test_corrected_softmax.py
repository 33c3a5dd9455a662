"""The in-batch softmax with temperatures and log-Q, against autograd of its formula in float64."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from ltgnn.ops import corrected_softmax_loss_and_grad, loss_and_grad
from ltgnn.ops.reference_losses import packed

F32, F64 = torch.float32, torch.float64


def written_out(
    x: Tensor,
    users: Tensor,
    items: Tensor,
    *,
    tau: float,
    user_tau: Tensor | None = None,
    log_q: Tensor | None = None,
    exponent: float = 1.0,
    left_out: Tensor | None = None,
) -> Tensor:
    batch = len(users)
    rows = normalize(x, dim=1)
    cosines = rows[users] @ rows[items].T
    q = torch.zeros(batch, dtype=F64) if log_q is None else log_q
    each = torch.full((batch,), tau, dtype=F64) if user_tau is None else user_tau
    losses = q - cosines.diagonal() / tau
    left_out = torch.eye(batch) > 0 if left_out is None else left_out | (torch.eye(batch) > 0)
    log_sums = (cosines / each[:, None] - q).masked_fill(left_out, -torch.inf).logsumexp(1)
    losses = losses + exponent * log_sums.masked_fill(left_out.all(1), 0.0)
    return losses.mean()


def problem(batch: int, rows: int = 30, dim: int = 7) -> tuple[Tensor, ...]:
    random = torch.Generator().manual_seed(batch)
    x = torch.randn(rows, dim, generator=random, dtype=F64)
    users, items = torch.randint(rows, (2, batch), generator=random).unbind()
    user_tau = 0.05 + torch.rand(batch, generator=random, dtype=F64)
    log_q = -12 * torch.rand(batch, generator=random, dtype=F64)
    return x, users, items, user_tau, log_q


@pytest.mark.parametrize("batch", [1, 2, 5, 120])
@pytest.mark.parametrize("with_tau", [False, True])
@pytest.mark.parametrize("with_log_q", [False, True])
@pytest.mark.parametrize("exponent", [1.0, 0.84])
def test_loss_and_gradient_are_those_of_the_formula(
    batch: int, with_tau: bool, with_log_q: bool, exponent: float
) -> None:
    x, users, items, user_tau, log_q = problem(batch)
    settings = {
        "tau": 0.12, "exponent": exponent, "user_tau": user_tau if with_tau else None,
        "log_q": log_q if with_log_q else None,
    }  # fmt: skip
    leaf = x.clone().requires_grad_()
    want = written_out(leaf, users, items, **settings)
    (want_grad,) = torch.autograd.grad(want, leaf)
    value, grad = corrected_softmax_loss_and_grad(x, users, items, **settings)
    torch.testing.assert_close(value, want.detach())
    torch.testing.assert_close(grad, want_grad)
    value, grad = corrected_softmax_loss_and_grad(x.float(), users, items, **settings)
    assert grad.dtype == F32 and value.dtype == F64
    assert value.item() == pytest.approx(want.item(), rel=1e-4, abs=1e-4)
    error = (grad.double() - want_grad).norm() / want_grad.norm().clamp(min=0.1)
    assert error < 1e-4


def test_no_gradient_is_recorded_and_damage_shows() -> None:
    x, users, items, user_tau, log_q = problem(20)
    settings = {"tau": 0.12, "user_tau": user_tau, "log_q": log_q}
    want = corrected_softmax_loss_and_grad(x, users, items, **settings)
    got = corrected_softmax_loss_and_grad(x.clone().requires_grad_(), users, items, **settings)
    assert not got[0].requires_grad and not got[1].requires_grad
    assert torch.equal(got[0], want[0]) and torch.equal(got[1], want[1])
    x[users[3], 1] = float("nan")
    assert corrected_softmax_loss_and_grad(x, users, items, **settings)[0].isnan()


@pytest.mark.parametrize("batch", [1, 2, 32, 75])
@pytest.mark.parametrize("with_log_q", [False, True])
def test_pairs_that_are_left_out(batch: int, with_log_q: bool) -> None:
    """Random ones; all of user 1, whose logarithm is then no part of the loss; bits past the batch say nothing."""
    x, users, items, user_tau, log_q = problem(batch)
    left_out = torch.rand(batch, batch, generator=torch.Generator().manual_seed(3)) < 0.4
    left_out[1:2] = True
    settings = {
        "tau": 0.12,
        "exponent": 0.84,
        "user_tau": user_tau,
        "log_q": log_q if with_log_q else None,
    }
    leaf = x.clone().requires_grad_()
    want = written_out(leaf, users, items, left_out=left_out, **settings)
    (want_grad,) = torch.autograd.grad(want, leaf)
    skip = packed(left_out)
    if batch % 32:
        skip[::2, -1] |= -1 << batch % 32
    value, grad = corrected_softmax_loss_and_grad(x, users, items, skip=skip, **settings)
    torch.testing.assert_close(value, want.detach())
    torch.testing.assert_close(grad, want_grad)


@pytest.mark.parametrize("allow_bf16", [False, True])
def test_without_corrections_it_is_the_native_loss_to_the_bit(allow_bf16: bool) -> None:
    x, users, items, *_ = problem(50)
    settings = {"tau": 0.2, "exponent": 0.9, "allow_bf16": allow_bf16}
    got = corrected_softmax_loss_and_grad(x.float(), users, items, **settings)
    want = loss_and_grad(x.float(), users, items, None, **settings)
    assert all(torch.equal(one, other) for one, other in zip(got, want, strict=True))


@pytest.mark.parametrize("batch", [2, 97, 400])
@pytest.mark.parametrize("with_tau", [False, True])
def test_bfloat16_factors_round_as_at_the_lowest_temperature(batch: int, with_tau: bool) -> None:
    x, users, items, user_tau, log_q = problem(batch, rows=700, dim=64)
    log_q = log_q / 2
    settings = {"tau": 0.12, "user_tau": user_tau if with_tau else None, "log_q": log_q}
    want, want_grad = corrected_softmax_loss_and_grad(x, users, items, **settings)
    got, grad = corrected_softmax_loss_and_grad(
        x.float(), users, items, allow_bf16=True, **settings
    )
    lowest = float(user_tau.min()) if with_tau else 0.12
    slope = 1 / lowest + float(log_q.max() - log_q.min()) / 2
    assert got.item() == pytest.approx(want.item(), abs=2**-9 * slope)
    error = (grad.double() - want_grad).norm() / want_grad.norm()
    assert error < 2**-8 * slope


@given(st.floats(0.01, 3), st.floats(-20, 0))
def test_equal_temperatures_and_probabilities_change_nothing(tau: float, log_q: float) -> None:
    x, users, items, *_ = problem(20)
    everyone = {"user_tau": torch.full((20,), tau, dtype=F64),
                "log_q": torch.full((20,), log_q, dtype=F64)}  # fmt: skip
    value, grad = corrected_softmax_loss_and_grad(x, users, items, tau=tau, **everyone)
    want, want_grad = loss_and_grad(x, users, items, None, tau=tau)
    torch.testing.assert_close(value, want, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(grad, want_grad, rtol=1e-6, atol=1e-7)


def test_probable_items_weigh_less() -> None:
    """Two negatives at the same cosine: their gradients are as their 1 / q are."""
    x = torch.eye(4, dtype=F64)
    users, items = torch.tensor([0, 0, 0]), torch.tensor([1, 2, 3])
    q = torch.tensor([0.2, 0.7, 0.1], dtype=F64)
    _, grad = corrected_softmax_loss_and_grad(x, users[:3], items, tau=1.0, log_q=q.log())
    # Item 2 is a negative of pairs 0 and 2, item 3 of pairs 0 and 1; each loses its own pair's 1 / 3.
    weight = 1 / q
    of_two = weight[1] / (weight[1] + weight[2]) + weight[1] / (weight[0] + weight[1])
    of_three = weight[2] / (weight[1] + weight[2]) + weight[2] / (weight[0] + weight[2])
    assert grad[2, 0].item() == pytest.approx((of_two.item() - 1) / 3)
    assert grad[3, 0].item() == pytest.approx((of_three.item() - 1) / 3)


@pytest.mark.parametrize("value", [0.0, 1e-30, 1e10, 1e18])
@pytest.mark.parametrize("dtype", [F32, F64])
def test_extreme_rows_give_no_nan(value: float, dtype: torch.dtype) -> None:
    x, users, items, user_tau, log_q = problem(20)
    x[[0, 3, int(users[0]), int(items[1])]] = value
    got, grad = corrected_softmax_loss_and_grad(
        x.to(dtype), users, items, tau=0.1, user_tau=user_tau, log_q=log_q
    )
    assert got.isfinite() and grad.isfinite().all()
    assert value > 0 or not grad[users[0]].any()


def test_same_bits_for_any_number_of_threads() -> None:
    x, users, items, user_tau, log_q = problem(700, rows=900, dim=33)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(
                corrected_softmax_loss_and_grad(
                    x.float(), users, items, tau=0.1, user_tau=user_tau, log_q=log_q
                )
            )
    finally:
        torch.set_num_threads(threads)
    for value, grad in results[1:]:
        assert torch.equal(value, results[0][0]) and torch.equal(grad, results[0][1])


def test_nothing_for_an_empty_batch() -> None:
    x, none, empty = torch.ones(3, 2), torch.zeros(0, dtype=torch.int64), torch.zeros(0)
    value, grad = corrected_softmax_loss_and_grad(
        x, none, none, tau=0.1, user_tau=empty, log_q=empty
    )
    assert value.item() == 0.0 and torch.equal(grad, torch.zeros_like(x))


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"tau": 0.0}, ValueError, "tau must be positive, got 0.0"),
        ({"user_tau": torch.tensor([0.1])}, ValueError, "user_tau must be [2], got [1]"),
        ({"user_tau": torch.tensor([0.1, 0.0])}, ValueError, "user_tau must be positive, got 0.0"),
        ({"log_q": torch.tensor([0.0, -math.inf])}, ValueError, "log_q must be finite"),
        ({"users": torch.tensor([0, 3])}, IndexError, "users must be in [0, 3), got 3"),
        ({"items": torch.tensor([0])}, ValueError, "users and items 1-D and of one length"),
    ],
)
def test_wrong_arguments_are_named(changed: dict, error: type[Exception], message: str) -> None:
    arguments = {
        "x": torch.ones(3, 2), "users": torch.tensor([0, 1]), "items": torch.tensor([1, 2]),
        "tau": 0.1,
    }  # fmt: skip
    with pytest.raises(error) as caught:
        corrected_softmax_loss_and_grad(**{**arguments, **changed})
    assert message in str(caught.value)
