"""The non-linearity index against regressions by brute force, and against a closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from renorm.datamodules import laws
from renorm.datamodules.laws.quadrature import block_rule
from renorm.report.fits import make_model
from renorm.report.nonlinearity import network_index, nonlinearity, unit_parts

LAW = laws.parse("gamma(shape=2)")


def regression_index(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    """Distance to the best affine fit over the standard deviation, by weighted least squares."""
    root = np.sqrt(w)
    design = np.column_stack([np.ones_like(z), z]) * root[:, None]
    fit = design @ np.linalg.lstsq(design, y * root, rcond=None)[0]
    variance = np.cov(y, aweights=w, ddof=0)
    return math.sqrt(((y * root - fit) ** 2).sum() / variance)


def test_index_of_a_layer_is_that_of_regressions_weighed_by_the_readout() -> None:
    model = make_model("mlp_spline_free", replicas=2, seed=3)
    found = nonlinearity(model, LAW)["act0"]
    twin = model.double_copy()
    x, weight = block_rule(LAW, 2)
    w = weight.numpy()
    with torch.no_grad():
        layers = twin.trace(x)
        readout = twin.dense()[1][0][:, 0].numpy()
    for m in range(2):
        bent = whole = 0.0
        for j in range(8):
            z, y = layers["pre0"][m, j].numpy(), layers["act0"][m, j].numpy()
            variance = np.cov(y, aweights=w, ddof=0)
            whole += readout[m, j] ** 2 * variance
            bent += readout[m, j] ** 2 * variance * regression_index(z, y, w) ** 2
        assert float(found[m]) == pytest.approx(math.sqrt(bent / whole), rel=1e-8)


def test_index_of_relu_at_a_gaussian() -> None:
    # z+ has covariance 1/2 with z and variance (1 - 1/pi)/2: nu^2 = 1 - 1/(2 - 2/pi)
    z, w = np.polynomial.hermite_e.hermegauss(200)
    bent, whole = unit_parts(*(torch.from_numpy(a) for a in (z, np.maximum(z, 0), w / w.sum())))
    assert float(bent / whole) == pytest.approx(1 - 1 / (2 - 2 / math.pi), abs=2e-3)


def test_index_knows_no_scale_and_a_constant_is_no_error() -> None:
    z = torch.linspace(-1, 2, 50).double()
    w = torch.full((50,), 1 / 50).double()
    one, other = (unit_parts(z, y, w) for y in (z.exp(), 5 - 3 * (2 * z.exp())))
    assert float(one[0] / one[1]) == pytest.approx(float(other[0] / other[1]))
    assert [float(part) for part in unit_parts(torch.ones(50).double(), torch.ones(50).double(), w)] == pytest.approx(
        [0.0, 0.0], abs=1e-15
    )


def test_index_of_the_network_is_that_of_a_regression_on_the_block() -> None:
    x, weight = block_rule(LAW, 2)
    out = torch.stack([x.sum(dim=1) + 1, (x[:, 0] - x[:, 1]).abs()])
    found = network_index(out, x, weight)
    root = np.sqrt(weight.numpy())
    design = np.column_stack([np.ones(len(x)), x.numpy()]) * root[:, None]
    left = np.linalg.lstsq(design, out[1].numpy() * root, rcond=None)[1][0]
    variance = np.cov(out[1].numpy(), aweights=weight.numpy(), ddof=0)
    assert float(found[0]) < 1e-7
    assert float(found[1]) == pytest.approx(math.sqrt(left / variance), rel=1e-8)
