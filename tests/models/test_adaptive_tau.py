"""Temperatures for each user and log-Q in the models: state, formulas, gradient."""

from __future__ import annotations

import math

import pytest
import torch
from models.contract import checkerboard, train
from models.dense import left_out, random_graph
from ops.test_corrected_softmax import written_out

from ltgnn.models import create
from ltgnn.models.adaptive_tau import AdaptiveTau
from ltgnn.training.samplers import PairSampler


def taus(num_users: int = 6, tau: float = 0.1, beta: float = 0.7) -> AdaptiveTau:
    return AdaptiveTau(num_users, tau=tau, beta=beta, device=torch.device("cpu"))


def hardness_of(taus: AdaptiveTau) -> torch.Tensor:
    """What W was applied to: with w = log(tau_u / tau), w e^w."""
    w = (taus.user_tau.double() / taus.tau).log()
    return w * w.exp()


def test_the_losses_are_those_at_temperature_one():
    random = torch.Generator().manual_seed(0)
    out = torch.randn(30, 5, generator=random, dtype=torch.float64)
    places, items = torch.arange(10), torch.arange(10, 20)
    users = torch.tensor([0, 1, 1, 2, 2, 2, 4, 4, 5, 0])
    subject = taus()
    subject.record(out, places, items, users)
    unit = torch.nn.functional.normalize(out, dim=1)
    cosines = unit[places] @ unit[items].T
    others = cosines.masked_fill(torch.eye(10) > 0, -torch.inf).logsumexp(1)
    want = torch.zeros(6, dtype=torch.float64).index_add(0, users, others - cosines.diagonal())
    torch.testing.assert_close(subject.loss_sum, want)
    assert subject.loss_count.tolist() == [2, 2, 3, 0, 2, 1]


def test_a_large_batch_is_compared_with_a_part_of_it():
    random = torch.Generator().manual_seed(0)
    out = torch.randn(1000, 16, generator=random, dtype=torch.float64)
    ids = torch.arange(500)
    subject = taus(500)
    subject.record(out, ids, ids + 500, ids)
    unit = torch.nn.functional.normalize(out, dim=1)
    cosines = unit[:500] @ unit[500:].T
    others = cosines.masked_fill(torch.eye(500) > 0, -torch.inf).logsumexp(1)
    error = subject.loss_sum - (others - cosines.diagonal())
    assert error.abs().max() < 0.1 and abs(error.mean()) < 0.02  # deviation .25 / sqrt(128)


def test_temperatures_solve_lamberts_equation():
    subject = taus()
    subject.loss_sum.copy_(torch.tensor([2.0, 2.2, 9.0, 0.0, 3.0, 0.1]))
    subject.loss_count.copy_(torch.tensor([2.0, 2.0, 3.0, 0.0, 2.0, 1.0]))
    mean = torch.tensor([1.0, 1.1, 3.0, 1.5, 0.1], dtype=torch.float64)
    subject.update()
    seen = torch.tensor([0, 1, 2, 4, 5])
    want = ((mean - mean.mean()) / 0.7).clamp(min=-1 / math.e)
    torch.testing.assert_close(hardness_of(subject)[seen], want, rtol=1e-4, atol=1e-5)
    assert subject.user_tau[3] == torch.tensor(0.1)  # not seen
    # The easiest users have the lowest temperature there is.
    assert subject.user_tau[5].item() == pytest.approx(0.1 / math.e, rel=1e-4)
    assert not subject.loss_sum.any() and not subject.loss_count.any()


def test_without_a_record_all_have_the_set_temperature():
    subject = taus()
    subject.update()
    assert torch.equal(subject.user_tau, torch.full((6,), 0.1))
    one = torch.tensor([0])
    subject.record(torch.ones(2, 3), one, one, one)  # nothing to compare with
    assert not subject.loss_count.any()


def test_training_moves_temperatures_from_the_second_epoch_on():
    one, two = (train("mf", checkerboard(), epochs=n, adaptive_tau=True) for n in (1, 2))
    assert len(one.adaptive_tau.user_tau.unique()) == 1
    assert len(two.adaptive_tau.user_tau.unique()) > 10
    assert one.adaptive_tau.loss_count.sum() == one.graph.num_edges


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("log_q", [False, True])
@pytest.mark.parametrize("name", ["mf", "lightgcn"])
def test_a_step_has_the_exact_gradient(name, adaptive, log_q):
    graph = random_graph()
    settings = {"layers": 0} if name == "lightgcn" else {}
    model = create(name, graph, dim=8, adaptive_tau=adaptive, log_q=log_q, l2=0.0,
                   allow_bf16=False, **settings)  # fmt: skip
    batch = PairSampler(
        graph, batch_size=40, negatives=0, sampling="interactions", seed=1, log_q=log_q
    ).batch(1, 0)
    user_tau = None
    if adaptive:
        model.adaptive_tau.user_tau.copy_(torch.linspace(0.05, 0.5, graph.num_users))
        user_tau = model.adaptive_tau.user_tau.double()[batch.users]
    e0 = model.e0.double().clone().requires_grad_()
    value = written_out(
        e0, batch.users, batch.items + graph.num_users, tau=model.config.tau, user_tau=user_tau,
        log_q=batch.log_q if log_q else None, exponent=model.config.exponent,
        left_out=left_out(graph, batch.users, batch.items),
    )  # fmt: skip
    value.backward()
    step = model.training_step(batch)
    torch.testing.assert_close(step, value.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.adam_m.double(), 0.1 * e0.grad, rtol=1e-3, atol=1e-5)
