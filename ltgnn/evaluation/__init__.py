"""Offline evaluation of rankings: metrics per user and exact sums over users and ranks."""

from ltgnn.evaluation.evaluator import evaluate, evaluate_score_sums, evaluate_sums
from ltgnn.evaluation.metrics import METRICS
from ltgnn.evaluation.sums import EvaluationSums

__all__ = ["METRICS", "EvaluationSums", "evaluate", "evaluate_score_sums", "evaluate_sums"]
