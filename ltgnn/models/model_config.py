"""Settings that all models share: embeddings, loss, negatives."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from ltgnn.ops import SAMPLED_LOSSES

WARM_STARTS = ("svd", "random_projection")
DEFAULT_NEGATIVES = {"bpr": 1, "bce": 4, "ccl": 64}


@dataclass(frozen=True)
class ModelConfig:
    """Settings that all models share.

    Attributes:
        dim: width of an embedding.
        loss: 'softmax' (in-batch softmax on cosines), or one with sampled negatives: 'bpr' (pairwise), 'bce'
            (binary cross-entropy) or 'ccl' (cosine contrastive, SimpleX).
        tau: temperature of the softmax loss.
        exponent: weight of its logarithm (1: plain; else the bilateral form).
        allow_bf16: let that loss round its factors to bfloat16 where the machine multiplies those faster.
        log_q: subtract from each logit of the softmax the logarithm of how often its item is in a batch.
        remove_accidental_hits: leave items that the user is known to like out of the softmax loss, where they would
            be negatives. No other loss does that: their negatives never are such items.
        adaptive_tau: give each user a temperature of its own in the softmax, from its loss in the epoch before
            (Adap-tau).
        adaptive_beta: how much that loss has to differ from the mean to matter.
        negatives: what 'bpr', 'bce' and 'ccl' compare a positive with, always items that the user lacks: 'uniform';
            'popularity' (in proportion to degree^0.75); 'dns' (of candidates drawn uniformly, one of those that the
            model scores highest); 'softmax' (one of the candidates, with probability softmax(score / rho)).
        num_negatives: for each positive; 0: 1 for 'bpr', 4 for 'bce', 64 for 'ccl'.
        candidates: of 'dns' and 'softmax', for each negative: the N of DNS(M, N).
        hardest: of 'dns', from how many of the highest scored candidates one is drawn: the M of DNS(M, N).
        rho: temperature of 'softmax' negatives.
        positive_mixing: mix each negative with its positive, whose share is drawn uniformly up to this (MixGCF: 1;
            for 'bpr' and 'ccl': in 'bce' what is mixed in pulls the positive down).
        negative_weight: weight of the mean over the negatives in 'bce' and 'ccl'; 0: num_negatives in 'bce', where
            each then counts as much as the positive, and 2 in 'ccl'.
        margin: of 'ccl': the cosine up to which a negative is left alone.
        lr: Adam's learning rate.
        l2: weight of the L2 term `l2 / 2 * |e0_r|^2 / batch` of each occurrence of a row in a batch; all negatives
            of a positive count as one.
        init: 'xavier' (uniform), 'normal' (standard deviation 0.1), or a warm start of the size of 'xavier': 'svd'
            (leading singular vectors of the normalised adjacency) or 'random_projection' (FastRP).
        init_random: of a warm start, the share of its squared size that is random.
        length_exponent: how much an item's length counts in its score: 1 for the inner product, 0 for none. Popular
            items grow long: below 1 they come up less often.

    Raises:
        ValueError: a setting is out of range; the message names it, what is accepted, and what came.
    """

    dim: int = 64
    loss: Literal["softmax", "bpr", "bce", "ccl"] = "softmax"
    tau: float = 0.1
    exponent: float = 0.75
    allow_bf16: bool = True
    log_q: bool = False
    remove_accidental_hits: bool = True
    adaptive_tau: bool = False
    adaptive_beta: float = 1.0
    negatives: Literal["uniform", "popularity", "dns", "softmax"] = "uniform"
    num_negatives: int = 0
    candidates: int = 32
    hardest: int = 1
    rho: float = 1.0
    positive_mixing: float = 0.0
    negative_weight: float = 0.0
    margin: float = 0.4
    lr: float = 1e-3
    l2: float = 1e-5
    init: Literal["xavier", "normal", "svd", "random_projection"] = "xavier"
    init_random: float = 0.0
    length_exponent: float = 1.0

    # Those that the model can be trained with.
    losses: ClassVar[tuple[str, ...]] = ("softmax", *SAMPLED_LOSSES)

    least_dim: ClassVar[int] = 1

    def __post_init__(self) -> None:
        self._require("dim", self.dim >= self.least_dim, f"at least {self.least_dim}")
        self._require("loss", self.loss in self.losses, " or ".join(map(repr, self.losses)))
        self._require("tau", self.tau > 0, "positive")
        self._require("lr", self.lr >= 0, "not negative")
        self._require("length_exponent", self.length_exponent >= 0, "not negative")
        self._require("l2", self.l2 >= 0, "not negative")
        starts = ("xavier", "normal", *WARM_STARTS)
        self._require("init", self.init in starts, " or ".join(map(repr, starts)))
        self._require("init_random", 0 <= self.init_random <= 1, "in [0, 1]")
        in_batch = self.loss == "softmax"
        for name in ("log_q", "adaptive_tau"):
            self._require(name, in_batch or not getattr(self, name), "off unless loss is 'softmax'")
        self._require("adaptive_beta", self.adaptive_beta > 0, "positive")
        kinds = ("uniform", "popularity", "dns", "softmax")
        self._require("negatives", self.negatives in kinds, " or ".join(map(repr, kinds)))
        sampled = self.loss in SAMPLED_LOSSES
        self._require(
            "negatives",
            sampled or self.negatives == "uniform",
            f"'uniform' unless loss is one of {', '.join(SAMPLED_LOSSES)}",
        )
        self._require("num_negatives", self.num_negatives >= 0, "not negative")
        self._require("candidates", self.candidates >= 1, "at least 1")
        self._require(
            "hardest",
            1 <= self.hardest <= self.candidates,
            f"in [1, {self.candidates}], candidates",
        )
        self._require("rho", self.rho > 0, "positive")
        self._require(
            "positive_mixing",
            self.positive_mixing == 0 or (sampled and 0 < self.positive_mixing <= 1),
            f"in [0, 1], and 0 unless loss is one of {', '.join(SAMPLED_LOSSES)}",
        )
        self._require("negative_weight", self.negative_weight >= 0, "not negative")
        self._require("margin", -1 <= self.margin <= 1, "in [-1, 1]")

    def _require(self, name: str, condition: bool, expected: str) -> None:
        if not condition:
            raise ValueError(f"{name} must be {expected}, got {getattr(self, name)!r}")

    @property
    def samples_negatives(self) -> bool:
        """Whether the loss compares each positive with negatives of its own."""
        return self.loss in SAMPLED_LOSSES

    @property
    def scores_candidates(self) -> bool:
        """Whether negatives are chosen by the model's own scores."""
        return self.samples_negatives and self.negatives in ("dns", "softmax")

    @property
    def negatives_per_pair(self) -> int:
        """How many negatives a positive is compared with; 0 where the loss samples none."""
        if not self.samples_negatives:
            return 0
        return self.num_negatives or DEFAULT_NEGATIVES[self.loss]

    @property
    def draws_per_pair(self) -> int:
        """How many items a batch must bring along for each positive: negatives, or candidates for them."""
        return self.negatives_per_pair * (self.candidates if self.scores_candidates else 1)

    @property
    def weight_of_negatives(self) -> float:
        """`negative_weight`, or what 0 stands for."""
        default = 2.0 if self.loss == "ccl" else float(self.negatives_per_pair)
        return self.negative_weight or default


def config_from_dict(config_type: type[ModelConfig], values: dict[str, Any]) -> ModelConfig:
    """A config from plain values; ValueError names settings that do not exist."""
    known = {field.name for field in fields(config_type)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(
            f"{config_type.__name__} has no setting {', '.join(unknown)}; it has {', '.join(sorted(known))}"
        )
    return config_type(**values)
