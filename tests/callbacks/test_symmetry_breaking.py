"""Asymmetry: zero where weights are tied, a projection's distance elsewhere, and its statistics over members."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from renorm.callbacks import SymmetryBreaking
from renorm.zoo import GNN, MLP
from renorm.zoo.layers import project
from renorm.zoo.symmetry.graphs import symmetries_of
from renorm.zoo.symmetry.order_parameter import asymmetries, asymmetry, order_parameter
from renorm.zoo.symmetry.symmetry import list_symmetries

from .test_cumulant_diagnostics import fit, tags


@pytest.mark.parametrize("symmetry", [name for name in list_symmetries() if name != "free"])
@pytest.mark.parametrize("depth", [1, 2])
def test_a_tied_network_has_no_asymmetry_to_its_own_symmetry(symmetry: str, depth: int) -> None:
    model = MLP(width=4, depth=depth, symmetry=symmetry, replicas=3)
    for weight, orbits in zip([w for w, _ in model.dense()], model.symmetric_subspaces()[symmetry], strict=True):
        assert float(asymmetry(weight.detach(), orbits).nan_to_num(0.0).max()) < 1e-7


def test_a_free_network_has_all_asymmetries() -> None:
    found = asymmetries(MLP(width=4, replicas=20))
    # on blocks of two, dihedral and permutation are cyclic
    assert set(found["pre0"]) == {"input", "hidden", "full", "odd", "odd_input", "cyclic"}
    assert set(found["out"]) == {"hidden", "odd", "cyclic"}  # full is hidden here, input ties nothing
    for layer in found.values():
        for values in layer.values():
            assert values.shape == (20,)
            assert bool(((values > 0.05) & (values <= 1)).all())


@pytest.mark.parametrize("symmetry", [name for name in list_symmetries() if name != "free"])
def test_projection_is_orthogonal_and_is_what_gradient_descent_finds(symmetry: str) -> None:
    model = MLP(width=4, replicas=2)
    for (weight, _), orbits in zip(model.dense(), model.symmetric_subspaces()[symmetry], strict=True):
        weight = weight.detach().double()
        nearest = project(weight, orbits)
        torch.testing.assert_close(project(nearest, orbits), nearest)
        rest = (weight - nearest).flatten(1)
        assert float((rest * nearest.flatten(1)).sum(dim=1).abs().max()) < 1e-12
        # least squares over the free parameters, entry by entry
        design = np.zeros((orbits.index.size, max(orbits.count, 1)))
        design[np.arange(orbits.index.size), orbits.index.ravel()] = orbits.sign.ravel()
        for one, best in zip(weight.flatten(1).numpy(), nearest.flatten(1).numpy(), strict=True):
            np.testing.assert_allclose(design @ np.linalg.lstsq(design, one, rcond=None)[0], best, atol=1e-12)


def test_statistics_over_members() -> None:
    generator = torch.Generator().manual_seed(0)
    gaussian = torch.randn(400_000, generator=generator, dtype=torch.float64)
    found = order_parameter(gaussian)
    assert abs(found.binder) < 0.01
    assert found.variance == pytest.approx(1, rel=0.01)
    assert order_parameter(torch.full((5,), 0.3)).binder == pytest.approx(2 / 3)
    values = torch.tensor([0.1, 0.4, 0.9, torch.nan])
    m = np.array([0.1, 0.4, 0.9])
    assert order_parameter(values).mean == pytest.approx(m.mean())
    assert order_parameter(values).variance == pytest.approx(m.var(ddof=1))
    assert order_parameter(values).binder == pytest.approx(1 - (m**4).mean() / (3 * (m**2).mean() ** 2), rel=1e-6)
    assert np.isnan(order_parameter(torch.tensor([torch.nan]))).all()


@pytest.mark.draws
def test_everything_is_logged_drawn_and_written(tmp_path: Path) -> None:
    callback = SymmetryBreaking()
    fit(callback, tmp_path)
    scalars = tags(tmp_path, "scalars")
    for layer, names in {"pre0": ["input", "hidden", "full", "odd"], "pre1": ["hidden", "odd"], "out": ["odd"]}.items():
        for name in names:
            for tag in ("asymmetry", "variance", "binder"):
                assert f"symmetry/{layer}/{tag}/{name}" in scalars
            assert f"symmetry/{layer}/asymmetry/{name}_q90" in scalars
    assert {"symmetry/asymmetry", "symmetry/order_parameter"} <= set(tags(tmp_path, "images"))
    table = pq.read_table(tmp_path / "symmetry").to_pylist()
    one = [row for row in table if (row["epoch"], row["layer"], row["symmetry"]) == (2, "pre0", "input")]
    assert [row["member"] for row in one] == [0, 1, 2, 3]
    assert [row["asymmetry"] for row in one] == callback.results["pre0"]["input"].tolist()
    events = EventAccumulator(str(tmp_path)).Reload()
    by_point = [order_parameter(callback.results["pre0"]["input"][rows]) for rows in ([0, 1], [2, 3])]
    logged = events.Scalars("symmetry/pre0/variance/input")[-1].value
    assert logged == pytest.approx(np.mean([p.variance for p in by_point]), rel=1e-5)


def test_widths_without_pairs_have_no_odd_subspace() -> None:
    assert set(asymmetries(MLP(width=3))["pre0"]) == {"input", "hidden", "full"}


def test_refuses_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="every_n_epochs=-2 is out of range"):
        SymmetryBreaking(every_n_epochs=-2)


@pytest.mark.parametrize("layer", ["graph_conv", "gcn", "sage", "gin", "edge_conv", "gat"])
def test_a_graph_network_is_in_the_subspace_that_it_was_built_in(layer: str) -> None:
    for symmetry in symmetries_of(layer):
        model = GNN(layer=layer, symmetry=symmetry, width=4, depth=2, replicas=2, seed=1)
        found = asymmetries(model)
        assert list(found) == ["pre0", "pre1", "out"]
        for by_symmetry in found.values():
            for name, values in by_symmetry.items():
                assert values.shape == (2,)
                if name == symmetry:
                    assert (values < 1e-7).all()
                elif symmetry == "free":
                    assert (values > 1e-3).all()
