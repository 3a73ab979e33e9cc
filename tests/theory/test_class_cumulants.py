"""Mean and covariance of classes through trained networks: the page has the program's numbers, and what it says holds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
PAGE, NUMBERS = ROOT / "docs" / "class_cumulants.md", ROOT / "docs" / "images" / "class_cumulants.json"


@pytest.fixture(scope="module")
def program() -> Any:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import class_cumulants
    finally:
        sys.path.pop(0)
    return class_cumulants


@pytest.fixture(scope="module")
def measured(program: Any) -> dict[str, Any]:
    numbers: dict[str, Any] = program.measure(quick=True)[1]
    return numbers


def check(found: dict[str, Any]) -> None:
    """What the page says."""
    xor, digits = found["xor"], found["digits"]
    # Gaussian inputs: exact up to the second activation, but for the sample
    for name in ("0", "1", "2"):
        assert max(xor["layers"]["Gaussian"][name].values()) < 0.01
    for task in (xor, digits):
        assert task["layers"]["Gaussian"]["4"]["mean"] < 0.02
        predicted, gaussian = task["orders"]["order 2"], task["scores"]["Gaussian"]
        assert 0.4 < predicted["cross_entropy"] / gaussian["cross_entropy"] < 2.5
        assert abs(predicted["accuracy"] - gaussian["accuracy"]) < 0.1
    # the mean alone knows nothing of the XOR; two orders see the Gaussian, four the two clouds
    orders, data = xor["orders"], xor["scores"]["data"]
    assert orders["order 1"]["accuracy"] < 0.6
    assert orders["order 2"]["cross_entropy"] > 3 * data["cross_entropy"]
    assert orders["order 4"]["cross_entropy"] < 0.5 * orders["order 2"]["cross_entropy"]
    assert abs(orders["its two Gaussians"]["accuracy"] - data["accuracy"]) < 0.03
    # digits: the output's moments follow from the inputs' moments, the cross-entropy does not
    assert digits["layers"]["data"]["4"]["mean"] < 0.05
    assert digits["layers"]["data"]["4"]["covariance"] < 0.25
    assert digits["orders"]["order 2"]["accuracy"] > 0.97
    assert digits["orders"]["order 2"]["cross_entropy"] > 3 * digits["scores"]["data"]["cross_entropy"]


@pytest.mark.slow
def test_what_the_page_says_holds_in_a_run_of_its_own(measured: dict[str, Any]) -> None:
    check(measured)


def test_the_pages_numbers_are_the_programs() -> None:
    numbers = json.loads(NUMBERS.read_text())
    check(numbers)
    page = PAGE.read_text()
    for task, found in numbers.items():
        rows = found["orders"] | {f"measured, {kind} inputs": found["scores"][kind] for kind in ("Gaussian", "data")}
        for name, score in rows.items():
            assert f"| {task} | {name} | {score['cross_entropy']:.4f} | {score['accuracy']:.4f} |" in page
    assert sum(line.startswith(("| xor |", "| digits |")) for line in page.splitlines()) == 11


def test_expected_scores_of_a_gaussian_output(program: Any) -> None:
    mean, covariance = torch.tensor([1.0, 0.0]).double(), torch.tensor([[1.0, 0.3], [0.3, 2.0]]).double()
    entropy, accuracy = program.expected(mean, covariance, 0)
    margin = torch.distributions.Normal(1.0, (1 + 2 - 0.6) ** 0.5)
    assert accuracy == pytest.approx(1 - float(margin.cdf(torch.tensor(0.0))), abs=2e-3)
    z, weight = map(torch.from_numpy, np.polynomial.hermite_e.hermegauss(80))
    softplus = torch.nn.functional.softplus(-(1 + 2.4**0.5 * z))
    assert entropy == pytest.approx(float((weight * softplus).sum() / weight.sum()), abs=2e-3)
