"""Training without a trainer: the same path as with one; errors as integrals: the same as on a large sample."""

from __future__ import annotations

import pytest
import torch

from renorm.datamodules import CLTDataModule, laws
from renorm.report.fits import errors_of, make_model, relative_errors, train
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.training.compilation import compiled_losses
from renorm.training.losses import clt_map


@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
def test_training_follows_lightning(optimizer: str) -> None:
    data = CLTDataModule(steps_per_epoch=5)
    ours, theirs = (make_model("mlp_leaky_relu_free", optimizer, 0.05, replicas=3, compile=False) for _ in range(2))
    steps = list(train(ours, data, [0, 4, 12]))
    quiet_trainer(12, accelerator="cpu").fit(theirs, data)
    assert steps == [0, 4, 12]
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_full_batch_descent_sees_one_batch() -> None:
    batch = torch.randn(32, 2, generator=torch.Generator().manual_seed(0))
    model = make_model("mlp_linear_free", "SGD", 0.1, compile=False)
    twin = make_model("mlp_linear_free", "SGD", 0.1, compile=False)
    list(train(model, CLTDataModule(), [3], batch=batch))
    for _ in range(3):
        gradients = torch.autograd.grad(twin.losses(batch, clt_map(batch)).sum(), list(twin.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(twin.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("law", ["uniform()", "exponential()", "laplace()", "rademacher()", "gaussian(mean=1, std=3)"])
def test_integrated_error_agrees_with_a_sample(law: str) -> None:
    model = make_model("mlp_relu_free", replicas=4, seed=1).requires_grad_(False)
    known = laws.parse(law)
    found = relative_errors(model, [known])[law if law in ("rademacher()",) else str(known)]
    x = known.sample((400_000, 2), generator=torch.Generator().manual_seed(2)).float()
    squared = (model(x) - clt_map(x)).double().square() / known.cumulants(2)[1]
    standard_error = squared.std(dim=1) / len(x) ** 0.5
    assert ((found - squared.mean(dim=1)).abs() < 5 * standard_error + 1e-6).all()


def test_errors_name_the_worst_law_and_survive_divergence() -> None:
    model = make_model("mlp_relu_free", replicas=2)
    with torch.no_grad():
        model.affine_layers()[0].weight.theta[1] = torch.nan
    found = errors_of(model, CLTDataModule(held_out_laws=["gaussian()", "rademacher()"]))
    held_out = [found["laws"][law] for law in ("gaussian(mean=0, std=1)", "rademacher()")]
    assert found["held_out"] == [max(column) for column in zip(*held_out, strict=True)]
    assert found["held_out"][1] == found["trained"][1] == float("inf")
    assert found["trained"][0] < float("inf")


@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
def test_compiled_training_has_the_bits_of_autograd_and_the_optimizer(optimizer: str) -> None:
    arguments = {"replicas": 3, "width": 4, "compile": True}
    fast, plain = (make_model("mlp_leaky_relu_free", optimizer, 0.03, **arguments) for _ in range(2))
    data = CLTDataModule(held_out_laws=[])
    list(train(fast, data, [5, 30]))
    losses, steps = compiled_losses(plain, 30, data.batch_size), plain.configure_optimizers()
    for step in range(30):
        x = data.batch("train", *divmod(step, data.steps_per_epoch)).x
        steps.zero_grad()
        losses(x, clt_map(x)).sum().backward()
        steps.step()
    for ours, theirs in zip(fast.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)
