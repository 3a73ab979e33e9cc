"""Fully tied quadratic networks: the polynomial that they are, and the cumulants that the report writes out."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from renorm.cumulants import recursion_residual
from renorm.datamodules import laws
from renorm.report.quadratic import mean_and_variance, tied_coefficients, tied_recursion
from renorm.zoo import MLP


def networks(block_size: int = 2, **more: object) -> MLP:
    model = MLP(activation="quadratic", symmetry="full", width=3, replicas=4, seed=1, block_size=block_size, **more)
    model = model.double_copy()
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))
    return model


@pytest.mark.parametrize("more", [{}, {"bias": False}, {"alpha": [0.3, -0.7]}, {"block_size": 3}])
def test_a_tied_network_is_a_polynomial_of_the_sum(more: dict[str, object]) -> None:
    model = networks(**more)  # type: ignore[arg-type]
    x = torch.randn(20, model.block_size, dtype=torch.float64)
    a, b, c = tied_coefficients(model).unsqueeze(-1)
    total = x.sum(dim=1)
    torch.testing.assert_close(model(x), a + b * total + c * total**2, rtol=1e-10, atol=1e-10)


def test_cumulants_are_those_of_the_enumeration() -> None:
    coefficients = tied_coefficients(networks())
    values, weights = (0.0, 1.0, 3.0), (0.5, 0.3, 0.2)
    blocks = list(itertools.product(range(3), repeat=2))
    total = torch.tensor([values[i] + values[j] for i, j in blocks], dtype=torch.float64)
    weight = torch.tensor([weights[i] * weights[j] for i, j in blocks], dtype=torch.float64)
    a, b, c = coefficients.unsqueeze(-1)
    outputs = a + b * total + c * total**2
    mean = (outputs * weight).sum(dim=1)
    variance = ((outputs - mean[:, None]).square() * weight).sum(dim=1)
    central = [((total - (total * weight).sum()) ** n * weight).sum() for n in range(5)]
    kappa = torch.stack([(total * weight).sum(), central[2], central[3], central[4] - 3 * central[2] ** 2])
    torch.testing.assert_close(mean_and_variance(coefficients, kappa), torch.stack([mean, variance]))


def test_what_is_written_out_is_the_residual_of_the_recursion() -> None:
    model = networks()
    law = laws.parse("gamma(shape=2)")
    found = mean_and_variance(tied_coefficients(model), 2 * law.cumulants(4))
    wanted = torch.stack([math.sqrt(2) * law.cumulants(4)[0], law.cumulants(4)[1]]).unsqueeze(-1)
    residual = recursion_residual(model, law, method="exact").detach()[:2]
    torch.testing.assert_close(found - wanted, residual, rtol=1e-8, atol=1e-8)


def test_trained_networks_are_described() -> None:
    own = {"width": 2, "replicas": 3, "steps": 5, "laws": ["uniform()", "exponential()"], "seed": 0}
    found = tied_recursion(own)
    assert torch.tensor(found["coefficients"]).shape == (3, 3)
    assert {len(orders) for orders in found["residuals"].values()} == {4}
    assert len(found["residuals"]) == 2
    assert len(found["outer"]) == len(found["held_out"]) == 3
