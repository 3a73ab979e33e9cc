"""Predicted against measured cumulants during training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from renorm.callbacks import TheoryGap
from renorm.callbacks.layer_cumulants import sampled_cumulants
from renorm.callbacks.theory_figures import draw_gap
from renorm.callbacks.theory_gap import evenly_spread
from renorm.cumulants import propagate
from renorm.datamodules import CLTDataModule, laws
from renorm.zoo import GNN, MLP

LAW = "gamma(shape=9)"


def fitted(tmp_path: Path, callback: TheoryGap, model: Any = None, epochs: int = 2) -> Any:
    stack = MLP(width=3, activation="leaky_relu", replicas=5, seed=1) if model is None else model
    data = CLTDataModule(block_size=stack.block_size, batch_size=16, steps_per_epoch=2, train_laws=["uniform()"])
    trainer = Trainer(
        max_epochs=epochs,
        callbacks=[callback],
        logger=TensorBoardLogger(tmp_path, name=None, default_hp_metric=False),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        log_every_n_steps=1,
        accelerator="cpu",
    )
    trainer.fit(stack, datamodule=data)
    return stack, trainer


@pytest.mark.draws
def test_scalars_figures_and_tables_of_every_epoch(tmp_path: Path) -> None:
    callback = TheoryGap(laws=LAW, samples=512, members=3)
    _, trainer = fitted(tmp_path, callback)
    (law,) = callback.results
    gaps = callback.results[law]
    assert set(gaps) == {"pre0", "act0", "out"}
    assert gaps["act0"].predicted.shape == (4, 3, 3)
    folder = Path(trainer.logger.log_dir)
    events = EventAccumulator(str(folder)).Reload()
    for layer in gaps:
        for n in range(1, 5):
            tag = f"theory_gap/{laws.parse(law).short}/{layer}/k{n}"
            points = events.Scalars(tag)
            assert len(points) == 2
            assert points[-1].value == pytest.approx(float(gaps[layer].gap[n - 1].mean()), rel=1e-4, abs=1e-9)
            assert events.Scalars(f"{tag}_stderr")[-1].value == pytest.approx(
                float(gaps[layer].stderr[n - 1].mean()), rel=1e-4
            )
    assert events.Images(f"theory_gap/{laws.parse(law).short}")
    table = pq.read_table(folder / "theory_gap")
    assert table.num_rows == 2 * 4 * 3 * (3 + 3 + 1)
    row = next(
        r
        for r in table.to_pylist()
        if (r["epoch"], r["layer"], r["order"], r["member"], r["unit"]) == (1, "act0", 2, 2, 1)
    )
    assert row["predicted"] == float(gaps["act0"].predicted[1, 1, 1])
    assert row["measured"] - row["predicted"] == pytest.approx(-float(gaps["act0"].gap[1, 1, 1]))


def test_a_gap_is_prediction_minus_measurement_of_the_same_members() -> None:
    stack = MLP(width=3, activation="relu", replicas=4, seed=2)
    law = laws.parse(LAW)
    x = law.sample((2000, 2), generator=torch.Generator().manual_seed(0))
    gap = propagate(stack, law, members=[3, 1]).compare(sampled_cumulants(stack, x, members=[3, 1]))["out"]
    whole = sampled_cumulants(stack, x)["out"]
    assert torch.equal(gap.measured, whole.k[:, [3, 1]])
    assert torch.allclose(gap.predicted[:, 0], propagate(stack, law).marginals("out")[:, 3].detach(), rtol=1e-10)
    assert torch.equal(gap.gap, gap.predicted - gap.measured)


def test_an_exact_method_leaves_noise_only(tmp_path: Path) -> None:
    callback = TheoryGap(laws=LAW, samples=20_000, method="quadrature", members=5, table=False)
    _, trainer = fitted(tmp_path, callback, epochs=1)
    for gap in callback.results[str(laws.parse(LAW))].values():
        ratio = (gap.gap / gap.stderr)[:2]
        assert ratio.abs().max() < 5
    assert not (Path(trainer.logger.log_dir) / "theory_gap").exists()


def test_graph_networks_with_independent_nodes(tmp_path: Path) -> None:
    model = GNN(graph="ring", block_size=3, layer="sage", activation="quadratic", width=2, replicas=2)
    callback = TheoryGap(method="independent_nodes", samples=64)
    fitted(tmp_path, callback, model, epochs=1)
    (gaps,) = callback.results.values()
    assert gaps["pre0"].predicted.shape == (4, 2, 6)


def test_a_figure_has_a_panel_an_order() -> None:
    stack = MLP(width=3, replicas=2)
    x = laws.parse(LAW).sample((100, 2))
    with torch.no_grad():
        figure = draw_gap(propagate(stack, LAW).compare(sampled_cumulants(stack, x)), "a title")
    assert [axes.get_title() for axes in figure.axes] == [
        f"{n} cumulant" for n in ("first", "second", "third", "fourth")
    ]


def test_laws_without_variance_are_left_out_or_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"laws='cauchy\(loc=0, scale=1\)' has no variance; allowed"):
        TheoryGap(laws="cauchy()")
    callback = TheoryGap()
    data = CLTDataModule(train_laws=["cauchy()", "uniform()"])
    assert [law.name for law in callback._chosen_laws(data)] == ["uniform"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every_n_epochs": -1}, "every_n_epochs=-1 is out of range"),
        ({"samples": 3}, "samples=3 is out of range"),
        ({"members": 0}, "members=0 is out of range"),
        ({"method": "magic"}, "method='magic' is unknown"),
        ({"closure": 7}, "closure=7 is out of range"),
        ({"laws": "nonsense()"}, "law 'nonsense' is unknown"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="allowed") as caught:
        TheoryGap(**arguments)
    assert message in str(caught.value)


def test_what_cannot_be_predicted_is_refused_before_training(tmp_path: Path) -> None:
    model = GNN(layer="gat", width=2)
    with pytest.raises(ValueError, match="layer='gat' is not affine"):
        fitted(tmp_path, TheoryGap(), model)
    assert fitted(tmp_path, TheoryGap(every_n_epochs=0), model)


def test_members_are_spread_over_the_stack() -> None:
    assert evenly_spread(352, 16)[0] == 0
    assert evenly_spread(352, 16)[-1] == 351
    assert len(set(evenly_spread(352, 16))) == 16
    assert evenly_spread(5, 1) == [0]
