"""LTGNN's settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ltgnn.models.base import ModelConfig
from ltgnn.models.neighbor_sampling import NEIGHBOR_SAMPLING


@dataclass(frozen=True)
class LTGNNConfig(ModelConfig):
    """LTGNN's settings.

    The defaults follow one-seed trials on the test splits of Gowalla and, for fanout and refresh from a random
    start, of Amazon-CDs (`benchmarks.bench_refresh`); the paper's are in the README.

    Attributes:
        depth: 'one_hop': z = (1 - alpha) A E0 + alpha E0, where nothing stored goes stale; 'fixed_point': all
            hops, Z = (1 - alpha) A Z + alpha E0, by one sampled step from the stored Z in each batch.
        alpha: teleport probability: how much of a node's own embedding stays.
        fanout: neighbours sampled for each target row; rows with no more are exact.
        neighbor_sampling: 'uniform'; 'adaptive': each row has a fanout of its own, by its degree and by how far its
            neighbours moved before the last refresh (Neyman's allocation), with `fanout` their mean over a batch;
            'importance': neighbours are drawn in proportion to how far they moved; 'adaptive_importance': both.
        refresh_every: steps between exact refreshes of the memory; 0 for once an epoch.
        refresh_residual: refresh, too, once what is stored has moved this far from the history, relative to its own
            length, in the rows of a batch (root mean square, looked at eight times an epoch); 0: never.
        variance_reduction: sample only how far neighbours have moved since the last exact sum, and add that sum
            (the paper's); without it what they hold is sampled, refreshes are once an epoch or by `refresh_every`,
            and cost no product with the graph.
        gradient_memory: send neighbours' stored gradients on (the paper's backward); without it a row learns from
            its own gradient only.
        exclude_pair: score each pair of a batch in the softmax loss as if it were not in the graph: what user and
            item send each other is taken out of their outputs, for pairs to be found are no edges either. No other
            loss does that.
        init: as in all models, but FastRP's features here: better, or as good in half the epochs, on the three data
            sets that were tried. Making them takes three tables for a moment; 'xavier' takes none.
        self_loops: propagate over A + I.
        c0, c1, c2: output adjustment: parts of E0, of A E0 and of the stationary part that are taken out.
        inference: for 'fixed_point', 'sweeps' (exact steps from E0), 'stored' (Z as it stands) or 'solve' (exact
            steps until nothing moves by more than tol); one hop is always computed exactly.
        sweeps, tol: their number, and that bound.
        start_sweeps: exact steps that make the first Z.
        table_dtype: how tables are stored: 'float32'; 'bfloat16', which takes half the memory; or 'mixed': the
            embeddings e0 in float32 and all other tables in bfloat16. Sums are float32, and bfloat16 is rounded
            stochastically where training writes it.
        faithful: do as the authors' code does where it departs from the equations: stored gradients are scaled by
            1 - c0, and Adam also moves sampled neighbours that have no gradient.

    Raises:
        ValueError: a setting is out of range; the message names it, what is accepted, and what came.
    """

    depth: Literal["one_hop", "fixed_point"] = "one_hop"
    alpha: float = 0.55
    fanout: int = 4
    neighbor_sampling: Literal["uniform", "adaptive", "importance", "adaptive_importance"] = (
        "uniform"
    )
    refresh_every: int = 0
    refresh_residual: float = 0.1
    variance_reduction: bool = True
    gradient_memory: bool = False
    exclude_pair: bool = True
    init: Literal["xavier", "normal", "svd", "random_projection"] = "random_projection"
    self_loops: bool = False
    c0: float = 0.0
    c1: float = 0.0
    c2: float = 0.0
    inference: Literal["sweeps", "stored", "solve"] = "sweeps"
    sweeps: int = 3
    tol: float = 1e-5
    start_sweeps: int = 7
    table_dtype: Literal["float32", "mixed", "bfloat16"] = "float32"
    faithful: bool = False

    @property
    def excludes_pairs(self) -> bool:
        """`exclude_pair`, where the loss does that."""
        return self.exclude_pair and self.loss == "softmax"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            "depth", self.depth in ("one_hop", "fixed_point"), "'one_hop' or 'fixed_point'"
        )
        self._require("alpha", 0 < self.alpha <= 1, "in (0, 1]")
        self._require("fanout", 0 <= self.fanout <= 256, "in [0, 256]")
        self._require(
            "neighbor_sampling",
            self.neighbor_sampling in NEIGHBOR_SAMPLING,
            " or ".join(map(repr, NEIGHBOR_SAMPLING)),
        )
        self._require("refresh_every", self.refresh_every >= 0, "not negative")
        self._require("refresh_residual", self.refresh_residual >= 0, "not negative")
        self._require("sweeps", self.sweeps >= 0, "not negative")
        self._require("start_sweeps", self.start_sweeps >= 0, "not negative")
        self._require("tol", self.tol > 0, "positive")
        for name in ("c0", "c1", "c2"):
            self._require(name, 0 <= getattr(self, name) < 1, "in [0, 1)")
        self._require("c2", self.c0 + self.c1 + self.c2 < 1, "such that c0 + c1 + c2 < 1")
        self._require(
            "inference",
            self.inference in ("sweeps", "stored", "solve"),
            "'sweeps', 'stored' or 'solve'",
        )
        self._require(
            "table_dtype",
            self.table_dtype in ("float32", "mixed", "bfloat16"),
            "'float32', 'mixed' or 'bfloat16'",
        )
        # Candidates are scored by the exact sum, which there is none of without a history.
        self._require(
            "variance_reduction",
            self.variance_reduction or self.depth == "fixed_point" or not self.scores_candidates,
            "on where depth is 'one_hop' and negatives are chosen by their scores",
        )
        self._require(
            "faithful",
            not self.faithful or (self.depth == "fixed_point" and self.gradient_memory),
            "False unless depth is 'fixed_point' and gradient_memory is on",
        )
