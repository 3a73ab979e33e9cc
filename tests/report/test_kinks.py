"""The reduced flow of the kinks against brute force, and against gradient descent of real networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from renorm.datamodules import CLTDataModule, laws
from renorm.report.fits import make_model, residuals, train
from renorm.report.kinks import Units, kink_energy, lattice, slide, slow_velocity, units_of
from renorm.report.reduced_flow import decay_time
from renorm.report.slopes import descend, predicted, stack, train_slopes
from renorm.training.losses import clt_map

X = lattice(-(3**0.5), 3**0.5, 8)


def random_units(members: int = 3, hidden: int = 4) -> Units:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return Units(draw(members, hidden, 2), draw(members, hidden), draw(members, hidden), draw(members))


def test_energy_is_what_regression_leaves() -> None:
    units = random_units()
    found = kink_energy(units, X).numpy()
    regressors = np.column_stack([np.ones(len(X)), X.numpy()])
    for m in range(3):
        kinks = sum(
            float(units.readout[m, j]) * np.abs(X.numpy() @ units.weight[m, j].numpy() + float(units.bias[m, j]))
            for j in range(4)
        )
        left = np.linalg.lstsq(regressors, kinks, rcond=None)[1][0] / len(X)
        assert found[m] == pytest.approx(left, rel=1e-10)


def test_loss_of_a_network_is_affine_error_plus_kinks() -> None:
    slope = 0.7
    model = make_model("mlp_leaky_relu_free", negative_slope=slope, replicas=3).double()
    loss = residuals(model, X)
    affine = np.column_stack([np.ones(len(X)), X.numpy()])
    coefficients = np.linalg.lstsq(affine, loss.numpy().T, rcond=None)[0]
    rest = (loss.numpy() - (affine @ coefficients).T) ** 2
    np.testing.assert_allclose(
        rest.mean(axis=1), ((1 - slope) / 2) ** 2 * kink_energy(units_of(model), X).numpy(), rtol=1e-9
    )


def affine_part(units: Units) -> torch.Tensor:
    """Coefficients of the network of slope 1."""
    weight = torch.einsum("mh,mhb->mb", units.readout, units.weight)
    return torch.cat([weight, ((units.readout * units.bias).sum(dim=1) + units.offset)[:, None]], dim=1)


def test_velocity_keeps_the_linear_solution_and_lowers_the_energy() -> None:
    units, h = random_units(), 1e-6
    energy, velocity = slow_velocity(units, X)
    moved = Units(*(part + h * change for part, change in zip(units, velocity, strict=True)))
    torch.testing.assert_close(
        (affine_part(moved) - affine_part(units)) / h, torch.zeros(3, 3).double(), atol=1e-4, rtol=0
    )
    fall = -(kink_energy(moved, X) - energy) / h
    rate = sum(part.flatten(1).square().sum(dim=1) for part in velocity[:3]) + velocity.offset.square()
    torch.testing.assert_close(fall, rate, rtol=1e-3, atol=0)


def test_slide_does_not_depend_on_its_step() -> None:
    units = random_units()
    coarse, fine = (slide(units, X, [0.0, 0.05, 0.1], step=step) for step in (0.02, 0.005))
    torch.testing.assert_close(coarse, fine, rtol=5e-3, atol=0)
    assert (coarse[1:] < coarse[:-1]).all()


def test_slide_is_the_limit_of_gradient_flow_with_constraint() -> None:
    """Independent of the projection: a stiff penalty on the affine part, integrated by plain Euler steps in autograd."""
    units = random_units(members=1, hidden=2)
    wanted = slide(units, X, [0.3])[0]
    free = [part.clone().requires_grad_() for part in units]
    target, stiff, h = affine_part(units), 200.0, 2e-4
    for _ in range(1500):
        now = Units(*free)
        loss = kink_energy(now, X).sum() + stiff * (affine_part(now) - target).square().sum()
        gradients = torch.autograd.grad(loss, free)
        with torch.no_grad():
            for part, gradient in zip(free, gradients, strict=True):
                part -= h * gradient
    torch.testing.assert_close(kink_energy(Units(*free), X).detach(), wanted, rtol=0.02, atol=0)


def test_derived_loss_and_time_scale_agree_with_descent() -> None:
    settings = {
        "distances": [0.02, 0.05, 0.12],
        "stops": [1000, 2500],
        "members": 6,
        "optimizer": "SGD",
        "lr": 0.3,
        "width": 4,
        "law": "uniform()",
        "scale": 1.0,
        "batch": 32,
        "seed": 0,
        "points": 8,
        "compile": False,
    }
    found = descend(settings)
    measured, derived, start = (np.array(found[name]) for name in ("energy", "predicted", "start"))
    assert max(found["linear"]) < 1e-10  # the members did come to rest on linear solutions
    # what is left out is of the next order in the distance from slope 1
    deviation = np.abs(np.median(measured / derived, axis=-1) - 1)
    assert (deviation < 2 * np.array(settings["distances"])).all()
    scaled = 0.3 * np.array(settings["stops"])[:, None] * (np.array(settings["distances"]) / 2) ** 2
    times = [[decay_time(scaled, of[..., m] / start[m]) for m in range(6)] for of in (measured, derived)]
    decayed = np.isfinite(times).all(axis=0)
    assert decayed.sum() >= 3
    assert np.median(np.array(times[0])[decayed] / np.array(times[1])[decayed]) == pytest.approx(1, abs=0.2)


def test_times_that_are_too_long_are_not_derived() -> None:
    found = predicted(random_units(), X, torch.tensor([[0.0, 0.2], [5.0, 0.2]]).double(), longest=1.0)
    assert found.shape == (2, 2, 3)
    assert found[1, 0].isnan().all()
    torch.testing.assert_close(found[0, 1], found[1, 1])


def test_depth_is_checked() -> None:
    with pytest.raises(ValueError, match="depth=2 is out of range; allowed: 1"):
        units_of(make_model("mlp_relu_free", depth=2))


SLOPES = {
    "distances": [0.1, 1.0],
    "stops": [1, 3],
    "members": 4,
    "optimizer": "Adam",
    "lr": 0.01,
    "width": 2,
    "seed": 5,
}
SLOPES |= {"law": "uniform()", "scale": 1.0, "batch": 8, "rows": 64, "compile": False}
TESTS = ["uniform()", "mirrored(exponential())"]


def test_slopes_are_kept_by_budget_slope_and_member() -> None:
    found = train_slopes(SLOPES | {"tests": TESTS})
    shapes = {law: np.array(values).shape for law, values in found["errors"].items()}
    assert shapes == dict.fromkeys(TESTS, (2, 3, 4))
    assert np.array(found["asymmetry"]).shape == (2, 3, 4)
    alone = make_model("mlp_leaky_relu_free", replicas=4, width=2, negative_slope=0.0, seed=5, compile=False)
    data = CLTDataModule(train_laws="uniform()", held_out_laws=[], batch_size=8, seed=5)
    x = data.probe(laws.parse("mirrored(exponential())"), 64).x
    for i, _ in enumerate(train(alone, data, [1, 3])):
        wanted = residuals(alone, x).square().mean(dim=1) / clt_map(x).double().var(unbiased=False)
        np.testing.assert_allclose(found["errors"]["mirrored(exponential())"][i][1], wanted, rtol=1e-4)


def test_initial_weights_are_scaled_and_drawn_by_seed() -> None:
    model, other = (stack(SLOPES | changed)[0] for changed in ({"scale": 0.3}, {"seed": 6}))
    reference = units_of(stack(SLOPES)[0])
    for part, scaled, drawn in zip(reference, units_of(model), units_of(other), strict=True):
        torch.testing.assert_close(scaled, 0.3 * part)
        assert not torch.isclose(drawn, part).any()
