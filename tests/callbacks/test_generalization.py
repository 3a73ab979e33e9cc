"""The generalisation callback: what it measures, logs and draws."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger
from matplotlib import pyplot as plt

from renorm import evaluate
from renorm.callbacks import CumulantDiagnostics, Generalization, RGFlow, SymmetryBreaking, generalization
from renorm.callbacks.charts import BRACKETS, logarithms
from renorm.callbacks.figures import error_by_grid_point
from renorm.callbacks.results import explanation_of_sets, medians_table
from renorm.console import fitted_text
from renorm.datamodules import CLTDataModule
from renorm.datamodules.blocks import law_tags
from renorm.training.metrics import METRICS, law_metrics, quantiles
from renorm.zoo import MLP, StackedModel


def validate(model: StackedModel, data: CLTDataModule, folder: Path) -> Generalization:
    callback = Generalization()
    trainer = Trainer(
        accelerator="cpu",
        logger=CSVLogger(folder, name="", version=""),
        callbacks=[callback],
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.validate(model, data, verbose=False)
    return callback


def read(folder: Path) -> dict[str, float]:
    with (folder / "metrics.csv").open() as file:
        return {k: float(v) for row in csv.DictReader(file) for k, v in row.items() if v}


def exact_map(block_size: int = 2) -> MLP:
    model = MLP(width=1, activation="linear", block_size=block_size, replicas=2)
    with torch.no_grad():
        model.hidden[0].weight.theta.fill_(block_size**-0.5)
        model.readout.weight.theta.fill_(1.0)
        model.hidden[0].bias.theta.fill_(0.0)
        model.readout.bias.theta.fill_(0.0)
    return model


def test_the_exact_map_has_no_error(tmp_path: Path) -> None:
    callback = validate(exact_map(), CLTDataModule(val_samples=1000), tmp_path)
    assert len(callback.results) == 11
    for metrics in callback.results.values():
        assert tuple(metrics) == METRICS
        for values in metrics.values():
            assert values.shape == (2,)
            assert float(values.abs().max()) < 2e-4


def test_a_known_error_is_measured(tmp_path: Path) -> None:
    model = exact_map()
    with torch.no_grad():
        model.readout.bias.theta[1] = 0.5  # member 1 is off by a constant
    results = validate(model, CLTDataModule(val_samples=1000), tmp_path).results["gaussian(mean=1, std=3)"]
    assert results["mse"].tolist() == pytest.approx([0.0, 0.25], abs=1e-6)
    assert results["relative_mse"][1] == pytest.approx(0.25 / 9, rel=0.1)
    assert results["wasserstein1"].tolist() == pytest.approx([0.0, 0.5], abs=1e-5)
    assert results["k1_error"].tolist() == pytest.approx([0.0, 0.5], abs=1e-5)
    assert results["k2_error"].tolist() == pytest.approx([0.0, 0.0], abs=1e-4)


def test_cumulants_that_do_not_exist_have_no_error(tmp_path: Path) -> None:
    data = CLTDataModule(held_out_laws=["student_t(df=3.5)"], val_samples=500)
    results = validate(exact_map(), data, tmp_path).results["student_t(df=3.5)"]
    assert results["k3_error"].isfinite().all()
    assert results["k4_error"].isnan().all()
    logged = read(tmp_path)
    assert "generalization/student_t(df=3.5)/k3_error" in logged
    assert "generalization/student_t(df=3.5)/k4_error" not in logged


@pytest.mark.draws
def test_diverged_members_are_left_out_of_quantiles(tmp_path: Path) -> None:
    model = exact_map()
    with torch.no_grad():
        model.readout.weight.theta[0] = torch.nan
    callback = validate(model, CLTDataModule(held_out_laws=["gaussian()"], val_samples=64), tmp_path)
    assert callback.results["gaussian(mean=0, std=1)"]["mse"].isnan().tolist() == [True, False]
    logged = read(tmp_path)
    assert logged["generalization/gaussian()/mse_q90"] < 1e-9  # of the member that is left
    assert logged["members/diverged"] == 1


def test_worst_laws_within_the_range_of_training_and_beyond_it(tmp_path: Path) -> None:
    model = exact_map()
    with torch.no_grad():
        model.readout.weight.theta[1] *= 1.5  # wrong in proportion to the variable
    data = CLTDataModule(held_out_laws=["rademacher()", "gaussian(std=3)", "gaussian()"], val_samples=500)
    results, logged = validate(model, data, tmp_path).results, read(tmp_path)
    mse = {law: quantiles(metrics["mse"])[1] for law, metrics in results.items()}
    assert logged["interpolation/mse"] == pytest.approx(float(mse["rademacher()"]))
    for name in ("extrapolation", "held_out"):
        assert logged[f"{name}/mse"] == pytest.approx(float(mse["gaussian(mean=0, std=3)"]))
    assert logged["extrapolation/mse"] > 5 * logged["interpolation/mse"]


def test_the_table_has_the_worst_of_each_set() -> None:
    results = {law: {"mse": torch.tensor([error])} for law, error in (("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 4.0))}
    sets = {"trained": ["a"], "held_out": ["b", "c", "d"], "interpolation": ["b", "c"], "extrapolation": ["d"]}
    shown = fitted_text(medians_table(MLP(), results, sets), [], "")
    rows = [line.split() for line in shown.rstrip().splitlines()]
    assert [row[:-2] + row[-1:] for row in rows[-2:]] == [
        ["worst,", "interpolation", "3"],
        ["worst,", "extrapolation", "4"],
    ]
    assert explanation_of_sets(sets, {"b": "short"}).endswith(" short, c; extrapolation: beyond it")
    assert "worst" not in fitted_text(medians_table(MLP(), results, {}), [], "")


def test_more_lines_than_colours_can_be_told_apart_and_named_outside() -> None:
    grid = MLP(activation="leaky_relu", negative_slope=[0.1, 0.5], replicas=2)
    laws = [str(law) for law in CLTDataModule().laws]
    (axes,) = error_by_grid_point(grid, {law: {"relative_mse": torch.rand(4)} for law in laws}).axes
    looks = {(line.get_color(), line.get_linestyle()) for line in axes.get_lines()}
    assert len(looks) == len({text.get_text() for text in axes.get_legend().get_texts()}) == len(laws) == 11


def test_figures_have_a_line_a_law_or_a_point_a_law() -> None:
    results = {"gaussian()": {"relative_mse": torch.rand(4)}, "rademacher()": {"relative_mse": torch.rand(4)}}
    grid = MLP(activation="leaky_relu", negative_slope=[0.1, 0.5], replicas=2)
    (axes,) = error_by_grid_point(grid, results).axes
    assert len(axes.get_lines()) == 2
    assert axes.get_xlabel() == "negative slope"
    (axes,) = error_by_grid_point(MLP(replicas=4), results).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["gaussian()", "rademacher()"]
    assert plt.get_fignums() == []


def test_negative_intervals_are_refused() -> None:
    with pytest.raises(ValueError, match="figure_every_n_validations=-1 is out of range; allowed: whole numbers >= 0"):
        Generalization(figure_every_n_validations=-1)


def test_every_quantile_is_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[torch.Tensor] = []

    def counted(values: torch.Tensor, *levels: tuple[float, ...]) -> list[torch.Tensor]:
        taken.append(values)
        return quantiles(values, *levels)

    monkeypatch.setattr(generalization, "quantiles", counted)
    callback = validate(exact_map(), CLTDataModule(val_samples=100), tmp_path)
    worst = 4 * len(
        METRICS
    )  # of the laws trained on, of those held out, and of these by interpolation and extrapolation
    assert len(taken) == len(callback.results) * len(METRICS) + worst
    logged, tags = read(tmp_path), law_tags(CLTDataModule())
    for law, metrics in callback.results.items():
        low, median, high = map(float, quantiles(metrics["mse"]))
        tag = f"generalization/{tags[law]}/mse"
        assert [logged[f"{tag}_q10"], logged[tag], logged[f"{tag}_q90"]] == pytest.approx([low, median, high])


def test_the_metrics_of_a_law_are_those_of_evaluate(tmp_path: Path) -> None:
    model, data = exact_map(), CLTDataModule(test_samples=1500)
    with torch.no_grad():
        model.readout.bias.theta[1] = 0.5
    callback = Generalization()
    trainer = Trainer(accelerator="cpu", logger=False, callbacks=[callback], enable_progress_bar=False)
    trainer.test(model, data, verbose=False)
    for law, metrics in evaluate(model, samples=1500).results.items():
        for name, values in metrics.items():
            torch.testing.assert_close(callback.results[law][name], values, rtol=0, atol=0, equal_nan=True)


def test_metrics_of_many_members_are_of_the_first_blocks_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(generalization, "LEAST_BLOCKS", 8)
    caplog.set_level("INFO", "renorm")
    data = CLTDataModule(
        held_out_laws=["gaussian()"], val_samples=64, eval_batch_size=16, steps_per_epoch=3, batch_size=16
    )
    callback, model = Generalization(0, most_outputs=4 * 24), MLP(replicas=4, compile=False)
    logger = CSVLogger(tmp_path, name="", version="")
    off = [kind(every_n_epochs=0) for kind in (CumulantDiagnostics, SymmetryBreaking, RGFlow)]
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=logger,
        callbacks=[callback, *off],
        enable_checkpointing=False,
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(model, data)
    said = [line for line in caplog.messages if line.startswith("validation:")]
    assert len(said) == 1
    assert "the first 24 of 64 blocks" in said[0]
    assert trainer.num_val_batches == [4, 2]  # all blocks of the law trained on, for the loss
    for law in data.laws:
        blocks = [data.batch("val", 0, step, law=law) for step in range(4)]
        with torch.no_grad():
            pairs = [(model(part.x)[:, :rows], part.y[:rows]) for part, rows in zip(blocks[:2], (16, 8), strict=True)]
            every = torch.cat([(model(part.x) - part.y).square() for part in blocks], dim=1)
        expected = law_metrics(data.existing_cumulants(str(law)), pairs)
        for name, values in expected.items():
            torch.testing.assert_close(callback.results[str(law)][name], values, rtol=1e-4, atol=1e-6)
        if data.is_trained_on(str(law)):
            assert float(trainer.callback_metrics["loss/val"]) == pytest.approx(float(every.mean(1).quantile(0.5)))
    logged, law = read(tmp_path), data.laws[1].short
    assert {f"generalization/{law}/energy_distance_of_24", "trained/wasserstein1_of_24"} <= set(logged)
    assert not [tag for tag in logged if "distance" in tag and tag.endswith("_q10")]
    assert f"generalization/{law}/wasserstein1" not in logged
    assert "held_out/mse" in logged
    assert "trained/wasserstein1" in trainer.callback_metrics  # by which a user's callback may choose
    assert data.most_judged is None  # a validation with the same data has all blocks


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("most", [5, 16, 23, 40])
def test_any_number_of_processes_judges_the_same_blocks(world_size: int, most: int) -> None:
    data = CLTDataModule(held_out_laws=["gaussian()"], val_samples=40, eval_batch_size=16)
    whole = torch.cat([data.batch("val", 0, step, law=data.laws[1]).x for step in range(3)])
    data.most_judged = most
    parts: dict[int, list[Any]] = {}
    for rank in range(world_size):
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world_size)  # type: ignore[assignment]
        for step, part in enumerate(data.val_dataloader()[1]):
            assert len(part.x) == data.judged_rows(step)
            parts.setdefault(step, []).append(part.x)
    judged = torch.cat([torch.cat(parts[step]) for step in sorted(parts)])
    assert torch.equal(judged, whole[:most])


def test_logarithms_stand_beside_what_falls_by_decades(tmp_path: Path) -> None:
    validate(exact_map(), CLTDataModule(val_samples=100), tmp_path)
    logged = read(tmp_path)
    for tag in ("generalization/uniform()/relative_mse", "generalization/gaussian()/relative_mse_q90"):
        assert logged[f"log10/{tag.translate(BRACKETS)}"] == pytest.approx(math.log10(logged[tag]), rel=1e-5)
    for tag in ("loss/val", "held_out/relative_mse"):
        assert logged[f"log10/{tag}"] == pytest.approx(math.log10(logged[tag]), rel=1e-5)
    assert logarithms({"a": 0.0, "b": -1.0, "c": math.nan}) == {"log10/a": pytest.approx(-307.65, abs=0.01)}
