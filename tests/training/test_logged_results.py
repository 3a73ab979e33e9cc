"""What is logged is what Lightning keeps; only copies are left out."""

import pytest
import torch
from lightning.pytorch.trainer.connectors.logger_connector.result import _ResultCollection

from renorm.training.logged_results import LoggedResults


def logged(results: _ResultCollection) -> _ResultCollection:
    """A collection with means, a sum and a number of one step, each logged three times."""
    for number in (1.0, 2.5, -4.0):
        value = torch.tensor(number)
        results.log("training_step", "mean", value, on_step=True, on_epoch=True, batch_size=3)
        results.log("training_step", "sum", value, reduce_fx=torch.sum, batch_size=1)
        results.log("training_step", "step", value.double(), on_step=True, on_epoch=False, batch_size=1)
    return results


@pytest.mark.parametrize("on_step", [True, False])
def test_numbers_are_lightnings(on_step: bool) -> None:
    found, expected = (logged(kind(training=True)).metrics(on_step) for kind in (LoggedResults, _ResultCollection))
    assert found == expected
    assert found["log"]


def test_takes_the_place_of_a_collection_in_use() -> None:
    ours = logged(LoggedResults.in_place_of(logged(_ResultCollection(training=True))))
    assert ours.metrics(on_step=False) == logged(logged(_ResultCollection(training=True))).metrics(on_step=False)
    assert ours.training


def test_a_number_is_moved_only_to_another_device() -> None:
    results = logged(LoggedResults(training=True))
    metric = results["training_step.mean"]
    before = metric.value
    results.log("training_step", "mean", torch.tensor(1.0), on_step=True, on_epoch=True, batch_size=3)
    assert metric.to(torch.device("cpu")) is metric
    assert metric.value is not before  # it was updated, in the same place
    metric.to(torch.device("meta"))
    assert metric.value.device.type == metric.cumulated_batch_size.device.type == "meta"


def test_a_reset_forgets() -> None:
    results = logged(LoggedResults(training=True))
    results.reset()
    assert results.metrics(on_step=False)["log"] == {}
