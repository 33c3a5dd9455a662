"""The one list of models."""

from __future__ import annotations

from typing import Any

from ltgnn.graph import BipartiteGraph, TableStorage
from ltgnn.models.base import ModelConfig, Recommender, config_from_dict
from ltgnn.models.chebycf import ChebyCF
from ltgnn.models.gcn import GCN
from ltgnn.models.graphsage import GraphSAGE
from ltgnn.models.lightgcn import LightGCN
from ltgnn.models.ltgnn import LTGNN
from ltgnn.models.ltgnn_multiscale import LTGNNMultiScale
from ltgnn.models.mf import MF
from ltgnn.models.ngcf import NGCF
from ltgnn.models.ultragcn import UltraGCN

MODELS: dict[str, type[Recommender]] = {
    model.name: model
    for model in (LTGNN, LTGNNMultiScale, LightGCN, MF, NGCF, UltraGCN, GCN, GraphSAGE, ChebyCF)
}


def create(
    name: str,
    graph: BipartiteGraph,
    *,
    seed: int = 0,
    config: ModelConfig | None = None,
    storage: TableStorage | None = None,
    **settings: Any,
) -> Recommender:
    """Make a model by name.

    Args:
        name: a key of `MODELS`.
        graph: the training graph.
        seed: of the initial embeddings.
        config: a whole config of the model's type, or
        settings: single settings by name; the rest take their defaults.
        storage: where the model's tables are put; None: memory.

    Raises:
        ValueError: no such model or setting, or a setting is out of range.
        TypeError: config is of another model's type, or given together with settings.

    Example:
        >>> import ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0, 0, 1], [0, 1, 1])
        >>> model = ltgnn.models.create("ltgnn", graph, dim=8, alpha=0.5)
        >>> [tuple(part.shape) for part in model.embeddings()]
        [(2, 8), (2, 8)]
    """
    if name not in MODELS:
        raise ValueError(f"no model named {name!r}; there are {', '.join(sorted(MODELS))}")
    model = MODELS[name]
    if config is not None and settings:
        raise TypeError("give either config or single settings, not both")
    if config is None:
        config = config_from_dict(model.config_type, settings)
    return model(graph, config, seed=seed, storage=storage)
