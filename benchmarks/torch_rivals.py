"""What one would write in plain torch: draws of neighbours, Adam on some rows, LTGNN's step with BPR."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, softplus

from ltgnn.models import LTGNN, Batch


def draw_with_replacement(begin: Tensor, degree: Tensor, indices: Tensor, fanout: int) -> Tensor:
    """[rows, fanout], int64: uniform neighbours of rows with these first edges and degrees; -1 for none."""
    draws = torch.rand(len(begin), fanout, device=begin.device)
    place = (draws * degree[:, None]).long().clamp_(max=degree.max() - 1)
    edge = (begin[:, None] + place).clamp_(max=len(indices) - 1)
    return torch.where(degree[:, None] > 0, indices[edge].long(), -1)


def adam_rows(
    param: Tensor,
    m: Tensor,
    v: Tensor,
    grad: Tensor,
    rows: Tensor,
    *,
    step: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> Tensor:
    """Lazy Adam on distinct rows, in place; what is stored in bfloat16 is rounded to the nearest.

    Returns:
        [rows, dim]: how far the rows of param have moved.
    """
    first = m.index_select(0, rows).to(grad.dtype).lerp_(grad, 1 - beta1)
    second = (
        v.index_select(0, rows).to(grad.dtype).mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    )
    m.index_copy_(0, rows, first.to(m.dtype))
    v.index_copy_(0, rows, second.to(v.dtype))
    scale = second.div_(1 - beta2**step).sqrt_().add_(eps)
    change = first.div_(scale).mul_(-lr / (1 - beta1**step))
    old = param.index_select(0, rows)
    new = (old + change).to(param.dtype)
    param.index_copy_(0, rows, new)
    return new.to(grad.dtype) - old


class TorchStep:
    """The step of `ltgnn_bpr_step_` on the tables of a model, without any operator of ltgnn.

    Neighbours are added up by `embedding_bag`, the loss is differentiated by autograd, and only touched rows are
    read and written. By default they are drawn with replacement, which is less work than without.

    Args:
        model: trained in place, but for its step counter.
        draw: from distinct rows and the number of steps done, the neighbours [rows, fanout], -1 for none.
    """

    def __init__(self, model: LTGNN, draw: Callable[[Tensor, int], Tensor] | None = None) -> None:
        self.model, self.steps = model, 0
        self.draw = draw or self._draw
        csr = model.graph.csr(
            dtype=torch.float32, self_loops=model.config.self_loops, normalized=True
        )
        assert csr.row_scale is not None
        self.indptr, self.indices, self.scale = csr.indptr, csr.indices, csr.row_scale

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        """Learn from one batch; its mean loss."""
        assert batch.negatives is not None
        model, c = self.model, self.model.config
        offset = model.graph.num_users
        rows, positions, counts = torch.unique(
            torch.cat([batch.users, batch.items + offset, batch.negatives + offset]),
            return_inverse=True, return_counts=True,
        )  # fmt: skip
        nodes, weights = self._weighted(rows, self.draw(rows, self.steps))
        own = model.e0.index_select(0, rows).float()
        sums = self._sums(model.delta, nodes, weights)
        z = (
            (sums + model.history_sum.index_select(0, rows))
            .mul_(1 - c.alpha)
            .add_(own, alpha=c.alpha)
        )
        if model.z is not None:
            stored = z.to(model.z.dtype)
            moved = stored.float() - model.z.index_select(0, rows)
            self._add(model.delta, rows, moved)
            model.z.index_copy_(0, rows, stored)
        loss, grad = self._bpr(z.sub_(own, alpha=c.c0).div_(1 - c.c0), positions.view(3, -1))
        self.steps += 1
        d = grad / (1 - c.c0)
        implicit = c.alpha * d
        if model.g is not None:
            implicit.add_(self._sums(model.g, nodes, weights), alpha=1 - c.alpha)
            model.g.index_copy_(0, rows, implicit.to(model.g.dtype))
        l2 = counts.to(own.dtype) * (c.l2 / len(batch.users))
        implicit.sub_(d, alpha=c.c0).addcmul_(own, l2[:, None])
        change = adam_rows(
            model.e0.data, model.adam_m, model.adam_v, implicit, rows, step=self.steps, lr=c.lr
        )
        if model.z is None:
            self._add(model.delta, rows, change)
        return loss

    def _draw(self, rows: Tensor, _steps: int) -> Tensor:
        begin = self.indptr[rows]
        degree = self.indptr[rows + 1] - begin
        return draw_with_replacement(begin, degree, self.indices, self.model.config.fanout)

    def _weighted(self, rows: Tensor, neighbors: Tensor) -> tuple[Tensor, Tensor]:
        """What each row adds up, and what each of it counts for: unbiased estimates of rows of A."""
        taken = neighbors >= 0
        degree = self.indptr[rows + 1] - self.indptr[rows]
        own = self.scale[rows]
        factor = degree / taken.sum(1).clamp(min=1) * own
        nodes = neighbors.clamp(min=0)
        weights = taken * factor[:, None] * self.scale[nodes]
        if self.model.config.self_loops:
            nodes = torch.cat([nodes, rows[:, None]], 1)
            weights = torch.cat([weights, (own * own)[:, None]], 1)
        return nodes, weights

    @staticmethod
    def _sums(table: Tensor, nodes: Tensor, weights: Tensor) -> Tensor:
        weights = weights.to(table.dtype)
        return embedding_bag(nodes, table, mode="sum", per_sample_weights=weights).float()

    @staticmethod
    def _bpr(out: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of triples of rows of `out`, and its gradient."""
        leaf = out.requires_grad_()
        with torch.enable_grad():
            user, item, negative = (leaf.index_select(0, place) for place in positions)
            loss = softplus((user * negative).sum(1) - (user * item).sum(1)).mean()
        (grad,) = torch.autograd.grad(loss, leaf)
        return loss.detach(), grad

    @staticmethod
    def _add(table: Tensor, rows: Tensor, change: Tensor) -> None:
        """Rows are distinct, so what is read can be written back."""
        table.index_copy_(0, rows, (table.index_select(0, rows) + change).to(table.dtype))
