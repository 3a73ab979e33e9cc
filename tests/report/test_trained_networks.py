"""Networks on the axes: scales of initial weights, and errors at the rate that is best on the training law."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from renorm.report.axes import Setting
from renorm.report.experiments import Experiments
from renorm.report.held_out import held_out
from renorm.report.seeded import make_stack, train_seeds
from renorm.report.trained_networks import TrainedNetworks, one_hidden_layer, train_networks

OWN: dict[str, Any] = {
    "laws": ["uniform()"],
    "scales": [1.0, 0.3],
    "rates": [0.03, 0.01],
    "seeds": 2,
    "members": 3,
    "batch": 4,
    "stops": [1, 2],
    "rows": 16,
}
REFERENCE = Setting("uniform()", 1.0)


def settings(**more: Any) -> dict[str, Any]:
    common = {"map": "central_limit()", "law": "uniform()", "block_size": 2, "mirrored": False, "seed": 0, "tests": []}
    return OWN | common | one_hidden_layer("leaky_relu", "odd", 4) | more


def test_scales_multiply_initial_weights_and_biases_and_nothing_else() -> None:
    grid = {"arguments": {"width": 4, "negative_slope": [0.5, 0.9]}}
    scaled = make_stack(settings(**grid))
    alone = make_stack(settings(scales=[1.0, 1.0], **grid))
    factors = torch.tensor([1.0, 0.3]).repeat_interleave(12).repeat(2)
    for (name, own), (_, other) in zip(scaled.named_parameters(), alone.named_parameters(), strict=True):
        torch.testing.assert_close(own, other * factors.view(-1, *[1] * (own.ndim - 1)), msg=name)
    spline = make_stack(settings() | one_hidden_layer("spline", "free", 2))
    before = make_stack(settings(scales=[1.0, 1.0]) | one_hidden_layer("spline", "free", 2))
    for own, other in zip(spline.activations.parameters(), before.activations.parameters(), strict=True):
        torch.testing.assert_close(own, other)  # type: ignore[arg-type]


def test_a_scale_is_one_more_axis_of_the_errors() -> None:
    found = np.array(train_seeds(settings(tests=["gaussian()"]))["errors"]["gaussian()"])
    assert found.shape == (2, 1, 2, 2, 2, 3)
    alone = {key: value for key, value in settings(tests=["gaussian()"]).items() if key != "scales"}
    np.testing.assert_allclose(found[:, :, 0], train_seeds(alone)["errors"]["gaussian()"], rtol=1e-4)


def by_hand() -> TrainedNetworks:
    """Two rates: the second is better on the training law in all but the second seed, and worse elsewhere."""
    errors = {law: np.full((1, 1, 2, 2, 2, 3), 1e-2) for law in ("uniform()", *held_out("uniform()").laws)}
    errors["uniform()"][:, :, 0, 1, 0] = 1e-6
    errors["uniform()"][:, :, 0, 1, 1] = 1e-1
    errors["gaussian(mean=-1, std=3)"][:, :, :, 1] = 1.0
    return TrainedNetworks({("uniform()", "net"): errors}, OWN, seed=0)


def test_the_rate_is_chosen_on_the_training_law_in_each_version() -> None:
    found = by_hand()
    all_seeds, *by_seed = found.log_error("net", REFERENCE, "trained")[:3]
    assert all_seeds == pytest.approx(-3.5)
    np.testing.assert_allclose(by_seed, [-6, -2])
    # the price is paid on the law where each member is worst
    np.testing.assert_allclose(found.log_error("net", REFERENCE, "extrapolation")[:3], [0, 0, -2], atol=1e-12)
    np.testing.assert_allclose(found.log_error("net", REFERENCE, "interpolation")[:3], -2)
    np.testing.assert_allclose(found.log_error("net", REFERENCE, "gaussian(mean=1, std=3)")[:3], -2)
    np.testing.assert_allclose(found.log_error("net", Setting("uniform()", 1.0, 0.01), "trained")[:3], [-3.5, -6, -1])
    np.testing.assert_allclose(found.log_error("net", Setting("uniform()", 0.3), "trained")[:3], -2)
    assert found.members("net", REFERENCE, "extrapolation").tolist() == [1.0] * 6


def test_claims_with_the_same_settings_share_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = {"tied": one_hidden_layer("relu", "full", 2)}
    with Experiments(tmp_path, workers=0) as experiments:
        first = train_networks(networks, OWN, experiments)
        monkeypatch.setattr("renorm.report.trained_networks.train_seeds", None)
        again = train_networks({"by another name": networks["tied"]}, OWN | {"widths": [2]}, experiments)
    one = first.log_error("tied", REFERENCE, "extrapolation")
    np.testing.assert_array_equal(one, again.log_error("by another name", REFERENCE, "extrapolation"))
