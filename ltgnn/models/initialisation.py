"""First values of the embeddings."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph, TableStorage
from ltgnn.models.memory_need import RunSizes
from ltgnn.models.model_config import WARM_STARTS, ModelConfig
from ltgnn.ops import low_rank_approximation, mix_seed, random_projection
from ltgnn.ops.elementwise import total
from ltgnn.ops.range_finder import OVERSAMPLING
from ltgnn.ops.row_blocks import row_blocks

FACTORISING = 8 << 20  # bytes: the library for dense factorisations, and its buffers

LEAST_VALUE = 1e-3  # of a singular value, the largest being 1: what is below may be rounding


def initialise(
    e0: Tensor,
    graph: BipartiteGraph,
    config: ModelConfig,
    seed: int,
    storage: TableStorage | None = None,
) -> None:
    """Fill the embeddings, in place.

    'xavier' and 'normal' are random numbers, the same ones for every device and storage. The warm starts 'svd' and
    'random_projection' come from the graph: they take the place of a part of Xavier's, and have their root mean
    square on either side.
    """
    generator = torch.Generator().manual_seed(seed)
    in_place = e0.device.type == "cpu" and e0.dtype == torch.float32
    rows = e0 if in_place else torch.empty(e0.shape, dtype=torch.float32)
    if config.init == "normal":
        rows.normal_(0.0, 0.1, generator=generator)
    else:
        # Users and items are two tables, each with its own Xavier bound (Glorot and Bengio, 2010).
        for part in (rows[: graph.num_users], rows[graph.num_users :]):
            bound = (6.0 / max(1, part.shape[0] + config.dim)) ** 0.5
            part.uniform_(-bound, bound, generator=generator)
    if config.init in WARM_STARTS:
        # Seeded apart: else the projection's signs would be those of Xavier's numbers.
        features = warm_start(graph, config.init, config.dim, mix_seed(seed, 2), storage)
        known = graph.degrees > 0
        for side in (slice(0, graph.num_users), slice(graph.num_users, None)):
            found, rows_found = features[side].to(rows.device), known[side, None].to(rows.device)
            _mix(rows[side], found, rows_found, config.init_random)
    if rows is not e0:
        e0.copy_(rows)


def warm_start(
    graph: BipartiteGraph, kind: str, dim: int, seed: int, storage: TableStorage | None = None
) -> Tensor:
    """[num_nodes, up to dim] float32, of any scale, on the graph's device: features that the graph alone gives.

    'svd': `(U; V) S^1/2`, the leading singular vectors of the normalised biadjacency, up to its rank.
    'random_projection': FastRP's, see `ltgnn.ops.random_projection`.
    """
    # Another graph of the same tensors: what is kept beside it goes with it.
    graph = BipartiteGraph(graph.num_users, graph.num_items, graph.indptr, graph.indices)
    if kind == "random_projection":
        place = storage or TableStorage()
        return random_projection(
            graph, dim, seed=seed,
            empty=lambda: place.empty(graph.num_nodes, dim, device=graph.device),
        )  # fmt: skip
    low_rank = low_rank_approximation(graph, dim, seed=seed)
    values = low_rank.values
    rank = int((values > LEAST_VALUE).sum())
    return torch.cat([low_rank.left[:, :rank], low_rank.right[:, :rank]]) * values[:rank].sqrt()


def warm_start_bytes(config: ModelConfig, sizes: RunSizes) -> int:
    """The most that a warm start takes beside the embeddings; 0 for other starts."""
    if config.init == "random_projection":
        return 3 * 4 * sizes.num_nodes * config.dim
    if config.init != "svd":
        return 0
    width = min(config.dim + OVERSAMPLING, sizes.num_users, sizes.num_items)
    most = max(width * (sizes.num_users + 3 * sizes.num_items), 3 * sizes.num_nodes * config.dim)
    return 4 * most + 4 * sizes.num_edges + FACTORISING


def _mix(part: Tensor, found: Tensor, known: Tensor, share: float) -> None:
    """Random rows of one side become `sqrt(share)` of themselves and as much of what was found as keeps their size.

    Columns and rows for which nothing was found stay as they are.
    """
    columns = part[:, : found.shape[1]]
    random, size = _squares(columns, known), _squares(found, known)
    if not size:
        return
    for rows in row_blocks(len(part)):
        mixed = (share**0.5) * columns[rows] + ((1.0 - share) * random / size) ** 0.5 * found[rows]
        columns[rows] = torch.where(known[rows], mixed, columns[rows])


def _squares(table: Tensor, known: Tensor) -> float:
    """The sum of the squares of the known rows."""
    sums = torch.zeros(len(table), dtype=torch.float64, device=table.device)
    for rows in row_blocks(len(table)):
        sums[rows] = (table[rows] * known[rows]).square().sum(dim=1).double()
    return float(total(sums))
