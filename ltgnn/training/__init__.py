"""Training: samplers, the loop, checkpoints, and whole experiments."""

from ltgnn.training.checkpoint import Checkpoint, CheckpointError, CheckpointWarning
from ltgnn.training.config import TrainConfig
from ltgnn.training.mean_loss import TrainingError
from ltgnn.training.samplers import PairSampler
from ltgnn.training.trainer import History, Trainer

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
