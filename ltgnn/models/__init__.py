"""Models: parameters and memory over one graph, behind one interface."""

from ltgnn.models.base import Batch, ModelConfig, Recommender, TableCounts
from ltgnn.models.captured_step import CapturedStep
from ltgnn.models.lightgcn import LightGCN, LightGCNConfig
from ltgnn.models.ltgnn import LTGNN
from ltgnn.models.ltgnn_config import LTGNNConfig
from ltgnn.models.mf import MF
from ltgnn.models.registry import MODELS, create

__all__ = [
    "LTGNN",
    "MF",
    "MODELS",
    "Batch",
    "CapturedStep",
    "LTGNNConfig",
    "LightGCN",
    "LightGCNConfig",
    "ModelConfig",
    "Recommender",
    "TableCounts",
    "create",
]
