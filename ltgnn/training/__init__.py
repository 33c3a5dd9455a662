"""Training: samplers, the loop, checkpoints, and whole experiments."""

from ltgnn.training.checkpoint import Checkpoint, CheckpointError, CheckpointWarning
from ltgnn.training.config import TrainConfig
from ltgnn.training.samplers import PairSampler
from ltgnn.training.trainer import History, Trainer, TrainingError

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "CheckpointWarning",
    "History",
    "PairSampler",
    "TrainConfig",
    "Trainer",
    "TrainingError",
]
