"""Diagnostics of every layer: what they measure is right, and all of it is logged, drawn and written."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from renorm.callbacks import CumulantDiagnostics, SymmetryBreaking
from renorm.callbacks.layer_cumulants import integrated_cumulants, sampled_cumulants
from renorm.callbacks.symmetry_figures import draw_asymmetry_history
from renorm.cumulants import clt_step, joint_kstat, kstat, kstat_stderr
from renorm.datamodules import CLTDataModule, laws
from renorm.zoo import GNN, MLP, StackedModel

LAYERS = ["pre0", "act0", "pre1", "act1", "out"]
UNIFORM = "uniform(low=-1.7320508075688772, high=1.7320508075688772)"


def fit(callback: Any, folder: Path, model: StackedModel | None = None, **data: Any) -> Trainer:
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=TensorBoardLogger(folder, name="", version="", default_hp_metric=False),
        callbacks=callback if isinstance(callback, list) else [callback],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        log_every_n_steps=1,
    )
    model = model or MLP(width=4, depth=2, negative_slope=[0.1, 0.9], replicas=2)
    trainer.fit(model, CLTDataModule(steps_per_epoch=3, batch_size=16, **data))
    return trainer


def tags(folder: Path, kind: str) -> list[str]:
    found: list[str] = EventAccumulator(str(folder)).Reload().Tags()[kind]
    return found


def test_sampled_cumulants_are_those_of_each_unit() -> None:
    model = MLP(width=4, depth=2, activation="quadratic", replicas=3)
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    found = sampled_cumulants(model, x)
    assert list(found) == LAYERS
    values = model.trace(x)
    for name, layer in found.items():
        for member in range(3):
            units = values[name][member].detach().reshape(-1, 200).T
            torch.testing.assert_close(layer.k[:, member], kstat(units))
            torch.testing.assert_close(layer.stderr[:, member], kstat_stderr(units), equal_nan=True)
            torch.testing.assert_close(layer.covariance[member], joint_kstat(units, 2))
        torch.testing.assert_close(layer.skewness, layer.k[2] / layer.k[1] ** 1.5)
        torch.testing.assert_close(layer.excess_kurtosis, layer.k[3] / layer.k[1] ** 2)


def test_cumulants_across_nodes_are_the_sums_of_the_joint_ones() -> None:
    model = GNN(graph="path", block_size=3, activation="relu", width=2, depth=2, replicas=2, seed=1).double()
    x = laws.parse("gamma(shape=2)").sample((500, 3), generator=torch.Generator().manual_seed(0)).double()
    found = sampled_cumulants(model, x)
    values = model.trace(x)["act1"].detach()
    for n in (2, 3, 4):
        for member in range(2):
            for feature in range(2):
                tensor = joint_kstat(values[member, feature].T, n)
                own = sum(tensor[(node,) * n] for node in range(3))
                across = found["act1"].across_nodes
                assert across is not None
                assert torch.isclose(across[n - 1, member, feature], tensor.sum() - own, rtol=1e-9, atol=1e-12)
    assert found["act1"].k.shape == (4, 2, 6)
    assert found["act1"].covariance.shape == (2, 6, 6)
    assert found["out"].across_nodes is None


def test_nodes_that_do_not_hear_from_each_other_have_no_cumulants_across() -> None:
    model = GNN(graph=[[0, 0]], block_size=2, activation="tanh", width=3, seed=1)
    across = integrated_cumulants(model, laws.parse("uniform()"))["act0"].across_nodes
    assert across is not None
    assert across.abs().max() < 1e-12


@pytest.mark.parametrize("law", ["gamma(shape=2)", "rademacher()", "gaussian(mean=1, std=3)", "student_t(df=10)"])
def test_integrated_cumulants_of_a_linear_network_are_exact(law: str) -> None:
    model = MLP(width=3, activation="linear", replicas=2).double()
    kappa = laws.parse(law).cumulants(4)
    weight, bias = model.dense()[0]
    assert bias is not None
    first = integrated_cumulants(model, laws.parse(law))["pre0"]
    for n in range(1, 5):
        expected = kappa[n - 1] * (weight**n).sum(dim=2) + (bias if n == 1 else 0)
        torch.testing.assert_close(first.k[n - 1], expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(first.covariance, kappa[1] * weight @ weight.mT, rtol=1e-9, atol=1e-9)
    assert not first.stderr.any()


@pytest.mark.parametrize("activation", ["quadratic", "tanh", "gelu"])
def test_integrated_cumulants_equal_gauss_hermite(activation: str) -> None:
    model = MLP(width=4, activation=activation, replicas=2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    w = torch.from_numpy(weights / weights.sum())
    blocks = torch.cartesian_prod(*[torch.from_numpy(nodes)] * 2)
    w = torch.cartesian_prod(w, w).prod(dim=1)
    y = model.double_copy()(blocks).detach()
    mean = (y * w).sum(dim=1, keepdim=True)
    m2, m3, m4 = (((y - mean) ** p * w).sum(dim=1) for p in (2, 3, 4))
    found = integrated_cumulants(model, laws.parse("gaussian()"))["out"].k[..., 0]
    for n, expected in enumerate([mean[:, 0], m2, m3, m4 - 3 * m2**2], start=1):
        assert bool(((found[n - 1] - expected).abs() < 1e-9 * m2.sqrt() ** n).all())


def test_integrated_cumulants_of_kinks_are_good_to_1e_4() -> None:
    model = MLP(width=8, activation="relu", replicas=4)
    weight, bias = (tensor.detach() for tensor in model.double_copy().dense()[0] if tensor is not None)
    mean, sigma = bias, weight.norm(dim=2)
    a = mean / sigma
    density = torch.exp(-a * a / 2) / math.sqrt(2 * math.pi)
    first = mean * torch.special.ndtr(a) + sigma * density  # the rectified Gaussian
    second = (mean**2 + sigma**2) * torch.special.ndtr(a) + mean * sigma * density
    found = integrated_cumulants(model, laws.parse("gaussian()"))["act0"].k
    assert float(((found[0] - first) / sigma).abs().max()) < 1e-3
    assert float(((found[0] - first) / sigma).abs().median()) < 1e-4
    assert float(((found[1] - second + first**2) / sigma**2).abs().max()) < 1e-3


def test_both_methods_agree_within_the_standard_errors() -> None:
    model, law = MLP(width=8, replicas=16), laws.parse("exponential()")
    x = law.sample((20_000, 2), generator=torch.Generator().manual_seed(0))
    sampled, integrated = sampled_cumulants(model, x), integrated_cumulants(model, law)
    for name in ("pre0", "act0", "out"):
        z = (sampled[name].k - integrated[name].k) / sampled[name].stderr
        for n in (0, 1, 2):
            assert float(z[n].square().nanmean().sqrt()) < 2.5  # units of a network share the sample


@pytest.mark.draws
def test_everything_is_logged_drawn_and_written(tmp_path: Path) -> None:
    callback = CumulantDiagnostics(laws=["uniform()", "exponential()"], samples=64)
    model = MLP(width=4, depth=2, negative_slope=[0.1, 0.9], replicas=2)
    fit(callback, tmp_path, model)
    scalars = tags(tmp_path, "scalars")
    for law in ("uniform()", "exponential()"):
        for layer in LAYERS:
            for n in range(1, 5):
                for suffix in ("", "_q10", "_q90"):
                    assert f"cumulants/{law}/{layer}/k{n}{suffix}" in scalars
        assert {f"cumulant_flow/{law}", f"cumulant_history/{law}"} <= set(tags(tmp_path, "images"))
    events = EventAccumulator(str(tmp_path)).Reload()
    logged = [e.value for e in events.Scalars("cumulants/exponential()/act1/k2")]
    last = callback.results["exponential(rate=1)"]["act1"]
    assert len(logged) == 3
    assert logged[-1] == pytest.approx(float(last.k[1].mean()), rel=1e-6)

    table = pq.read_table(tmp_path / "cumulants").to_pylist()
    assert sorted(p.name for p in (tmp_path / "cumulants").iterdir()) == [f"epoch_0000{i}.parquet" for i in range(3)]
    assert len(table) == 3 * 2 * 4 * (4 * 4 + 1)
    exponential = [row for row in table if row["law"] == "exponential(rate=1)"]
    (row,) = [
        row for row in exponential if (row["epoch"], row["layer"], row["member"], row["unit"]) == (2, "act1", 3, 1)
    ]
    for n in range(4):
        assert row[f"k{n + 1}"] == float(last.k[n, 3, 1])
        assert row[f"stderr{n + 1}"] == pytest.approx(float(last.stderr[n, 3, 1]), nan_ok=True)
    assert row["covariance"] == last.covariance[3, 1].tolist()
    assert row["skewness"] == float(last.skewness[3, 1])
    expected = clt_step(torch.tensor([1.0, 1.0, 2.0, 6.0], dtype=torch.float64)).tolist()
    for row in exponential:
        exact = [row[f"exact{n}"] for n in range(1, 5)]
        assert exact == expected if row["layer"] == "out" else np.isnan(exact).all()


def test_quadrature_in_a_run(tmp_path: Path) -> None:
    callback = CumulantDiagnostics(method="quadrature", table=False)
    model = MLP(width=3, activation="quadratic")
    fit(callback, tmp_path, model)
    out = callback.results[UNIFORM]["out"]
    direct = integrated_cumulants(model, laws.parse("uniform()"))["out"]
    assert torch.equal(out.k, direct.k)
    assert not (tmp_path / "cumulants").exists()
    assert next(model.parameters()).dtype == torch.float32  # the model keeps its precision


@pytest.mark.parametrize(("arguments", "epochs"), [({"every_n_epochs": 2}, [1]), ({"every_n_epochs": 0}, [])])
def test_how_often(arguments: dict[str, int], epochs: list[int], tmp_path: Path) -> None:
    fit(CumulantDiagnostics(**arguments), tmp_path)
    written = sorted((tmp_path / "cumulants").iterdir()) if epochs else []
    assert [int(p.stem[-5:]) for p in written] == epochs
    assert (tmp_path / "cumulants").exists() == bool(epochs)


@pytest.mark.draws
def test_a_diverged_member_does_not_hide_the_others(tmp_path: Path) -> None:
    model = MLP(width=2, replicas=3)
    with torch.no_grad():
        for p in model.parameters():
            p[1] = torch.nan
    callback = CumulantDiagnostics()
    fit(callback, tmp_path, model)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert math.isfinite(events.Scalars("cumulants/uniform()/out/k2")[-1].value)
    assert callback.results[UNIFORM]["out"].k[:, 1].isnan().all()


def resumed(callback: CumulantDiagnostics, states: dict[str, Any]) -> CumulantDiagnostics:
    """The callback as it goes on from a checkpoint with these states."""
    callback.on_load_checkpoint(None, None, {"callbacks": states})  # type: ignore[arg-type]
    return callback


def states_of(callback: CumulantDiagnostics) -> dict[str, Any]:
    checkpoint: dict[str, Any] = {"callbacks": {}}
    callback.on_save_checkpoint(None, None, checkpoint)  # type: ignore[arg-type]
    return checkpoint["callbacks"]


def measured(callback: CumulantDiagnostics, epoch: int, depth: int) -> list[float]:
    """The epochs of the history after one more measurement, of a stack with some hidden layers."""
    callback.epoch = epoch
    callback.results = callback.measure(MLP(width=2, depth=depth), CLTDataModule())
    return [row[0] for row in callback._history[UNIFORM]]


def test_the_history_survives_a_checkpoint() -> None:
    callback = CumulantDiagnostics()
    assert measured(callback, 0, depth=1) == [0]
    other = resumed(CumulantDiagnostics(), states_of(callback))
    assert other._history == callback._history
    assert measured(other, 1, depth=1) == [0, 1]


def test_a_history_begins_anew_with_other_layers(caplog: pytest.LogCaptureFixture) -> None:
    first = CumulantDiagnostics()
    measured(first, 0, depth=1)
    then = resumed(CumulantDiagnostics(), states_of(first))
    assert measured(then, 1, depth=2) == [1]
    line = (
        f"cumulants/{UNIFORM}: the history begins anew in epoch 1, as the layers (pre0, act0, out) are now pre0, act0"
    )
    assert caplog.messages == [f"{line}, pre1, act1, out"]
    assert measured(then, 2, depth=2) == [1, 2]
    figures = then.figures(MLP(width=2, depth=2), CLTDataModule())
    assert list(figures) == ["cumulant_flow/uniform()", "cumulant_history/uniform()"]


def test_histories_of_version_0_1_go_on() -> None:
    fixture = Path(__file__).resolve().parents[1] / "fixtures/version_0_1/mlp/checkpoints/last.ckpt"
    states = torch.load(fixture, weights_only=True)["callbacks"]
    (law, rows), *_ = states["CumulantDiagnostics"]["history"].items()
    layers = ["a", "b", "c"]
    assert (len(rows[0]) - 1) // 4 == len(layers)  # which these checkpoints do not name
    assert [row[0] for row in resumed(CumulantDiagnostics(), states)._rows_of(law, layers)] == [0, 1]
    assert resumed(CumulantDiagnostics(), states)._rows_of(law, [*layers, "d"]) == []


@pytest.mark.draws
def test_a_new_fit_begins_a_new_history(tmp_path: Path) -> None:
    """With other layers and other blocks, too."""
    callback = CumulantDiagnostics(figure_every_n_epochs=1)
    for size, depth in ((2, 1), (3, 2), (3, 2)):
        fit(callback, tmp_path, MLP(width=2, depth=depth, block_size=size), block_size=size)
        (rows,) = callback._history.values()
        assert [row[0] for row in rows] == [0, 1, 2]
    symmetry = SymmetryBreaking(figure_every_n_epochs=1)
    for epochs, names in (([0, 1, 2], ["pre0", "pre1", "out"]), ([0, 1, 2], ["pre0", "out"])):
        fit(symmetry, tmp_path, MLP(width=2, depth=len(names) - 1))
        assert list(symmetry._history) == epochs
        assert all(list(layers) == names for layers in symmetry._history.values())


def test_layers_of_a_resumed_run_that_were_not_measured_before_have_no_past() -> None:
    history = {0: {"pre0": {"odd": [0.5]}}, 1: {"pre0": {"odd": [0.4]}, "pre1": {"odd": [0.3]}}}
    lines = [line.get_ydata() for axes in draw_asymmetry_history(history, ["all"]).axes for line in axes.lines]
    np.testing.assert_array_equal(lines, [[0.5, 0.4], [np.nan, 0.3]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every_n_epochs": -1}, "every_n_epochs=-1 is out of range; allowed: whole numbers >= 0"),
        ({"samples": 3}, "samples=3 is out of range; allowed: whole numbers >= 4"),
        ({"method": "guess"}, "method='guess' is unknown; allowed: sampling, quadrature"),
        ({"laws": "gausian()"}, "gausian"),
    ],
)
def test_refuses_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CumulantDiagnostics(**arguments)


def test_quadrature_needs_blocks_of_two(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="method='quadrature' with block_size=3; allowed: block_size=2, or sampling"):
        fit(CumulantDiagnostics(method="quadrature"), tmp_path, MLP(block_size=3), block_size=3)


def test_quadrature_refuses_a_law_before_training(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no variance; allowed: laws with one, or sampling"):
        fit(CumulantDiagnostics(method="quadrature", laws=["uniform()", "cauchy()"]), tmp_path)
    assert not (tmp_path / "cumulants").exists()


@pytest.mark.draws
def test_graphs_log_and_write_what_is_across_nodes(tmp_path: Path) -> None:
    model = GNN(graph="ring", block_size=3, width=2, replicas=2)
    fit(CumulantDiagnostics(), tmp_path, model, block_size=3)
    assert "cumulants/uniform()/act0/k2_across_nodes" in tags(tmp_path, "scalars")
    table = pq.read_table(tmp_path / "cumulants").to_pydict()
    inside = [layer != "out" for layer in table["layer"]]
    for n in (2, 3, 4):
        assert [math.isfinite(value) for value in table[f"across_nodes{n}"]] == inside
