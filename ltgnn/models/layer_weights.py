"""Weighted sums of propagation's layers, `sum_k w_k A^k E0`, and their gradients for E0 and the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph
from ltgnn.ops.elementwise import total
from ltgnn.ops.propagate import propagate
from ltgnn.ops.row_blocks import row_blocks

KINDS = ("mean", "ppr")


def layer_weights(kind: str, layers: int, alpha: float) -> list[float]:
    """Weights of layers 0 to L: equal ones, or personalised PageRank's, which also sum to 1.

    Those are `alpha (1 - alpha)^k`, and `(1 - alpha)^L` for the last: what L steps of
    `z = (1 - alpha) A z + alpha E0` from E0 give (Gasteiger et al., ICLR 2019).

    Example:
        >>> layer_weights("mean", 3, 0.5)
        [0.25, 0.25, 0.25, 0.25]
        >>> layer_weights("ppr", 2, 0.5)
        [0.5, 0.25, 0.25]
    """
    if kind == "mean":
        return [1.0 / (layers + 1)] * (layers + 1)
    return [alpha * (1 - alpha) ** k for k in range(layers)] + [(1 - alpha) ** layers]


def weighted_layers(graph: BipartiteGraph, x: Tensor, weights: Sequence[float]) -> Tensor:
    """`sum_k w_k A^k x` for x [num_nodes, dim], in two buffers: O(L num_edges dim).

    x itself where there is only layer 0, of weight 1.
    """
    # Horner's scheme, w_0 x + A (w_1 x + A (w_2 x + ...)), each step over the sum s of its weights: then it is
    # propagate's own (1 - w / s) A y + (w / s) x, and nothing else passes over a table.
    if not weights[-1] or not all(0 <= weight < math.inf for weight in weights):
        return _plain_sum(graph, x, weights)  # learned ones may be: such a step is no mean
    result, spare, so_far = x, None, weights[-1]
    for weight in reversed(weights[:-1]):
        so_far += weight
        target = torch.empty_like(x) if spare is None else spare
        propagate(graph, result, x0=x, alpha=weight / so_far, out=target)
        spare = None if result is x else result
        result = target
    return result if abs(so_far - 1.0) <= 1e-6 else result * so_far


def _plain_sum(graph: BipartiteGraph, x: Tensor, weights: Sequence[float]) -> Tensor:
    """The same for weights of any sign."""
    result, spare = x * weights[-1], None
    for weight in reversed(weights[:-1]):
        spare = torch.empty_like(x) if spare is None else spare
        propagate(graph, result, out=spare)
        spare.add_(x, alpha=weight)
        result, spare = spare, result
    return result


def weighted_layers_grads(
    graph: BipartiteGraph, grad: Tensor, x: Tensor, weights: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Gradients of `weighted_layers` for x and the weights.

    A is symmetric: the gradient for x is `sum_k w_k A^k grad`; that for w_k, `<grad, A^k x>`, is `<A^k grad, x>`.
    So both come from L propagations of `grad`, and no layer of x is kept.

    Args:
        grad: [num_nodes, dim], for the weighted sum.
        x, weights: as they were.

    Returns:
        (gradient for x [num_nodes, dim], for the weights [L + 1] in float64); the same bits for any number of
        threads.
    """
    layer, spare = grad, None
    result = grad * weights[0]
    products = [inner_product(grad, x)]
    for weight in weights[1:]:
        target = torch.empty_like(grad) if spare is None else spare
        propagate(graph, layer, out=target)
        spare = None if layer is grad else layer
        layer = target
        result.add_(layer, alpha=weight)
        products.append(inner_product(layer, x))
    return result, torch.stack(products)


def inner_product(a: Tensor, b: Tensor) -> Tensor:
    """`sum_ij a_ij b_ij` of two tables [rows, dim], scalar float64: row by row, then down the rows in order.

    Example:
        >>> inner_product(torch.ones(2, 3), torch.ones(2, 3))
        tensor(6., dtype=torch.float64)
    """
    sums = torch.empty(len(a), dtype=torch.float64, device=a.device)
    for rows in row_blocks(len(a)):
        sums[rows] = (a[rows].double() * b[rows].double()).sum(dim=1)
    return total(sums)
