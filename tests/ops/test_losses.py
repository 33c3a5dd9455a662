"""The losses: closed forms, invariances, repeated ids, extreme values, batches of one and none."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ltgnn._library import cpu_capability
from ltgnn.ops import bpr_loss, in_batch_softmax_loss, loss_and_grad, reference_losses
from ltgnn.ops.reference_losses import packed

F32, F64 = torch.float32, torch.float64
each_float = pytest.mark.parametrize("dtype", [F32, F64])


def table(rows: int, dim: int = 6, seed: int = 0, dtype: torch.dtype = F64) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(rows, dim, generator=random, dtype=F64).to(dtype)


def ids(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


def gradient(x: Tensor, loss: Tensor) -> Tensor:
    (result,) = torch.autograd.grad(loss, x)
    return result


# ---- BPR ----


@pytest.mark.parametrize("margin", [0.0, 1.0, -1.0, 1e4, -1e4])
@each_float
def test_bpr_of_one_margin(margin: float, dtype: torch.dtype) -> None:
    x = torch.tensor([[1.0], [margin], [0.0]], dtype=dtype)
    loss, grad = loss_and_grad(x, ids(0), ids(1), ids(2))
    softplus = max(-margin, 0.0) + math.log1p(math.exp(-abs(margin)))
    sigmoid = 0.0 if margin > 700 else 1 / (1 + math.exp(margin))
    assert loss.dtype == F64 and loss.shape == ()
    assert loss.item() == pytest.approx(softplus, rel=1e-6)
    want = torch.tensor([[-sigmoid * margin], [-sigmoid], [sigmoid]], dtype=dtype)
    torch.testing.assert_close(grad, want)


def test_bpr_of_equal_rows_is_log_two() -> None:
    x = torch.ones(3, 4)
    assert bpr_loss(x, ids(0, 1), ids(1, 2), ids(2, 0)).item() == pytest.approx(math.log(2))


def test_bpr_of_repeated_triples_adds_gradients() -> None:
    x = table(4)
    once_loss, once = loss_and_grad(x, ids(0), ids(1), ids(2))
    loss, grad = loss_and_grad(x, ids(0, 0, 0), ids(1, 1, 1), ids(2, 2, 2))
    assert loss.item() == pytest.approx(once_loss.item())
    torch.testing.assert_close(grad, once)
    _, mixed = loss_and_grad(x, ids(0, 0), ids(1, 2), ids(2, 3))
    parts = [loss_and_grad(x, ids(0), ids(p), ids(n))[1] for p, n in ((1, 2), (2, 3))]
    torch.testing.assert_close(mixed, (parts[0] + parts[1]) / 2)


def test_bpr_of_positive_equal_to_negative_has_no_gradient() -> None:
    loss, grad = loss_and_grad(table(2), ids(0), ids(1), ids(1))
    assert loss.item() == pytest.approx(math.log(2))
    torch.testing.assert_close(grad, torch.zeros_like(grad))


# ---- in-batch softmax ----


@pytest.mark.parametrize("tau", [2.0, 0.2, 0.05, 0.01, 0.002])
@pytest.mark.parametrize("batch", [2, 3, 50, 100])
@each_float
def test_softmax_of_orthonormal_rows(batch: int, tau: float, dtype: torch.dtype) -> None:
    """Own cosine 1, all others 0: -1/tau + log(batch - 1)."""
    x = torch.eye(batch, dtype=dtype)
    b = torch.arange(batch)
    loss, grad = loss_and_grad(x, b, b, None, tau=tau)
    assert loss.item() == pytest.approx(-1 / tau + math.log(batch - 1), abs=1e-5 / tau)
    want = (1 - torch.eye(batch, dtype=dtype)) * 2 / ((batch - 1) * tau * batch)
    torch.testing.assert_close(grad, want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("tau", [1.0, 0.05, 0.01])
@each_float
def test_softmax_of_opposite_pairs(tau: float, dtype: torch.dtype) -> None:
    """Every other item points away from the user: the sum is as small as it can be."""
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=dtype)
    loss = in_batch_softmax_loss(x, ids(0, 1), ids(0, 1), tau=tau)
    assert loss.item() == pytest.approx(-2 / tau, rel=1e-5)


@each_float
def test_softmax_of_equal_rows(dtype: torch.dtype) -> None:
    x = torch.ones(7, 5, dtype=dtype)
    b = torch.arange(7)
    loss, grad = loss_and_grad(x, b, b, None, tau=0.1, exponent=1.5)
    assert loss.item() == pytest.approx(-10 + 1.5 * (10 + math.log(6)), rel=1e-6)
    torch.testing.assert_close(grad, torch.zeros_like(grad), rtol=0, atol=1e-5)


@given(st.floats(1e-3, 1e3), st.floats(0.05, 5), st.floats(0, 2))
def test_softmax_does_not_see_lengths(scale: float, tau: float, exponent: float) -> None:
    x = table(9)
    users, items = torch.arange(4), torch.arange(4, 8)
    scales = torch.linspace(1, scale, 9, dtype=F64)[:, None]
    settings = {"tau": tau, "exponent": exponent}
    loss, grad = loss_and_grad(x, users, items, None, **settings)
    scaled_loss, scaled_grad = loss_and_grad(x * scales, users, items, None, **settings)
    torch.testing.assert_close(scaled_loss, loss)
    torch.testing.assert_close(scaled_grad * scales, grad)
    # So the gradient is at right angles to its row.
    torch.testing.assert_close((grad * x).sum(1), torch.zeros(9, dtype=F64), rtol=0, atol=1e-9)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), max_size=12))
def test_repeated_ids_add_up(triples: list[tuple[int, int, int]]) -> None:
    x = table(5).requires_grad_()
    u, p, n = (torch.tensor([t[k] for t in triples], dtype=torch.int64) for k in range(3))
    torch.testing.assert_close(
        gradient(x, bpr_loss(x, u, p, n)), gradient(x, reference_losses.bpr_loss(x, u, p, n))
    )
    torch.testing.assert_close(
        gradient(x, in_batch_softmax_loss(x, u, p, tau=0.3)),
        gradient(x, reference_losses.in_batch_softmax_loss(x, u, p, 0.3, 1.0)),
    )


@each_float
def test_softmax_of_one_pair_has_no_denominator(dtype: torch.dtype) -> None:
    x = table(2, dtype=dtype).requires_grad_()
    loss = in_batch_softmax_loss(x, ids(0), ids(1), tau=0.5)
    cosine = torch.nn.functional.cosine_similarity(x[0], x[1], dim=0)
    assert loss.item() == pytest.approx(-cosine.item() / 0.5, rel=1e-5)
    torch.testing.assert_close(gradient(x, loss), gradient(x, -cosine / 0.5))


@pytest.mark.parametrize("batch", [1, 2, 95, 97, 400])
@pytest.mark.parametrize("dim", [1, 31, 64, 129])
@pytest.mark.parametrize("tau", [1.0, 0.12, 0.04])
def test_softmax_from_bfloat16_factors(batch: int, dim: int, tau: float) -> None:
    """Close to the exact loss, and the same bits for any number of threads."""
    x = table(60, dim, dtype=F32)
    random = torch.Generator().manual_seed(1)
    u, p = torch.randint(60, (2, batch), generator=random).unbind()
    settings = {"tau": tau, "exponent": 0.9}
    want, want_grad = loss_and_grad(x.double(), u, p, None, **settings)
    threads = torch.get_num_threads()
    results = []
    for count in (1, 2):
        torch.set_num_threads(count)
        results.append(loss_and_grad(x, u, p, None, allow_bf16=True, **settings))
    torch.set_num_threads(threads)
    (loss, grad), (loss_again, grad_again) = results
    assert torch.equal(loss, loss_again) and torch.equal(grad, grad_again)
    # A rounded cosine is off by 2^-9 at most, and by less where it sums many products.
    assert loss.item() == pytest.approx(want.item(), abs=2**-9 / tau)
    error = (grad.double() - want_grad).norm() / max(want_grad.norm().item(), 1e-3)
    assert error < 2**-8 / min(tau, 0.5)


@pytest.mark.parametrize("allow_bf16", [False, True])
@pytest.mark.parametrize("batch", [33, 400])
def test_a_pair_that_is_left_out_is_as_if_it_were_not_there(allow_bf16: bool, batch: int) -> None:
    """The second half's items left out of all: the first half's loss, and the second's positives beside it."""
    x, half = table(2 * batch, 16, dtype=F32), batch // 2
    b = torch.arange(batch)
    skip = packed((b >= half).expand(batch, batch))
    settings = {"tau": 0.2, "allow_bf16": allow_bf16}
    _, grad = loss_and_grad(x, b, b + batch, None, skip=skip, **settings)
    _, small = loss_and_grad(x, b[:half], b[:half] + batch, None, **settings)
    tolerance = 2e-2 if allow_bf16 else 1e-5
    error = (grad[:half] * batch - small[:half] * half).norm() / (small[:half] * half).norm()
    assert error < tolerance
    # The others' items are drawn to their users alone, along a line with both.
    pull = grad[batch + half :] * 0.2 * batch
    unit = torch.nn.functional.normalize(x, dim=1)
    u, v = unit[half:batch], unit[batch + half :]
    away = (u - (u * v).sum(1, keepdim=True) * v) / x[batch + half :].norm(dim=1, keepdim=True)
    torch.testing.assert_close(pull, -away, rtol=1e-3, atol=1e-4)


def test_bfloat16_is_used_where_the_machine_has_it() -> None:
    if cpu_capability() not in ("avx512_bf16", "avx512_amx"):
        pytest.skip("this machine's processor lacks products of bfloat16")
    x, b = table(200, dtype=F32), torch.arange(100)
    exact, rounded = (
        loss_and_grad(x, b, b + 100, None, allow_bf16=allow)[1] for allow in (False, True)
    )
    assert not torch.equal(exact, rounded)


def test_softmax_of_low_tau_is_exact_whatever_is_allowed() -> None:
    x, b = table(200, dtype=F32), torch.arange(100)
    settings = {"tau": 0.02}
    for exact, allowed in zip(
        loss_and_grad(x, b, b + 100, None, **settings),
        loss_and_grad(x, b, b + 100, None, allow_bf16=True, **settings),
        strict=True,
    ):
        assert torch.equal(exact, allowed)


# ---- both ----


@each_float
def test_nothing_for_an_empty_batch(dtype: torch.dtype) -> None:
    x, none = table(3, dtype=dtype), ids()
    for loss, grad in (loss_and_grad(x, none, none, none), loss_and_grad(x, none, none, None)):
        assert loss.item() == 0.0
        assert torch.equal(grad, torch.zeros_like(x))


@pytest.mark.parametrize("value", [0.0, 1e-30, 1e-10, 1e10, 1e18])
@each_float
def test_extreme_rows_give_no_nan(value: float, dtype: torch.dtype) -> None:
    x = table(6, dtype=dtype)
    x[[0, 3]] = value
    u, p, n = ids(0, 1, 2), ids(3, 4, 5), ids(4, 3, 0)
    for negatives in (n, None):
        loss, grad = loss_and_grad(x, u, p, negatives)
        assert loss.isfinite() and grad.isfinite().all()


def test_a_row_of_zeros_gets_no_softmax_gradient() -> None:
    x = table(6)
    x[0] = 0.0
    _, grad = loss_and_grad(x, ids(0, 1, 2), ids(3, 4, 5), None)
    assert not grad[0].any() and grad[1:].any()


def test_backward_scales_with_the_gradient_of_the_loss() -> None:
    x = table(4).requires_grad_()
    u, p, n = ids(0, 1), ids(2, 3), ids(3, 2)
    once = gradient(x, bpr_loss(x, u, p, n))
    torch.testing.assert_close(gradient(x, -3 * bpr_loss(x, u, p, n)), -3 * once)
    both = gradient(x, bpr_loss(x, u, p, n) + in_batch_softmax_loss(x, u, p))
    torch.testing.assert_close(both, once + gradient(x, in_batch_softmax_loss(x, u, p)))
