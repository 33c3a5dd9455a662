"""Operators: tensors in, tensors out; no state. Each is in the file of its name."""

from ltgnn.ops.adam import adam_
from ltgnn.ops.csr import Csr, GraphLike, SupportsCsr
from ltgnn.ops.losses import bpr_loss, in_batch_softmax_loss, loss_and_grad
from ltgnn.ops.ltgnn_bpr_step import ltgnn_bpr_step_
from ltgnn.ops.ltgnn_step import LtgnnTables, ltgnn_forward_, ltgnn_update_
from ltgnn.ops.negative_sample import negative_sample
from ltgnn.ops.propagate import propagate
from ltgnn.ops.sample_aggregate import sample_aggregate, sample_neighbors
from ltgnn.ops.seeds import mix_seed
from ltgnn.ops.topk import topk

__all__ = [
    "Csr",
    "GraphLike",
    "LtgnnTables",
    "SupportsCsr",
    "adam_",
    "bpr_loss",
    "in_batch_softmax_loss",
    "loss_and_grad",
    "ltgnn_bpr_step_",
    "ltgnn_forward_",
    "ltgnn_update_",
    "mix_seed",
    "negative_sample",
    "propagate",
    "sample_aggregate",
    "sample_neighbors",
    "topk",
]
