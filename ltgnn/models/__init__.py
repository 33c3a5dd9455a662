"""Models: parameters and memory over one graph, behind one interface."""

from ltgnn.models.base import Batch, ModelConfig, Recommender
from ltgnn.models.captured_step import CapturedStep
from ltgnn.models.chebycf import ChebyCF, ChebyCFConfig
from ltgnn.models.lightgcn import LightGCN, LightGCNConfig
from ltgnn.models.ltgnn import LTGNN
from ltgnn.models.ltgnn_config import LTGNNConfig
from ltgnn.models.memory_need import TableCounts
from ltgnn.models.mf import MF
from ltgnn.models.mixture import ScoreMix
from ltgnn.models.registry import MODELS, create
from ltgnn.models.training_free import TrainingFree

__all__ = [
    "LTGNN",
    "MF",
    "MODELS",
    "Batch",
    "CapturedStep",
    "ChebyCF",
    "ChebyCFConfig",
    "LTGNNConfig",
    "LightGCN",
    "LightGCNConfig",
    "ModelConfig",
    "Recommender",
    "ScoreMix",
    "TableCounts",
    "TrainingFree",
    "create",
]
