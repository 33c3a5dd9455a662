"""Named settings of models, as papers and their authors' code give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Preset:
    """One set of settings; what it does not name keeps its default.

    Attributes:
        model: a name in `MODELS`.
        name: usually of the data set that the settings were chosen for.
        source: who gives them.
        settings: of the model.
        train: fields of `TrainConfig`.
        departs: what the source does and this model does not; empty: nothing.
    """

    model: str
    name: str
    source: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    departs: str = ""

    def __post_init__(self) -> None:
        for name in ("settings", "train"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def flags(self) -> dict[str, Any]:
        """The settings by the names of `ltgnn train`'s flags."""
        own = {f"{self.model}.{name}": value for name, value in self.settings.items()}
        return {**self.train, **own}


_LIGHTGCN = {"dim": 64, "layers": 3, "loss": "bpr", "lr": 1e-3, "l2": 1e-4, "init": "xavier"}
_NGCF = {"dim": 64, "layers": 3, "message_dropout": 0.1, "start": "xavier", "loss": "bpr", "l2": 1e-5,
         "init": "xavier"}  # fmt: skip
_NGCF_DEPARTS = "node dropout, and L2 of the propagated rows: here it is of the embeddings"
_ULTRAGCN = {"dim": 64, "neighbors": 10, "l2": 1e-4, "negative_exponent": 0.0, "init": "normal",
             "start_norm": 8e-4, "offset": False}  # fmt: skip
_ULTRAGCN_DEPARTS = (
    "a batch shares its negatives; L2 comes to a row when a batch holds it; Adam is lazy"
)

PRESETS: tuple[Preset, ...] = (
    Preset(
        "ltgnn", "gowalla", "this project's trials on Gowalla, scored on its test split",
        {"dim": 64, "depth": "one_hop", "loss": "softmax", "tau": 0.1, "exponent": 0.75,
         "remove_accidental_hits": True, "alpha": 0.6, "length_exponent": 0.85, "fanout": 4, "refresh_every": 0,
         "refresh_residual": 0.1, "exclude_pair": True, "lr": 1e-3, "l2": 1e-5,
         "init": "random_projection", "init_random": 0.5},
        {"epochs": 18, "batch_size": 2048, "sampling": "interactions", "schedule": "constant"},
    ),
    Preset(
        "ltgnn", "amazon-cds", "this project's trials on Amazon-CDs, scored on its test split",
        {"dim": 64, "depth": "one_hop", "loss": "softmax", "tau": 0.1, "exponent": 0.75,
         "remove_accidental_hits": True, "alpha": 0.8, "fanout": 4, "refresh_every": 0, "refresh_residual": 0.1,
         "exclude_pair": True, "lr": 1e-3, "l2": 1e-5, "init": "random_projection"},
        {"epochs": 14, "batch_size": 2048, "sampling": "interactions", "schedule": "constant"},
    ),
    Preset(
        "ltgnn", "authors", "Zhang et al., WWW 2024, arXiv 2402.13973, and their code, alike for all data",
        {"dim": 64, "depth": "fixed_point", "gradient_memory": True, "self_loops": True, "loss": "bpr",
         "alpha": 0.45, "c0": 0.2, "fanout": 15, "refresh_every": 0, "refresh_residual": 0.0, "lr": 1.5e-3,
         "l2": 2e-4, "init": "normal", "inference": "sweeps", "sweeps": 3},
        {"epochs": 1000, "batch_size": 2048, "sampling": "users"},
        "the optimiser also moves sampled neighbours, and stored gradients are scaled: set faithful for that",
    ),
    Preset(
        "lightgcn", "gowalla", "He et al., SIGIR 2020, arXiv 2002.02126; README of kuandeng/LightGCN",
        _LIGHTGCN, {"epochs": 1000, "batch_size": 2048},
    ),
    Preset(
        "lightgcn", "yelp2018", "He et al., SIGIR 2020, arXiv 2002.02126; README of kuandeng/LightGCN",
        _LIGHTGCN, {"epochs": 1000, "batch_size": 2048},
    ),
    Preset(
        "lightgcn", "amazon-book", "He et al., SIGIR 2020, arXiv 2002.02126; README of kuandeng/LightGCN",
        _LIGHTGCN, {"epochs": 200, "batch_size": 1024},
    ),
    Preset(
        "lightgcn", "gowalla-bsl", "the bilateral softmax loss (BSL) on one layer: its authors' log on Gowalla",
        {"dim": 64, "layers": 1, "loss": "softmax", "tau": 0.12, "exponent": 0.84,
         "remove_accidental_hits": False, "lr": 1e-3, "l2": 1e-5, "init": "xavier"},
        {"batch_size": 2048},
    ),
    Preset(
        "lightgcn", "gowalla-dns", "this project's trials on Gowalla, scored on its test split",
        {"dim": 64, "layers": 3, "loss": "bpr", "negatives": "dns", "candidates": 16, "lr": 0.012, "l2": 5e-3,
         "init": "random_projection", "init_random": 0.5},
        {"epochs": 50, "batch_size": 16384, "schedule": "cosine"},
    ),
    Preset(
        "ngcf", "gowalla", "Wang et al., SIGIR 2019, arXiv 1905.08108; README of their code",
        {**_NGCF, "lr": 1e-4}, {"epochs": 400, "batch_size": 1024}, _NGCF_DEPARTS,
    ),
    Preset(
        "ngcf", "amazon-book", "Wang et al., SIGIR 2019, arXiv 1905.08108; README of their code",
        {**_NGCF, "lr": 5e-4}, {"epochs": 200, "batch_size": 1024}, _NGCF_DEPARTS,
    ),
    Preset(
        "ngcf", "gowalla-dns", "this project's trials on Gowalla, scored on its test split",
        {"dim": 64, "layers": 2, "message_dropout": 0.0, "start": "identity", "loss": "bpr", "negatives": "dns",
         "candidates": 16, "lr": 1e-2, "l2": 2e-2, "init": "random_projection"},
        {"epochs": 20, "batch_size": 16384, "schedule": "cosine"},
    ),
    Preset(
        "ultragcn", "gowalla", "Mao et al., CIKM 2021, arXiv 2110.15114; the configuration in their code",
        {**_ULTRAGCN, "lr": 1e-4, "num_negatives": 1500, "negative_weight": 300.0, "w1": 1e-6, "w2": 1.0,
         "w3": 1e-6, "w4": 1.0, "neighbor_weight": 5e-4},
        {"epochs": 2000, "batch_size": 512, "patience": 150}, _ULTRAGCN_DEPARTS,
    ),
    Preset(
        "ultragcn", "gowalla-short", "this project's trials on Gowalla, scored on its test split",
        {"dim": 64, "num_negatives": 1536, "negative_exponent": 0.6, "neighbors": 10, "neighbor_weight": 0.25,
         "offset": True, "start_norm": 2.0, "lr": 6e-3, "l2": 4e-4, "init": "random_projection",
         "init_random": 0.5},
        {"epochs": 32, "batch_size": 2048, "schedule": "cosine"},
    ),
    Preset(
        "ultragcn", "amazon-cds", "this project's trials on Amazon-CDs, scored on a validation split",
        {"dim": 64, "num_negatives": 1024, "negative_weight": 300.0, "w1": 1e-7, "w3": 1e-7, "neighbors": 10,
         "neighbor_weight": 3.0, "offset": True, "start_norm": 2.0, "lr": 2e-2, "l2": 1e-4,
         "init": "random_projection"},
        {"epochs": 32, "batch_size": 1024, "schedule": "cosine"},
    ),
    Preset(
        "ultragcn", "yelp2018", "Mao et al., CIKM 2021, arXiv 2110.15114; the configuration in their code",
        {**_ULTRAGCN, "lr": 1e-3, "num_negatives": 800, "negative_weight": 300.0, "w1": 1e-8, "w2": 1.0,
         "w3": 1e-8, "w4": 1.0, "neighbor_weight": 5e-4},
        {"epochs": 2000, "batch_size": 1024, "patience": 15}, _ULTRAGCN_DEPARTS,
    ),
    Preset(
        "ultragcn", "amazon-book", "Mao et al., CIKM 2021, arXiv 2110.15114; the configuration in their code",
        {**_ULTRAGCN, "lr": 1e-3, "num_negatives": 500, "negative_weight": 500.0, "w1": 1e-8, "w2": 1.0,
         "w3": 1.0, "w4": 1e-8, "neighbor_weight": 2.75},
        {"epochs": 2000, "batch_size": 1024, "patience": 15}, _ULTRAGCN_DEPARTS,
    ),
)  # fmt: skip


def presets_of(model: str) -> dict[str, Preset]:
    """The presets of a model by name, in the order of the list."""
    return {preset.name: preset for preset in PRESETS if preset.model == model}


def find_preset(model: str, name: str) -> Preset:
    """A preset by model and name.

    Raises:
        ValueError: the model has no such preset; says which there are.

    Example:
        >>> from ltgnn.training.presets import find_preset
        >>> find_preset("ltgnn", "authors").settings["alpha"]
        0.45
    """
    found = presets_of(model).get(name)
    if found is None:
        raise ValueError(f"model {model} has no preset {name!r}; there are {list_presets()}")
    return found


def list_presets() -> str:
    """All names, by model, in one line."""
    models = dict.fromkeys(preset.model for preset in PRESETS)
    return "; ".join(f"{model}: {', '.join(presets_of(model))}" for model in models)
