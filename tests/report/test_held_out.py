"""The sets of held-out laws: mirror symmetric, apart from training, split where they say, and those of the claims' results."""

from __future__ import annotations

import numpy as np
import pytest

from renorm.datamodules import laws
from renorm.report.held_out import HeldOut, held_out

# written out, as results are known by the laws in them
BOUNDED = (
    *("rademacher()", "standardised(beta(a=0.5, b=0.5))"),
    *("triangular(low=-1.7, mode=1.7, high=1.7)", "triangular(low=-1.7, mode=-1.7, high=1.7)"),
)
TAILS = ("laplace(scale=0.7071067811865476)", "student_t(df=10)")
TWO_PEAKS = "mixture(1*gaussian(mean=-1, std=0.5) + 1*gaussian(mean=1, std=0.5))"
FAR = ("exponential()", "mirrored(exponential())", "gaussian(mean=1, std=3)", "gaussian(mean=-1, std=3)")
OF_THE_CLAIMS = {
    "uniform()": HeldOut(BOUNDED, ("gaussian()", *TAILS, TWO_PEAKS, *FAR)),
    "gaussian()": HeldOut((*BOUNDED, "uniform()", TWO_PEAKS), (*TAILS, *FAR)),
}


def moments(law: laws.Law, sign: int) -> list[float]:
    return [float(k) * sign**n for n, k in enumerate(law.cumulants(4), 1)]


@pytest.mark.parametrize("trained", OF_THE_CLAIMS)
def test_sets_are_those_of_the_claims_by_name_and_order(trained: str) -> None:
    assert held_out(trained) == OF_THE_CLAIMS[trained]


@pytest.mark.parametrize("trained", [*OF_THE_CLAIMS, "cauchy()", "laplace()"])
def test_every_set_holds_its_mirror_images_and_not_the_law_of_training(trained: str) -> None:
    for names in held_out(trained):
        own = [moments(laws.parse(name), 1) for name in names]
        for name in names:
            image = moments(laws.parse(name), -1)
            assert any(np.allclose(image, other, atol=1e-12) for other in own), name
    assert trained not in held_out(trained).laws
    assert len(set(held_out(trained).laws)) == len(held_out(trained).laws)


def test_interpolation_is_within_the_support_of_training() -> None:
    low, high = laws.parse("uniform()").support()
    inside = {name: laws.parse(name).support() for name in held_out("uniform()").laws}
    for name, (least, largest) in inside.items():
        within = low < least and largest < high
        assert within == (name in held_out("uniform()").interpolation), name


def test_under_the_gaussian_the_tails_decide() -> None:
    def tail(name: str) -> float:
        law = laws.parse(name)
        if law.support()[1] < 6 and law.support()[0] > -6:
            return 0.0
        return float((law.pdf(np.array([-6.0, 6.0])) / laws.parse("gaussian()").pdf(np.array([-6.0, 6.0]))).max())

    sets = held_out("gaussian()")
    assert all(tail(name) < 1 for name in sets.interpolation)
    assert all(tail(name) > 1 for name in sets.extrapolation)
