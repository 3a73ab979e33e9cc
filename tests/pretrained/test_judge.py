"""Numbers of the manifest against independent references."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from renorm.datamodules import CLTDataModule
from renorm.maps import CentralLimit, Majority, Maximum, Stable
from renorm.pretrained.hub import load_pretrained
from renorm.pretrained.judge import (
    blocks_of,
    judged,
    member_metrics,
    one_thread,
    shortened,
    spectrum_of,
    summarise,
)
from renorm.zoo import MLP, clt_map

NAME = "mlp_relu_free.uniform"


@pytest.fixture(scope="module")
def model() -> MLP:
    loaded = load_pretrained(NAME, "all")
    assert isinstance(loaded, MLP)
    return loaded


def test_metrics_against_numpy_and_scipy(model: MLP) -> None:
    data = CLTDataModule(test_samples=3000)
    found = member_metrics(model, data)
    assert list(found) == [str(law) for law in data.laws]
    for law in (data.laws[0], data.laws[3]):
        x = blocks_of(data, "test", law)
        assert x.shape == (3000, 2)
        first, _ = next(iter(model.hidden)), None
        weight, bias = first.weight().detach().double().numpy(), first.bias().detach().double().numpy()
        out, offset = (t().detach().double().numpy() for t in (model.readout.weight, model.readout.bias))
        hidden = np.maximum(np.einsum("mub,nb->mun", weight, x.numpy()) + bias[:, :, None], 0)
        output = np.einsum("mou,mun->mn", out, hidden) + offset
        target = x.numpy().sum(axis=1) / np.sqrt(2)
        mse = ((output - target) ** 2).mean(axis=1)
        own = found[str(law)]
        np.testing.assert_allclose(own["mse"], mse, rtol=1e-9)
        np.testing.assert_allclose(own["relative_mse"], mse / target.var(), rtol=1e-9)
        distance = [scipy.stats.wasserstein_distance(row, target) for row in output]
        np.testing.assert_allclose(own["wasserstein1"], distance, rtol=1e-9)
        skew = [abs(scipy.stats.kstat(row, 3) - scipy.stats.kstat(target, 3)) for row in output]
        np.testing.assert_allclose(own["k3_error"], skew, rtol=1e-6, atol=1e-12)


def test_members_that_diverged_are_left_out_of_medians() -> None:
    values = torch.tensor([1.0, 2.0, float("nan"), 3.0, float("inf")])
    found = summarise({"law": {"mse": values}}, best=2, seed=0)["law"]["mse"]
    assert found["median"] == 2.0
    assert np.isnan(found["best"])
    assert shortened(found)["best"] is None
    nothing = summarise({"law": {"mse": torch.full((3,), float("nan"))}}, best=0, seed=0)["law"]["mse"]
    assert nothing == {"best": None, "median": None, "interval": [None, None]}


def test_the_spectrum_of_the_exact_map_is_exact() -> None:
    model = MLP(activation="linear", width=1, bias=False)
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), (0.5**0.5, 1.0), strict=True):
            parameter.fill_(value)
    x = torch.randn(9, 2)
    torch.testing.assert_close(model(x)[0], clt_map(x))
    found = spectrum_of(model, CentralLimit())
    assert found is not None
    np.testing.assert_allclose(found["exact"], 2 ** (1 - np.arange(1, 7) / 2))
    np.testing.assert_allclose(found["eigenvalues"][0], found["exact"], rtol=1e-6)


def test_spectra_are_of_maps_with_a_basis_and_small_blocks() -> None:
    model = MLP(activation="linear", width=1)
    maximum = spectrum_of(model, Maximum())
    assert maximum is not None
    assert maximum["exact"] == [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32]
    majority = spectrum_of(MLP(block_size=3), Majority())
    assert majority is not None
    assert (majority["exact"], len(majority["eigenvalues"][0])) == ([1.5], 1)
    assert spectrum_of(MLP(block_size=5), Maximum()) is None
    assert spectrum_of(model, Stable(alpha=1.5)) is None
    assert spectrum_of(model, Stable(alpha=2)) == spectrum_of(model, CentralLimit())
    assert spectrum_of(MLP(block_size=6), CentralLimit()) is None


def test_the_best_member_may_be_given(model: MLP) -> None:
    data = CLTDataModule(test_samples=200, val_samples=200)
    chosen, given = judged(model, data, 0), judged(model, data, 0, best=3)
    assert given["best_member"] == 3 != chosen["best_member"]
    assert given["validation_loss"] == chosen["validation_loss"]
    assert min(chosen["validation_loss"]) == chosen["validation_loss"][chosen["best_member"]]
    assert given["certificate"]["verdict"] == "representable"


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
