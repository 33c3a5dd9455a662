"""Losses over sampled negatives: against autograd of their formulas in float64, and at their edges."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize, softplus

from ltgnn.ops import SAMPLED_LOSSES, loss_and_grad, sampled_loss_and_grad
from ltgnn.ops.elementwise import softplus_and_slope
from ltgnn.ops.sampled_losses import unit_rows

F32, F64 = torch.float32, torch.float64
each_loss = pytest.mark.parametrize("loss", SAMPLED_LOSSES)


def written_out(
    x: Tensor,
    users: Tensor,
    items: Tensor,
    negatives: Tensor,
    loss: str,
    *,
    negative_weight: float = 1.0,
    margin: float = 0.9,
    mixing: Tensor | None = None,
) -> Tensor:
    """The loss as its formula reads, differentiable."""
    rows = normalize(x, dim=1) if loss == "ccl" else x
    u, p, n = rows[users], rows[items], rows[negatives]
    if mixing is not None:
        n = mixing[..., None] * p[:, None] + (1 - mixing[..., None]) * n
        n = normalize(n, dim=2) if loss == "ccl" else n
    positive = (u * p).sum(1)
    negative = (u[:, None] * n).sum(2)
    if loss == "bpr":
        return softplus(negative - positive[:, None]).mean()
    if loss == "bce":
        return (softplus(-positive) + negative_weight * softplus(negative).mean(1)).mean()
    over = (negative - margin).clamp(min=0).mean(1)
    return (1 - positive + negative_weight * over).mean()


def problem(batch: int, count: int, rows: int = 12, dim: int = 5) -> tuple[Tensor, ...]:
    random = torch.Generator().manual_seed(batch * 100 + count)
    x = torch.randn(rows, dim, generator=random, dtype=F64)
    users, items = torch.randint(rows, (2, batch), generator=random).unbind()
    negatives = torch.randint(rows, (batch, count), generator=random)
    mixing = torch.rand(batch, count, generator=random, dtype=F64)
    return x, users, items, negatives, mixing


@each_loss
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("batch", [1, 7, 60])
@pytest.mark.parametrize("count", [1, 2, 33])
def test_loss_and_gradient_are_those_of_the_formula(
    loss: str, mixed: bool, batch: int, count: int
) -> None:
    x, users, items, negatives, mixing = problem(batch, count)
    settings = {"negative_weight": 2.5, "margin": 0.2, "mixing": mixing if mixed else None}
    leaf = x.clone().requires_grad_()
    want = written_out(leaf, users, items, negatives, loss, **settings)
    (want_grad,) = torch.autograd.grad(want, leaf)
    value, grad = sampled_loss_and_grad(x, users, items, negatives, loss=loss, **settings)
    torch.testing.assert_close(value, want.detach())
    torch.testing.assert_close(grad, want_grad)
    value, grad = sampled_loss_and_grad(x.float(), users, items, negatives, loss=loss, **settings)
    assert grad.dtype == F32 and value.dtype == F64
    assert value.item() == pytest.approx(want.item(), rel=1e-4)
    torch.testing.assert_close(grad.double(), want_grad, rtol=1e-3, atol=1e-5)


def test_bpr_of_one_negative_is_the_native_one() -> None:
    x, users, items, negatives, _ = problem(40, 1)
    value, grad = sampled_loss_and_grad(x, users, items, negatives, loss="bpr")
    want, want_grad = loss_and_grad(x, users, items, negatives[:, 0])
    torch.testing.assert_close(value, want)
    torch.testing.assert_close(grad, want_grad)


@each_loss
@given(st.floats(0.1, 30))
def test_a_negative_mixed_with_nothing_else_is_the_positive(loss: str, scale: float) -> None:
    x, users, items, negatives, mixing = problem(9, 3)
    ones = torch.ones_like(mixing)
    got = sampled_loss_and_grad(x * scale, users, items, negatives, loss=loss, mixing=ones)
    same = items[:, None].expand(-1, 3)
    want = sampled_loss_and_grad(x * scale, users, items, same, loss=loss)
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other)


def test_ccl_leaves_easy_negatives_alone() -> None:
    x = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.8, 0.6], [0.0, 3.0]], dtype=F64)
    zero, one = torch.tensor([0]), torch.tensor([1])
    easy = torch.tensor([[2, 3]])
    value, grad = sampled_loss_and_grad(x, zero, one, easy, loss="ccl", margin=0.8 + 1e-9)
    assert value.item() == pytest.approx(0.0, abs=1e-12)
    assert not grad.any()
    value, grad = sampled_loss_and_grad(
        x, zero, one, easy, loss="ccl", margin=0.5, negative_weight=10.0
    )
    assert value.item() == pytest.approx(10 * 0.3 / 2)
    torch.testing.assert_close(grad[2], 5.0 * torch.tensor([0.36, -0.48], dtype=F64))
    assert not grad[3].any()


def test_opposite_directions_mixed_evenly_have_no_direction() -> None:
    x = torch.tensor([[0.6, 0.8], [1.0, 0.0], [-1.0, 0.0]], dtype=F64)
    ids = [torch.tensor([0]), torch.tensor([1]), torch.tensor([[2]])]
    half = torch.full((1, 1), 0.5, dtype=F64)
    value, grad = sampled_loss_and_grad(*[x, *ids], loss="ccl", margin=-1.0, mixing=half)
    assert value.item() == pytest.approx(1 - 0.6 + 1.0)
    assert grad.isfinite().all() and not grad[2].any()


@each_loss
@pytest.mark.parametrize("value", [0.0, 1e-30, 1e-10, 1e10, 1e18])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("dtype", [F32, F64])
def test_extreme_rows_give_no_nan(loss: str, value: float, mixed: bool, dtype: torch.dtype) -> None:
    x, users, items, negatives, mixing = problem(20, 3)
    x[[0, 3]] = value
    got, grad = sampled_loss_and_grad(
        x.to(dtype), users, items, negatives, loss=loss, mixing=mixing if mixed else None
    )
    assert got.isfinite() and grad.isfinite().all()


@pytest.mark.parametrize("mixed", [False, True])
def test_a_row_of_zeros_has_cosine_zero_and_no_gradient(mixed: bool) -> None:
    x, users, items, negatives, mixing = problem(30, 4)
    x[items[0]] = 0.0
    mixing = mixing if mixed else None
    _, grad = sampled_loss_and_grad(
        x, users, items, negatives, loss="ccl", margin=-1.0, mixing=mixing
    )
    assert not grad[items[0]].any() and grad.any()
    leaf = x.clone().requires_grad_()
    want = written_out(leaf, users, items, negatives, "ccl", margin=-1.0, mixing=mixing)
    (want_grad,) = torch.autograd.grad(want, leaf)
    others = torch.arange(len(x)) != items[0]
    torch.testing.assert_close(grad[others], want_grad[others])


@each_loss
def test_nothing_for_an_empty_batch(loss: str) -> None:
    x, none = torch.ones(3, 2), torch.zeros(0, dtype=torch.int64)
    value, grad = sampled_loss_and_grad(x, none, none, none.view(0, 4), loss=loss)
    assert value.item() == 0.0 and torch.equal(grad, torch.zeros_like(x))


@each_loss
def test_no_gradient_is_recorded(loss: str) -> None:
    x, users, items, negatives, _ = problem(5, 3)
    want = sampled_loss_and_grad(x, users, items, negatives, loss=loss)
    got = sampled_loss_and_grad(x.clone().requires_grad_(), users, items, negatives, loss=loss)
    assert not got[0].requires_grad and not got[1].requires_grad
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


@each_loss
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_damage_shows_in_the_loss(loss: str, wrong: float) -> None:
    x, users, items, negatives, _ = problem(5, 3)
    x[users[0], 0] = wrong
    assert not sampled_loss_and_grad(x, users, items, negatives, loss=loss)[0].isfinite()


def test_rows_of_hardly_any_length_count_as_none() -> None:
    x = torch.tensor([[1e-39, 0.0], [1.0, 1.0], [1e-30, 1e-30]])
    unit, inverse = unit_rows(x)
    assert unit[0].tolist() == [0.0, 0.0] and inverse[0] == 0 and inverse.isfinite().all()
    torch.testing.assert_close(unit[2], torch.full((2,), 0.5**0.5))


@each_loss
def test_same_bits_for_any_number_of_threads(loss: str) -> None:
    """Large enough that torch, too, would cut its vectors."""
    x, users, items, negatives, mixing = problem(3001, 47, rows=500, dim=13)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(
                sampled_loss_and_grad(
                    x.float(), users, items, negatives, loss=loss, margin=0.1, mixing=mixing
                )
            )
    finally:
        torch.set_num_threads(threads)
    for value, grad in results[1:]:
        assert torch.equal(value, results[0][0]) and torch.equal(grad, results[0][1])


@given(st.floats(-1e3, 1e3))
def test_softplus_and_slope(x: float) -> None:
    value, slope = softplus_and_slope(torch.tensor([x], dtype=F64))
    assert value.item() == pytest.approx(max(x, 0.0) + math.log1p(math.exp(-abs(x))))
    assert slope.item() == pytest.approx(0.0 if x < -700 else 1 / (1 + math.exp(-x)))


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"loss": "hinge"}, ValueError, "loss must be one of bpr, bce, ccl, got 'hinge'"),
        ({"negatives": torch.zeros(2, dtype=torch.int64)}, ValueError, "negatives must be [2, K]"),
        ({"negatives": torch.zeros(2, 0, dtype=torch.int64)}, ValueError, "K >= 1, got [2, 0]"),
        ({"negatives": torch.tensor([[0], [9]])}, IndexError, "negatives must be in [0, 3), got 9"),
        ({"users": torch.tensor([0, -1])}, IndexError, "users must be in [0, 3), got -1"),
        ({"items": torch.tensor([0])}, ValueError, "users and items 1-D and of one length"),
        ({"mixing": torch.zeros(2, 2)}, ValueError, "mixing must have the shape of negatives"),
    ],
)
def test_wrong_arguments_are_named(changed: dict, error: type[Exception], message: str) -> None:
    arguments = {
        "x": torch.ones(3, 2), "users": torch.tensor([0, 1]), "items": torch.tensor([1, 2]),
        "negatives": torch.tensor([[2], [0]]), "loss": "bce",
    }  # fmt: skip
    with pytest.raises(error) as caught:
        sampled_loss_and_grad(**{**arguments, **changed})
    assert message in str(caught.value)
