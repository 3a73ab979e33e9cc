"""The RG callback in a run: what it logs is the flow and the spectrum of the model, beside the exact map's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from renorm.callbacks import RGFlow
from renorm.callbacks.rg_flow import start_of_flow
from renorm.cumulants import eigenvalues, rg_spectrum
from renorm.cumulants.rg import flow_samples
from renorm.datamodules import laws
from renorm.maps import CentralLimit
from renorm.zoo import MLP

from .test_cumulant_diagnostics import UNIFORM, fit, tags


def exact_stack(members: int = 3) -> MLP:
    model = MLP(activation="linear", width=2, replicas=members, bias=False)
    with torch.no_grad():
        for layer in model.affine_layers():
            layer.weight.theta.fill_(2**-0.25 / math.sqrt(2))
    return model


@pytest.mark.draws
def test_logged_drawn_and_written(tmp_path: Path) -> None:
    callback, model = RGFlow(laws=["uniform()", "gamma(shape=2)"], steps=3, samples=200, order=4), MLP(replicas=3)
    fit(callback, tmp_path, model)
    events = EventAccumulator(str(tmp_path)).Reload()
    last = {tag: events.Scalars(tag)[-1].value for tag in events.Tags()["scalars"]}
    found = eigenvalues(rg_spectrum(model.double_copy(), 4))
    for n in range(5):
        assert last[f"rg/eigenvalue/{n}"] == pytest.approx(float(found[:, n].median()), rel=1e-6)
        assert last[f"rg/eigenvalue/{n}_exact"] == pytest.approx(2 ** (1 - n / 2))
    gamma = "standardised(gamma(shape=2, scale=1))"
    for law, tag in ((UNIFORM, "uniform()"), (gamma, "standardised(gamma())")):
        for name in ("k1", "k2", "k3", "k4", "wasserstein"):
            assert {f"rg/flow/{tag}/{name}{suffix}" for suffix in ("", "_q10", "_q90", "_exact")} <= last.keys()
        assert f"rg_flow/{tag}" in tags(tmp_path, "images")
        assert last[f"rg/flow/{tag}/wasserstein"] == pytest.approx(
            float(callback.results[law].wasserstein[-1].median()), rel=1e-6
        )
    assert "rg_spectrum" in tags(tmp_path, "images")
    assert [p.name for p in (tmp_path / "rg_flow").iterdir()] == ["epoch_00002.parquet"]  # the last epoch
    table = pq.read_table(tmp_path / "rg_flow").to_pylist()
    assert len(table) == 2 * 4 * 3
    one = [row for row in table if (row["law"], row["member"]) == (UNIFORM, 1)]
    assert [row["t"] for row in one] == [0, 1, 2, 3]
    assert [row["k2"] for row in one] == callback.results[UNIFORM].k[:, 1, 1].tolist()
    assert [row["exact_k2"] for row in one] == callback.results[UNIFORM].exact_k[:, 1].tolist()


def test_a_network_that_is_the_exact_map_has_its_flow_and_spectrum() -> None:
    model = exact_stack().double()
    x = torch.randn(10, 2, dtype=torch.float64)
    torch.testing.assert_close(model(x)[0], x.sum(dim=1) / math.sqrt(2), rtol=1e-6, atol=1e-6)
    flow = RGFlow().flow(model, RGFlow(laws=["laplace()"]).laws[0], seed=0)  # type: ignore[index]
    torch.testing.assert_close(flow.k[..., 0], flow.exact_k, rtol=1e-4, atol=1e-5)


def test_the_same_sample_every_time() -> None:
    callback, model = RGFlow(laws=["uniform()"], samples=100), exact_stack()
    assert callback.laws is not None
    one, two = (callback.flow(model, callback.laws[0], seed=0) for _ in range(2))
    assert torch.equal(one.k, two.k)
    assert not torch.equal(callback.flow(model, callback.laws[0], seed=1).k, one.k)


def test_larger_blocks_have_a_flow_and_small_ones_a_spectrum(tmp_path: Path) -> None:
    callback = RGFlow(steps=2, samples=64, order=2)
    fit(callback, tmp_path, MLP(block_size=8), block_size=8)
    assert callback.spectrum is None
    assert callback.results[UNIFORM].k.shape == (3, 4, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps=0 is out of range; allowed: whole numbers >= 1"),
        ({"samples": 2}, "samples=2 is out of range"),
        ({"laws": "nonsense"}, "nonsense"),
    ],
)
def test_refuses_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RGFlow(**arguments)


def test_laws_without_a_variance_are_refused_where_the_fixed_point_is_a_gaussian(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cauchy"):
        fit(RGFlow(laws=["cauchy()"], steps=2, samples=64), tmp_path)


def test_many_members_flow_with_fewer_samples_unless_asked() -> None:
    model, law = MLP(replicas=512, width=1), laws.parse("uniform()")
    fewer = RGFlow(steps=1).flow(model, law, 0)
    torch.testing.assert_close(fewer.k, RGFlow(steps=1, samples=2048).flow(model, law, 0).k, rtol=0, atol=0)
    assert not torch.equal(fewer.k, RGFlow(steps=1, samples=4096).flow(model, law, 0).k)


def test_distances_are_those_of_ordered_doubles() -> None:
    model, law = MLP(replicas=3), laws.parse("uniform()")
    found = RGFlow(steps=2, samples=500).flow(model, law, 0)
    x, generator = start_of_flow(law, 500, 0, CentralLimit(), 2)
    fixed = torch.special.ndtri((torch.arange(500, dtype=torch.float64) + 0.5) / 500) * x.float().double().std()
    for t, (learned, _) in enumerate(flow_samples(model, x, 2, generator, CentralLimit())):
        expected = (learned.double().sort(dim=1).values - fixed).abs().mean(dim=1)
        torch.testing.assert_close(found.wasserstein[t], expected, rtol=0, atol=0)
