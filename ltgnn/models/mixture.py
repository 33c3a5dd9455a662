"""Several models' scores as one ranking."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph
from ltgnn.models.base import Recommender

BLOCK_USERS = 128


class ScoreMix:
    """The weighted sum of several models' scores, each standardised for each user.

    A model's scores for a user are divided by their standard deviation over all items, so that a weight means the
    same for every model and user; their mean is left, since it moves no rank. A mix scores in blocks, as a model
    without embeddings does; embeddings are computed once, when the mix is made.

    Args:
        models: trained, over the same graph.
        weights: one for each.

    Raises:
        ValueError: numbers of models and weights differ or are 0, or the graphs differ.

    Complexity: what the models' scores cost, and three passes over them.

    Example:
        >>> import ltgnn, torch
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0, 0, 1], [0, 1, 1])
        >>> models = [ltgnn.models.create(name, graph, dim=2) for name in ("mf", "chebycf")]
        >>> models[1].fit()
        >>> ScoreMix(models, [1.0, 0.5]).score_block(torch.tensor([1])).shape
        torch.Size([1, 2])
    """

    has_embeddings = False

    def __init__(self, models: Sequence[Recommender], weights: Sequence[float]) -> None:
        if not models or len(models) != len(weights):
            raise ValueError(
                f"mix: models and weights must be equally many, at least one, got {len(models)} and {len(weights)}"
            )
        self.graph = models[0].graph
        for model in models[1:]:
            if not _same_graph(self.graph, model.graph):
                raise ValueError(
                    f"mix: models must have the same training graph, got {self.graph} and {model.graph}"
                    " (with other edges where the sizes agree)"
                )
        self.name = "+".join(model.name for model in models)
        self.models = list(models)
        self.weights = [float(weight) for weight in weights]
        self._embeddings = [
            model.embeddings() if model.has_embeddings else None for model in models
        ]

    @property
    def block_users(self) -> int:
        """How many users `score_block` takes at once without waste."""
        return min(BLOCK_USERS, *(model.block_users for model in self.models))

    @torch.no_grad()
    def score_block(self, users: Tensor) -> Tensor:
        """[len(users), num_items] float32: the mixed scores of some users, int64 from 0.

        Raises:
            IndexError: there is no such user.
            RuntimeError: a model is still to be fitted.
        """
        users = self.models[0]._check_users(users)
        width = self.block_users
        if len(users) > width:
            return torch.cat([self.score_block(part) for part in users.split(width)])
        if not len(users):
            return torch.zeros(0, self.graph.num_items, device=self.graph.device)
        # Always a whole block: a product's rounding may depend on its shape.
        parts = self.parts(torch.cat([users, users[-1:].expand(width - len(users))]))
        total = parts[0] * self.weights[0]
        for part, weight in zip(parts[1:], self.weights[1:], strict=True):
            total.add_(part, alpha=weight)
        return total[: len(users)]

    @torch.no_grad()
    def parts(self, users: Tensor) -> list[Tensor]:
        """[len(users), num_items] of each model: its standardised scores, before they are weighed."""
        result = []
        for model, tables in zip(self.models, self._embeddings, strict=True):
            if tables is None:
                scores = model.score_block(users)
            else:
                scores = tables[0][users.to(tables[0].device)] @ tables[1].T
            spread = scores.std(dim=1, correction=0, keepdim=True)
            # Of equal scores nothing is to be said: they add nothing.
            result.append(scores.mul_(torch.where(spread > 0, 1.0 / spread, 0.0)))
        return result


def _same_graph(left: BipartiteGraph, right: BipartiteGraph) -> bool:
    """Whether two graphs have the same nodes and edges."""
    if left is right:
        return True
    sizes = (left.num_users, left.num_items) == (right.num_users, right.num_items)
    return (
        sizes
        and torch.equal(left.indptr.cpu(), right.indptr.cpu())
        and torch.equal(left.indices.cpu(), right.indices.cpu())
    )
