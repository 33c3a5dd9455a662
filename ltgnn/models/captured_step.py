"""LTGNN's training step with BPR as a CUDA graph: captured once, replayed for every batch."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn.models.base import Batch
from ltgnn.models.ltgnn import LTGNN


class CapturedStep:
    """`LTGNN.fused_step` without the cost of launching its kernels one by one.

    The first batch runs by itself, so that everything is loaded; from the second on, batches are copied to where
    the graph reads them, and the graph is replayed. It is captured again where the learning rate or the memory of a
    table has changed. Batches of another size than `batch_size`, and all batches on the CPU, run by themselves: the
    same results, to the bit.

    The memory is made exact by `refresh_every` alone: `refresh_residual` would have to look at what a replay left.

    A fault that a replay meets (a user or an item that is none) makes its loss NaN, and is raised by the next
    operator that is called by itself.

    Args:
        model: trained in place; with BPR of one unmixed negative, without c1, c2 and faithful.
        batch_size: pairs in a batch.
        seed: with the model's step counter it decides which neighbours are drawn; a batch's own seed is not used,
            since a graph holds its numbers for good; but negatives are chosen among candidates by it.

    Raises:
        ValueError: the model's step is not the fused one, or batch_size is not positive.

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0, 1], [0, 1])
        >>> model = ltgnn.models.create("ltgnn", graph, dim=8, loss="bpr")
        >>> step = ltgnn.models.CapturedStep(model, batch_size=2, seed=0)
        >>> users, items, negatives = torch.tensor([[0, 1], [0, 1], [1, 0]])
        >>> loss = step(ltgnn.models.Batch(users, items, negatives, seed=0))
        >>> model.step.item()
        1
    """

    def __init__(self, model: LTGNN, batch_size: int, *, seed: int) -> None:
        if not model.has_fused_step:
            raise ValueError(
                "CapturedStep: the model must have loss 'bpr' with one negative that is not mixed, "
                "c1 = c2 = 0 and faithful False"
            )
        if batch_size < 1:
            raise ValueError(f"CapturedStep: batch_size must be at least 1, got {batch_size}")
        self.model = model
        self.batch_size = batch_size
        self.seed = seed
        # The model's counter, known without asking the device, and the version of the tensor that it holds for.
        self._steps = self._version = -1
        self._is_warm = False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._captured_for: tuple[float, tuple[int, ...]] | None = None
        self._inputs: tuple[Tensor, Tensor, Tensor] | None = None
        self._loss: Tensor | None = None

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        """Learn from one batch.

        Returns:
            Mean loss, scalar float64; a replay writes it anew, so read or copy it before the next call.

        Raises:
            ValueError: the batch has no negatives.
        """
        if batch.negatives is None:
            raise ValueError("CapturedStep: the batch must have negatives")
        model, config = self.model, self.model.config
        lr = config.lr * batch.learning_rate_factor
        if config.refresh_every:
            if self._version != model.step._version:  # somebody else has written it
                self._steps = int(model.step)
            if self._steps % config.refresh_every == 0:
                model.refresh()
        negatives = model.choose_negatives(batch).negatives
        assert negatives is not None
        loss = self._run(batch.users, batch.items, negatives, lr)
        self._steps += 1
        self._version = model.step._version
        return loss

    def _run(self, users: Tensor, items: Tensor, negatives: Tensor, lr: float) -> Tensor:
        model = self.model
        offset = model.graph.num_users
        replayable = model.e0.is_cuda and len(users) == self.batch_size
        if not replayable or not self._is_warm:
            self._is_warm |= replayable
            return model.fused_step(
                users, items + offset, negatives + offset, seed=self.seed, lr=lr
            )
        if self._inputs is None or self._inputs[0].device != model.e0.device:
            self._inputs = torch.empty_like(users), torch.empty_like(users), torch.empty_like(users)
            self._graph = None
        self._inputs[0].copy_(users)
        torch.add(items, offset, out=self._inputs[1])
        torch.add(negatives, offset, out=self._inputs[2])
        wanted = (lr, self._addresses())
        if self._graph is None or self._captured_for != wanted:
            self._capture(lr)
            self._captured_for = wanted
        assert self._graph is not None and self._loss is not None
        self._graph.replay()
        return self._loss

    def _capture(self, lr: float) -> None:
        assert self._inputs is not None
        self._graph, self._loss = None, None  # the old one's memory may be used again
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):  # nothing runs in here: it is recorded
            self._loss = self.model.fused_step(*self._inputs, seed=self.seed, lr=lr)
        self._graph = graph

    def _addresses(self) -> tuple[int, ...]:
        """Where the tables are: a graph goes on using the memory that it was captured with."""
        state = self.model.state_dict(keep_vars=True).values()
        return tuple(tensor.data_ptr() for tensor in (*state, self.model.graph.indptr))
