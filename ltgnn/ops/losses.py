"""Losses over rows of one table, with their gradients computed in the same native pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ltgnn import _library as _library
from ltgnn.ops.registration import register_autograd, register_fake, require_one_device


def bpr_loss(x: Tensor, users: Tensor, items: Tensor, negatives: Tensor) -> Tensor:
    """Bayesian personalised ranking: mean softplus(<x_u, x_n> - <x_u, x_p>) (Rendle et al., UAI 2009).

    Args:
        x: [num_rows, dim], float32 or float64, contiguous: users' and items' rows.
        users, items, negatives: [batch], int64, row numbers of x.

    Returns:
        Scalar, float64. Differentiable in x.

    Raises:
        ValueError, IndexError: a shape, dtype or row number is wrong.

    Complexity: O(batch * dim). The same bits for any number of threads.

    Example:
        >>> import torch, ltgnn
        >>> x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
        >>> u, p, n = torch.tensor([0]), torch.tensor([1]), torch.tensor([2])
        >>> round(ltgnn.ops.bpr_loss(x, u, p, n).item(), 4)
        0.1269
    """
    result: Tensor = torch.ops.ltgnn.bpr_loss(x, users, items, negatives)[0]
    return result


def in_batch_softmax_loss(
    x: Tensor,
    users: Tensor,
    items: Tensor,
    *,
    tau: float = 0.1,
    exponent: float = 1.0,
    allow_bf16: bool = False,
    skip: Tensor | None = None,
) -> Tensor:
    """Softmax over the items of the batch, on cosines; the positive is not in the denominator.

    `mean_b( -c_bb / tau + exponent * log sum_{j != b} exp(c_bj / tau) )` with `c_bj` the cosine of user b and
    item j: the sampled softmax loss (Wu et al., TOIS 2024), and with exponent != 1 the bilateral softmax loss
    (Wu et al., ICDE 2024). The batch x batch matrix is never held.

    Args:
        x: [num_rows, dim], float32 or float64, contiguous: users' and items' rows.
        users, items: [batch], int64, row numbers of x: pair b is a positive.
        tau: temperature, at least 1e-6.
        exponent: weight of the logarithm.
        allow_bf16: factors of the three matrix products may be rounded to bfloat16, with sums in float32, where
            the machine multiplies those faster: on processors with AMX and AMD's with AVX-512 BF16, for float32 and
            tau >= 1/32. Loss and gradient are then good to about 3 digits. No effect elsewhere.
        skip: [batch, ceil(batch / 32)], int32, bits of pairs: where bit j % 32 of word [b, j // 32] is set, item j
            is not in the denominator of user b; see `accidental_hits`.

    Returns:
        Scalar, float64. Differentiable in x. A row of zeros has cosine 0 and no gradient.

    Raises:
        ValueError, IndexError: a shape, dtype, row number or tau is wrong.

    Complexity: O(batch^2 * dim) operations, O(batch * dim) memory. The same bits for any number of threads.

    Example:
        >>> import torch, ltgnn
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> b = torch.tensor([0, 1])
        >>> round(ltgnn.ops.in_batch_softmax_loss(x, b, b, tau=0.5).item(), 4)
        -2.0
    """
    result: Tensor = torch.ops.ltgnn.in_batch_softmax_loss(
        x, users, items, tau, exponent, allow_bf16, skip
    )[0]
    return result


def loss_and_grad(
    x: Tensor,
    users: Tensor,
    items: Tensor,
    negatives: Tensor | None,
    *,
    tau: float = 0.1,
    exponent: float = 1.0,
    allow_bf16: bool = False,
    skip: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """BPR where `negatives` is given, in-batch softmax where it is None; with dL/dx, past autograd.

    Returns:
        (loss, scalar float64; dL/dx [num_rows, dim]).

    Example:
        >>> import torch, ltgnn
        >>> x = torch.tensor([[1.0], [0.0], [0.0]])
        >>> u, p, n = torch.tensor([0]), torch.tensor([1]), torch.tensor([2])
        >>> ltgnn.ops.loss_and_grad(x, u, p, n)[1].flatten()
        tensor([ 0.0000, -0.5000,  0.5000])
    """
    result: tuple[Tensor, Tensor]
    if negatives is not None:
        result = torch.ops.ltgnn.bpr_loss(x, users, items, negatives)
    else:
        result = torch.ops.ltgnn.in_batch_softmax_loss(
            x, users, items, tau, exponent, allow_bf16, skip
        )
    return result


def _fake(x: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    require_one_device("loss", x, *others)
    return x.new_empty((), dtype=torch.float64), torch.empty_like(x)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1])
    ctx.num_inputs = len(inputs)
    ctx.mark_non_differentiable(output[1])


def _backward(_ops: Any, ctx: Any, grad_loss: Tensor, _grad_of_grad: Any) -> tuple[Any, ...]:
    (grad,) = ctx.saved_tensors
    return grad * grad_loss.to(grad.dtype), *([None] * (ctx.num_inputs - 1))


for _name in ("bpr_loss", "in_batch_softmax_loss"):
    register_fake(_name)(_fake)
    register_autograd(_name, _backward, _setup_context)
