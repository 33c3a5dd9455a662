"""Operators: tensors in, tensors out; no state. Each is in the file of its name."""

from ltgnn.ops.accidental_hits import accidental_hits
from ltgnn.ops.adam import adam_
from ltgnn.ops.corrected_softmax import corrected_softmax_loss_and_grad
from ltgnn.ops.csr import (
    Csr,
    GraphLike,
    SlackRows,
    SupportsBiadjacency,
    SupportsCsr,
    SupportsSlackRows,
)
from ltgnn.ops.epoch_pairs import epoch_pairs
from ltgnn.ops.fixed_point import push_residual_, solve_fixed_point, y_to_z, z_to_y
from ltgnn.ops.importance_starts import importance_starts
from ltgnn.ops.incremental_update import IncrementalResult, incremental_update
from ltgnn.ops.labor_sample import LayerSample, labor_sample
from ltgnn.ops.losses import bpr_loss, in_batch_softmax_loss, loss_and_grad
from ltgnn.ops.low_rank import LowRank
from ltgnn.ops.ltgnn_bpr_step import ltgnn_bpr_step_
from ltgnn.ops.ltgnn_step import LtgnnTables, ltgnn_forward_, ltgnn_update_
from ltgnn.ops.negative_sample import negative_sample
from ltgnn.ops.neyman_fanout import MAX_FANOUT, neyman_fanout
from ltgnn.ops.pair_scores import pair_scores
from ltgnn.ops.propagate import propagate
from ltgnn.ops.random_projection import project, random_projection, sparse_projection
from ltgnn.ops.range_finder import low_rank_approximation, low_rank_error_bound
from ltgnn.ops.release_memory import release_memory
from ltgnn.ops.sample_aggregate import sample_aggregate, sample_neighbors
from ltgnn.ops.sampled_losses import SAMPLED_LOSSES, sampled_loss_and_grad
from ltgnn.ops.seeds import mix_seed
from ltgnn.ops.topk import topk
from ltgnn.ops.topk_scores import topk_scores_
from ltgnn.ops.weighted_softplus import weighted_softplus_

__all__ = [
    "MAX_FANOUT",
    "SAMPLED_LOSSES",
    "Csr",
    "GraphLike",
    "IncrementalResult",
    "LayerSample",
    "LowRank",
    "LtgnnTables",
    "SlackRows",
    "SupportsBiadjacency",
    "SupportsCsr",
    "SupportsSlackRows",
    "accidental_hits",
    "adam_",
    "bpr_loss",
    "corrected_softmax_loss_and_grad",
    "epoch_pairs",
    "importance_starts",
    "in_batch_softmax_loss",
    "incremental_update",
    "labor_sample",
    "loss_and_grad",
    "low_rank_approximation",
    "low_rank_error_bound",
    "ltgnn_bpr_step_",
    "ltgnn_forward_",
    "ltgnn_update_",
    "mix_seed",
    "negative_sample",
    "neyman_fanout",
    "pair_scores",
    "project",
    "propagate",
    "push_residual_",
    "random_projection",
    "release_memory",
    "sample_aggregate",
    "sample_neighbors",
    "sampled_loss_and_grad",
    "solve_fixed_point",
    "sparse_projection",
    "topk",
    "topk_scores_",
    "weighted_softplus_",
    "y_to_z",
    "z_to_y",
]
