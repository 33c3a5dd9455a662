"""The fused step of LTGNN: by itself, captured, and on a GPU beside the CPU."""

from __future__ import annotations

import pytest
import torch
from models.contract import SIDE, checkerboard, same_bits, state_of

from ltgnn.models import MODELS, Batch, CapturedStep, create
from ltgnn.ops import mix_seed
from ltgnn.training import PairSampler, TrainConfig, Trainer

VARIANTS = [
    {},
    {"fanout": 3, "refresh_every": 3},
    {"depth": "fixed_point", "gradient_memory": True, "c0": 0.2, "self_loops": True},
]


def make(**settings):
    return create("ltgnn", checkerboard(), dim=16, lr=0.02, loss="bpr", **settings)


def batches(count, size=32, factor=1.0, device="cpu"):
    random = torch.Generator().manual_seed(4)
    for _ in range(count):
        users, items, negatives = (
            torch.randint(SIDE, (size,), generator=random).to(device) for _ in range(3)
        )
        yield Batch(users, items, negatives, seed=0, learning_rate_factor=factor)


@pytest.mark.parametrize("settings", VARIANTS)
def test_fused_step_is_its_three_parts(settings):
    """On the CPU the same bits, given the seed that the counter leads to."""
    fused, plain = make(**settings), make(**settings)
    step = CapturedStep(fused, 32, seed=9)
    for number, batch in enumerate(batches(7)):
        loss = step(batch)
        seeded = Batch(batch.users, batch.items, batch.negatives, mix_seed(9, number))
        if number % (plain.config.refresh_every or 100) == 0:
            plain.refresh()
        assert torch.equal(loss, plain.step_in_parts(seeded))
        assert same_bits(fused.state_dict(), plain.state_dict())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "softmax"}, "must have loss 'bpr'"),
        ({"loss": "bpr", "c1": 0.1}, "c1 = c2 = 0"),
        ({"loss": "bpr", "depth": "fixed_point", "gradient_memory": True, "faithful": True},
         "faithful False"),
    ],
)  # fmt: skip
def test_other_steps_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        CapturedStep(create("ltgnn", checkerboard(), dim=4, **settings), 8, seed=0)


def test_batches_must_have_negatives():
    step, ids = CapturedStep(make(), 8, seed=0), torch.arange(8)
    with pytest.raises(ValueError, match="must have negatives"):
        step(Batch(ids, ids, None, seed=0))


@pytest.mark.cuda
@pytest.mark.parametrize("settings", VARIANTS)
def test_replays_are_the_same_bits_as_single_steps(settings):
    """Full and short batches, two learning rates, and a refresh in between."""
    model, other = make(**settings).to("cuda"), make(**settings).to("cuda")
    captured, single = CapturedStep(model, 32, seed=9), CapturedStep(other, 10**6, seed=9)
    for size, factor in ((32, 1.0), (7, 1.0), (32, 0.5), (32, 1.0)):
        for batch in batches(4, size, factor, "cuda"):
            loss = captured(batch)
            assert torch.equal(loss, single(batch))
        assert same_bits(state_of(model), state_of(other))
        for both in (model, other):
            both.start_epoch(1)


@pytest.mark.cuda
@pytest.mark.parametrize("loss", ["softmax", "bpr"])
@pytest.mark.parametrize("name", MODELS)
def test_a_step_on_a_gpu_is_near_that_on_the_cpu(name, loss):
    """Without sampling, since the fused step draws other neighbours."""
    settings = {"dim": 16, "loss": loss, **({"fanout": 256} if name == "ltgnn" else {})}
    here, there = (create(name, checkerboard(), **settings) for _ in range(2))
    there.to("cuda")
    assert there.graph.device.type == "cuda"
    for mine, other in zip(batches(3), batches(3, device="cuda"), strict=True):
        torch.testing.assert_close(
            there.training_step(other).cpu(), here.training_step(mine), rtol=1e-4, atol=1e-5
        )
    for key, value in here.state_dict().items():
        torch.testing.assert_close(there.state_dict()[key].cpu(), value, rtol=2e-2, atol=1e-3)


@pytest.mark.cuda
@pytest.mark.parametrize("sampling", ["interactions", "users"])
def test_batches_on_a_gpu_are_those_on_the_cpu(sampling):
    def drawn(graph):
        sampler = PairSampler(graph, batch_size=50, negatives=True, sampling=sampling, seed=3)
        for batch in sampler.epoch(1):
            assert batch.negatives is not None
            yield [t.cpu().tolist() for t in (batch.users, batch.items, batch.negatives)]

    graph = checkerboard()
    assert list(drawn(graph.to("cuda"))) == list(drawn(graph))


@pytest.mark.cuda
@pytest.mark.parametrize("name", MODELS)
def test_training_on_a_gpu(name):
    model = create(name, checkerboard().to("cuda"), dim=16, lr=0.02, loss="bpr")
    history = Trainer(model, TrainConfig(epochs=5, batch_size=64)).fit()
    losses = [record["loss"] for record in history.epochs]
    assert losses[-1] < losses[0]
