"""The contracts hold for the package's own classes, and find what is wrong with others."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from renorm.datamodules import laws
from renorm.datamodules.laws import Law
from renorm.testing import check_activation, check_law, check_metric, check_symmetry
from renorm.training.metrics import Distances, SquaredErrors
from renorm.zoo import Symmetry, list_symmetries
from renorm.zoo.activations import REGISTRY, Activation, find
from renorm.zoo.symmetry import GroupElement, SignedPermutation
from renorm.zoo.symmetry.symmetry import REGISTRY as SYMMETRIES
from renorm.zoo.symmetry.symmetry import find as find_symmetry

LAWS = [
    "gaussian()",
    "gamma(shape=3)",
    "beta(a=2, b=3)",
    "rademacher()",
    "student_t(df=5)",
    "poisson()",
    "cauchy()",
    "gumbel()",
]


@pytest.mark.parametrize("text", LAWS)
def test_laws(text: str) -> None:
    check_law(laws.parse(text))


def test_a_law_with_wrong_cumulants_is_found() -> None:
    @dataclass(frozen=True)
    class Wrong(Law):
        name = "wrong_of_a_test"

        def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
            return x.exponential_(generator=generator)

        def exact_cumulants(self, order: int) -> list[Fraction]:
            return [Fraction(1), Fraction(2), *[Fraction(0)] * 6][:order]

    try:
        with pytest.raises(AssertionError, match="k2 is 2, a sample has "):
            check_law(Wrong())
    finally:
        del Law.registry["wrong_of_a_test"]


@pytest.mark.parametrize("name", ["linear", "quadratic", "relu", "leaky_relu", "tanh", "gelu", "spline"])
def test_activations(name: str) -> None:
    check_activation(find(name))


def test_an_activation_that_is_not_odd_is_found() -> None:
    class Shifted(Activation):
        name, parity = "shifted_of_a_test", "odd"

        def forward(self, z: Tensor) -> Tensor:
            return z + 1

    try:
        with pytest.raises(AssertionError, match="Shifted is not odd"):
            check_activation(Shifted)
    finally:
        del REGISTRY["shifted_of_a_test"]


@pytest.mark.parametrize("name", list_symmetries())
def test_symmetries(name: str) -> None:
    check_symmetry(find_symmetry(name), block_size=2 if name in ("dihedral", "permutation") else 4)


def test_a_symmetry_that_does_not_act_is_found() -> None:
    class Folded(Symmetry):
        """Not a permutation."""

        name = "folded_of_a_test"

        def generators(self, sizes: list[int]) -> list[GroupElement]:
            return [{0: SignedPermutation(np.zeros(sizes[0], dtype=np.int64))}]

    try:
        with pytest.raises(AssertionError, match="takes axis 0 to image="):
            check_symmetry(Folded)
    finally:
        del SYMMETRIES["folded_of_a_test"]


def test_metrics() -> None:
    def distances(prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """By all pairs, and by ordered samples."""
        across = (prediction[:, :, None] - target).abs().mean(dim=(1, 2))
        within = (prediction[:, :, None] - prediction[:, None]).abs().mean(dim=(1, 2))
        energy = (2 * across - within - (target[:, None] - target).abs().mean()).sqrt()
        return {
            "wasserstein1": (prediction.sort().values - target.sort().values).abs().mean(dim=1),
            "energy_distance": energy,
        }

    check_metric(Distances, distances)
    with pytest.raises(AssertionError, match="SquaredErrors, at once: names"):
        check_metric(SquaredErrors, distances)
