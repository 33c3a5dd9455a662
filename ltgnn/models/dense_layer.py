"""Dense layers whose gradients have the same bits for any number of threads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ltgnn.ops.dense import one_thread

ROWS_OF_A_SUM = 512  # libraries add longer sums up in as many pieces as there are threads


def dense_layer(bias: Tensor | None, *factors: Tensor) -> Tensor:
    """`bias + x_1 W_1 + x_2 W_2 + ...`, differentiable in all of it.

    Args:
        bias: [1, columns], or None.
        factors: x_1 [rows, dim], W_1 [dim, columns], x_2, W_2, ...; dim is an embedding's, a few hundred at most.

    Returns:
        [rows, columns].

    Example:
        >>> dense_layer(torch.ones(1, 1), torch.eye(2), torch.tensor([[1.0], [2.0]]))
        tensor([[2.],
                [3.]])
    """
    result: Tensor = _DenseLayer.apply(bias, *factors)  # type: ignore[no-untyped-call]
    return result


def product_of_columns(x: Tensor, y: Tensor) -> Tensor:
    """`x' y` for x [rows, n] and y [rows, m], both long: [n, m], in sums of 512 rows.

    Example:
        >>> product_of_columns(torch.ones(1000, 1), torch.ones(1000, 1))
        tensor([[1000.]])
    """
    if 1 in (x.shape[1], y.shape[1]):  # with a vector libraries cut shorter sums, too
        with one_thread():
            return x.T @ y
    whole = len(x) // ROWS_OF_A_SUM * ROWS_OF_A_SUM
    rest = x[whole:].T @ y[whole:]
    if not whole:
        return rest
    blocks = [part[:whole].view(-1, ROWS_OF_A_SUM, part.shape[1]) for part in (x, y)]
    return torch.bmm(blocks[0].transpose(1, 2), blocks[1]).sum(0) + rest


class _DenseLayer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, bias: Tensor | None, *factors: Tensor) -> Tensor:
        ctx.save_for_backward(*factors)
        out = factors[0] @ factors[1] if bias is None else torch.addmm(bias, *factors[:2])
        for x, weight in zip(factors[2::2], factors[3::2], strict=True):
            out.addmm_(x, weight)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        factors, needed = ctx.saved_tensors, ctx.needs_input_grad
        with one_thread():  # of one column torch sums in as many pieces as there are threads
            grads: list[Tensor | None] = [grad.sum(0, keepdim=True) if needed[0] else None]
        for k in range(0, len(factors), 2):
            x, weight = factors[k], factors[k + 1]
            grads.append(grad @ weight.T if needed[k + 1] else None)
            grads.append(
                product_of_columns(x.contiguous(), grad.contiguous()) if needed[k + 2] else None
            )
        return tuple(grads)
