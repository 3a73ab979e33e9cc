"""A loss and a metric of one's own, from the example: trained, chosen and judged by them; what breaks the contract is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from renorm.callbacks import Generalization
from renorm.datamodules import CLTDataModule
from renorm.testing import check_metric
from renorm.training.losses import LOSSES, Loss, find_loss
from renorm.training.metrics import OWN_METRICS, MemberMetric
from renorm.zoo import MLP

from ..conftest import Run

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_loss.py"


class Bias(MemberMetric):
    """Mean of output minus target."""

    name = "bias_of_a_test"

    def measure(self, prediction: Tensor, target: Tensor) -> Tensor:
        return (prediction - target).mean(dim=-1)


def test_the_example_trains_and_is_judged(renorm: Run, tmp_path: Path) -> None:
    short = "--trainer.max_epochs 2 --data.steps_per_epoch 20 --data.val_samples 256 --data.test_samples 256 --model.replicas 2"
    own = ["--model.loss", "huber", "--generalization.metrics", '["largest_error"]', "--name", "huber"]
    fit = ["fit", *own, *short.split(), "--trainer.accelerator", "cpu"]
    done = renorm(*fit, cwd=tmp_path, script=EXAMPLE)
    assert done.returncode == 0, done.stderr
    test = ["test", "--ckpt_path", "last", "--name", "huber", "--import", EXAMPLE]
    test += ["--generalization.metrics", '["largest_error"]', "--trainer.accelerator", "cpu"]
    done = renorm(*test, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "huber" / "version_0" / "checkpoints"
    results = json.loads((folder / "test_results.json").read_text())
    state = torch.load(folder / "last.ckpt", weights_only=True)
    arguments = state["hyper_parameters"] | {"loss": "mse"}  # the example's class is not defined here
    model, data = MLP(**arguments), CLTDataModule(**results["data"])
    model.load_state_dict(state["state_dict"])
    best = next(value for key, value in state["callbacks"].items() if key.startswith("BestCheckpoint"))
    for loader, law in zip(data.test_dataloader(), data.laws, strict=True):
        x, y = (torch.cat(parts) for parts in zip(*((batch.x, batch.y) for batch in loader), strict=True))
        largest = (model(x) - y).abs().amax(dim=1)
        assert results["results"][str(law)]["largest_error"] == pytest.approx(largest.tolist(), rel=1e-4)
    batches = list(data.val_dataloader()[0])
    x, y = torch.cat([batch.x for batch in batches]), torch.cat([batch.y for batch in batches])
    chosen = MLP(**arguments)
    chosen.load_state_dict(torch.load(folder / "best.ckpt", weights_only=True)["state_dict"])
    huber = [functional.huber_loss(row, y).item() for row in chosen(x)]
    assert float(best["best_model_score"]) == pytest.approx(float(torch.tensor(huber).quantile(0.5)), rel=1e-4)


def test_what_breaks_the_contract_is_refused() -> None:
    before = dict(LOSSES), dict(OWN_METRICS)
    try:

        class Summed(Loss):
            name = "summed_of_a_test"

            def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
                return (prediction - target).square().mean()

        class Numbers(Loss):
            name = "numbers_of_a_test"

            def __call__(self, prediction: Tensor, target: Tensor) -> Any:
                return [0.0, 0.0]

        with pytest.raises(ValueError, match=r"gives shape \(\) for two members; allowed: shape \(2,\)"):
            MLP(loss="summed_of_a_test")
        with pytest.raises(ValueError, match="gives a list for two members"):
            MLP(loss="numbers_of_a_test")
        check_metric(Bias, lambda prediction, target: {"bias_of_a_test": (prediction - target).mean(dim=1)})
        for base, name in ((Loss, "mse"), (MemberMetric, "relative_mse"), (MemberMetric, "bias_of_a_test")):
            with pytest.raises(ValueError, match=f"name='{name}' of Taken is taken"):
                type("Taken", (base,), {"name": name})
    finally:
        for registry, known in zip((LOSSES, OWN_METRICS), before, strict=True):
            registry.clear()
            registry.update(known)  # type: ignore[arg-type]


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="loss='hubert' is unknown; allowed: mse, energy, cumulant"):
        MLP(loss="hubert")
    with pytest.raises(ValueError, match="metrics='largest' is unknown; allowed: "):
        Generalization(metrics=["largest"])


def test_a_loss_is_tried_with_gradients_wherever_a_model_is_made() -> None:
    """Diagnostics copy the model where gradients are off."""

    class Fourth(Loss):
        name = "fourth_of_a_test"

        def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
            return (prediction - target).pow(4).mean(dim=-1)

    try:
        for context in (torch.no_grad(), torch.inference_mode()):
            with context:
                assert find_loss("fourth_of_a_test") is LOSSES["fourth_of_a_test"]
    finally:
        del LOSSES["fourth_of_a_test"]
