"""ChebyCF: a training-free spectral filter (Kim et al., SIGIR 2025): Chebyshev plateau and ideal pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph, TableStorage
from ltgnn.models.base import ModelConfig
from ltgnn.models.memory_need import MemoryNeed, RunSizes
from ltgnn.models.spectral import Series, plateau_response, shortest_series
from ltgnn.models.training_free import TrainingFree, block_width
from ltgnn.ops import propagate
from ltgnn.ops.csr import Csr
from ltgnn.ops.dense import one_thread
from ltgnn.ops.range_finder import OVERSAMPLING, Sides, leading_vectors, num_steps

FACTORISING = 8 << 20  # bytes: the library for dense factorisations, and its buffers
LEAST_EDGE = 0.05  # of the interval on which a series replaces the filter


@dataclass(frozen=True)
class ChebyCFConfig(ModelConfig):
    """ChebyCF's settings, those that its authors chose for Gowalla; what is about gradients has no meaning here.

    Attributes:
        dim: rank of the ideal pass (eta in the paper): singular vectors that are kept. 0 is no ideal pass.
        degree: of the Chebyshev interpolation (K).
        flatness: exponent of the plateau (phi); larger is flatter in the middle.
        ideal_weight: weight of the ideal pass (alpha).
        degree_power: power of the items' degrees that divides a user's row before the filter and multiplies its
            result (beta).
        tol: largest error of the filter's response, which lies in [0, 1], outside the kept vectors; 0: exact.

    Raises:
        ValueError: a setting is out of range; the message names it, what is accepted, and what came.
    """

    dim: int = 512
    loss: Literal["none"] = "none"  # type: ignore[assignment]
    degree: int = 8
    flatness: float = 1.5
    ideal_weight: float = 0.2
    degree_power: float = 0.4
    tol: float = 0.005

    losses: ClassVar[tuple[str, ...]] = ("none",)
    least_dim: ClassVar[int] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("degree", self.degree >= 1, "at least 1")
        self._require("flatness", self.flatness > 0, "positive")
        for name in ("ideal_weight", "tol"):
            self._require(name, getattr(self, name) >= 0, "not negative")


class ChebyCF(TrainingFree):
    """User rows of R, filtered on the item-item graph: `r_u D^-beta (h(P) + alpha V V') D^beta`.

    `P = R~' R~` with `R~ = D_u^-1/2 R D_i^-1/2`, D the items' degrees, h a Chebyshev series shaped as a plateau,
    V [num_items, dim] the leading right singular vectors of R~ with squared singular values s. The paper applies h
    by `degree` products with P. Since V is at hand, h is applied to its span exactly, and to the rest, where
    eigenvalues lie below s_dim, by the shortest series q that is within `tol` of h there:
    `h(P) = V (h(s) - q(s)) V' + q(P)`; the factor of V takes in the ideal pass.

    Fitting costs O(num_edges dim + num_items dim^2); scoring a user O(m num_edges + num_items dim), m the degree of
    q (on Gowalla 2 instead of 8).
    """

    name: ClassVar[str] = "chebycf"
    config_type: ClassVar[type[ModelConfig]] = ChebyCFConfig
    config: ChebyCFConfig
    vectors: Tensor
    values: Tensor

    def __init__(
        self,
        graph: BipartiteGraph,
        config: ChebyCFConfig,
        *,
        seed: int = 0,
        storage: TableStorage | None = None,
    ) -> None:
        super().__init__(graph, config, seed=seed, storage=storage)
        rank = min(config.dim, graph.num_users, graph.num_items)
        table = self.storage.zeros(graph.num_items, rank, device=graph.device)
        self.register_buffer("vectors", table)
        values = torch.zeros(rank, dtype=torch.float64, device=graph.device)
        self.register_buffer("values", values)
        self._sides: Sides | None = None
        self._powers: tuple[Tensor, Tensor] | None = None

    def _apply(self, fn: object, recurse: bool = True) -> ChebyCF:
        super()._apply(fn, recurse)
        self._sides = self._powers = None
        return self

    @classmethod
    def memory_need(cls, config: ChebyCFConfig, sizes: RunSizes) -> MemoryNeed:
        """See the base class: V; fitting, the basis, its image on both sides and a factorisation; a block.

        Item numbers lie beside either.
        """
        num_users, num_items = sizes.num_users, sizes.num_items
        rank = min(config.dim, num_users, num_items)
        width = min(rank + OVERSAMPLING, num_users, num_items) if rank else 0
        block = block_width(num_users, num_items)
        return MemoryNeed(
            kept=4 * num_items * rank,
            training=4 * width * (num_users + 3 * num_items) + 4 * sizes.num_edges + FACTORISING,
            inference=4 * block * (num_users + 5 * num_items) + 4 * sizes.num_edges,
        )

    @property
    def sides(self) -> Sides:
        """R~ both ways."""
        if self._sides is None:
            self._sides = Sides.of(self.graph)
        return self._sides

    @property
    def powers(self) -> tuple[Tensor, Tensor]:
        """[num_items] float32 each: `D^-beta` and `D^beta`."""
        if self._powers is None:
            degrees = self.graph.degrees[self.graph.num_users :].clamp(min=1).to(torch.float32)
            beta = self.config.degree_power
            with one_thread():  # a power's last bit depends on where threads divide the vector
                self._powers = degrees.pow(-beta), degrees.pow(beta)
        return self._powers

    def series(self) -> Series:
        """q: the part of the filter that is done by propagation."""
        c = self.config
        response = plateau_response(c.degree, c.flatness)
        if not len(self.values):
            return shortest_series(response, 1.0, c.degree, c.tol)
        # The estimate of s_dim errs low, a little. A short interval brings nothing and costs precision: the series
        # is also applied to the kept vectors, far beyond the edge, before they are corrected.
        edge = min(1.0, max(1.1 * float(self.values[-1]), LEAST_EDGE))
        return shortest_series(response, edge, c.degree, c.tol)

    @property
    def fit_steps(self) -> int:
        """See the base class."""
        return num_steps() if len(self.values) else 0

    @torch.no_grad()
    def _fit(self, on_step: Callable[[], object] | None) -> None:
        vectors, values = leading_vectors(
            self.sides, len(self.values), seed=self.seed, on_step=on_step
        )
        self.vectors.copy_(vectors)
        self.values.copy_(values)

    @torch.no_grad()
    def _score(self, users: Tensor) -> Tensor:
        c, graph = self.config, self.graph
        before, after = self.powers
        picked = graph.user_rows(users)
        indptr, indices = torch.from_numpy(picked.indptr), torch.from_numpy(picked.indices)
        rows = Csr(
            indptr.to(graph.device, torch.int64), indices.to(graph.device), graph.num_items, None,
            None, before,
        )  # fmt: skip
        series = self.series()
        result = self._propagate(_columns(rows, before), series)
        if len(self.values):
            response = plateau_response(c.degree, c.flatness)
            s = self.values.cpu().numpy()
            factor = torch.from_numpy(response(s) - series(s) + c.ideal_weight).to(self.vectors)
            inner = propagate(rows, self.vectors) * factor
            result.addmm_(self.vectors, inner.T)
        scores = torch.empty(len(users), graph.num_items, device=graph.device)
        return torch.mul(result.T, after, out=scores)

    def _propagate(self, x: Tensor, series: Series) -> Tensor:
        """`q(P) x` for x [num_items, block], by Clenshaw's recurrence: a product with P for each degree."""
        coefficients, gain = series.coefficients, 2.0 / series.edge
        following = coefficients[-1] * x
        after = None
        for k in range(len(coefficients) - 2, -1, -1):
            # The argument of the series is `gain P - 1`; the recurrence doubles it in all steps but the last.
            factor = 2.0 if k else 1.0
            current = self.sides.gram(following).mul_(factor * gain)
            current.sub_(following, alpha=factor).add_(x, alpha=coefficients[k])
            if after is not None:
                current.sub_(after)
            following, after = current, following
        return following


def _columns(rows: Csr, scale: Tensor) -> Tensor:
    """Rows as dense columns [num_items, num_rows], times the items' scale [num_items]."""
    columns = torch.arange(rows.num_rows, device=scale.device).repeat_interleave(rows.indptr.diff())
    items = rows.indices.long()
    result = torch.zeros(rows.num_cols, rows.num_rows, device=scale.device)
    result.view(-1)[items * rows.num_rows + columns] = scale[items]
    return result
