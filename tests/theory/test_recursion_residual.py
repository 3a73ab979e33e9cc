"""How far a network's cumulant map is from the exact recursion."""

from __future__ import annotations

import math

import pytest
import torch

from renorm.certificates.certificate import certify
from renorm.cumulants import clt_step, recursion_residual
from renorm.datamodules import laws
from renorm.zoo import MLP


@pytest.mark.parametrize("name", ["mlp_relu_free", "mlp_leaky_relu_odd", "mlp_quadratic_input", "mlp_spline_full"])
@pytest.mark.parametrize("text", ["gamma(shape=2)", "uniform()", "rademacher()"])
def test_it_vanishes_for_weights_that_are_the_map(name: str, text: str) -> None:
    found = certify(name)
    assert found.weights is not None
    activation, symmetry = name.removeprefix("mlp_").rsplit("_", 1)
    model = MLP(activation=activation, symmetry=symmetry).double().requires_grad_(False)
    for parameter, value in zip(model.parameters(), found.weights.values(), strict=True):
        parameter.copy_(value.unsqueeze(0))
    assert recursion_residual(model, text).abs().max() < 1e-9


def test_of_one_quadratic_unit_by_hand() -> None:
    """f = w S + alpha (w S)^2 under a centred law: kappa_2(f) by the formula for z + alpha z^2."""
    model = MLP(width=1, activation="quadratic", alpha=0.5, symmetry="full", bias=False).double().requires_grad_(False)
    model.hidden[0].weight.theta.fill_(1 / math.sqrt(2))
    model.readout.weight.theta.fill_(1.0)
    law = laws.parse("standardised(gamma(shape=4))")
    k1, k2, k3, k4 = clt_step(law.cumulants(4)).tolist()
    residual = recursion_residual(model, law, order=2, method="exact")[:, 0]
    assert float(residual[0]) == pytest.approx(0.5 * k2, abs=1e-12)
    assert float(residual[1]) == pytest.approx(2 * 0.5 * k3 + 0.25 * (k4 + 2 * k2**2), abs=1e-12)
    assert abs(k1) < 1e-12


def test_it_can_be_descended() -> None:
    model = MLP(width=2, activation="quadratic", symmetry="free", seed=1).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = recursion_residual(model, "gamma(shape=9)", method="exact").square().sum()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]


def test_unknown_methods_are_named() -> None:
    with pytest.raises(ValueError, match="method='magic' is unknown; allowed"):
        recursion_residual(MLP(), "uniform()", method="magic")
