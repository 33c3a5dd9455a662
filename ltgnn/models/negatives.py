"""Hard negatives: of candidates that a user lacks, those that the model itself scores high."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from ltgnn.ops import mix_seed, pair_scores
from ltgnn.ops.elementwise import log

# Node embeddings as a weighted sum of tables [num_nodes, dim] that are there already.
WeightedTables: TypeAlias = Sequence[tuple[float, Tensor]]


def candidate_scores(
    tables: WeightedTables, users: Tensor, candidates: Tensor, num_users: int
) -> Tensor:
    """Inner products of users and their candidates, without a row for all nodes.

    Args:
        tables: weights and [num_nodes, dim] tables, float32 or bfloat16, users first; their sum is what is scored.
        users: [batch], int64.
        candidates: [batch, n], int64, item numbers.
        num_users: where items begin.

    Returns:
        [batch, n], float32. The same bits for any number of threads.

    Complexity: O(batch n dim) for each table.

    Example:
        >>> import torch
        >>> table = torch.tensor([[2.0], [1.0], [3.0]])
        >>> candidate_scores([(0.5, table)], torch.tensor([0]), torch.tensor([[1, 0]]), num_users=1)
        tensor([[1.5000, 0.5000]])
    """
    queries = _weighted_sum([(weight, table[users]) for weight, table in tables])
    if len(tables) > 1 and candidates.numel() >= len(tables[0][1]) - num_users:
        # More candidates than items: summing up all items reads less than gathering from each table.
        items = _weighted_sum([(weight, table[num_users:]) for weight, table in tables])
        return pair_scores(queries, items, candidates.contiguous())
    scores = torch.zeros(candidates.shape, device=candidates.device)
    for weight, table in tables:
        if table.dtype == torch.float32:
            found = pair_scores(queries, table[num_users:], candidates.contiguous())
        else:
            distinct, place = torch.unique(candidates, return_inverse=True)
            found = pair_scores(queries, table[distinct + num_users].float(), place.contiguous())
        scores = scores + weight * found
    return scores


def _weighted_sum(parts: WeightedTables) -> Tensor:
    weight, table = parts[0]
    total = weight * table.float()
    for weight, table in parts[1:]:
        total += weight * table.float()  # in two roundings, at every place of the vector
    return total


def choose_negatives(
    candidates: Tensor,
    scores: Tensor,
    *,
    kind: Literal["dns", "softmax"],
    hardest: int = 1,
    rho: float = 1.0,
    seed: int,
) -> Tensor:
    """One of each group of candidates, by its score.

    'dns': one of the `hardest` with the highest scores, each equally likely: dynamic negative sampling (Zhang et
    al., SIGIR 2013), DNS(M, N) of Shi et al., WWW 2023. 'softmax': each with probability softmax(score / rho), by
    the Gumbel-max trick; softmax-based sampling of the same paper, with the candidates as its pool.

    Args:
        candidates: [..., n], int64.
        scores: [..., n], float.
        kind: 'dns' or 'softmax'.
        hardest: M, at most n.
        rho: temperature.
        seed: any int.

    Returns:
        [...], int64. Of equal scores the first counts as the highest.

    Example:
        >>> import torch
        >>> items, scores = torch.tensor([[7, 8, 9]]), torch.tensor([[0.1, 0.9, 0.5]])
        >>> choose_negatives(items, scores, kind="dns", seed=0)
        tensor([8])
    """
    generator = torch.Generator().manual_seed(mix_seed(seed, 0x6E))
    if kind == "softmax":
        noise = torch.rand(scores.shape, generator=generator, dtype=torch.float64)
        gumbel = -log(-log(noise)).to(scores.device)
        place = (scores.double() / rho + gumbel).argmax(-1, keepdim=True)
    elif hardest == 1:
        place = scores.argmax(-1, keepdim=True)
    else:
        order = scores.sort(dim=-1, descending=True, stable=True)[1]
        rank = torch.randint(hardest, (*scores.shape[:-1], 1), generator=generator)
        place = order.gather(-1, rank.to(order.device))
    return candidates.gather(-1, place).squeeze(-1)


def mixing_shares(shape: Sequence[int], most: float, seed: int, device: torch.device) -> Tensor:
    """Shares of the positive, uniform in [0, most), float64, a function of the seed.

    Example:
        >>> import torch
        >>> bool((mixing_shares((2, 3), 0.5, 1, torch.device("cpu")) < 0.5).all())
        True
    """
    generator = torch.Generator().manual_seed(mix_seed(seed, 0x3A))
    return (most * torch.rand(*shape, generator=generator, dtype=torch.float64)).to(device)
