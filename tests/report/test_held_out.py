"""The sets of held-out laws: mirror symmetric, apart from training, and where they say they are."""

from __future__ import annotations

import numpy as np
import pytest

from renorm.datamodules import laws
from renorm.report.held_out import HELD_OUT, held_out


def moments(law: laws.Law, sign: int) -> list[float]:
    return [float(k) * sign**n for n, k in enumerate(law.cumulants(4), 1)]


@pytest.mark.parametrize("trained", HELD_OUT)
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


def test_other_laws_have_no_sets() -> None:
    with pytest.raises(ValueError, match=r"law='cauchy\(\)' has no held-out laws; allowed: uniform\(\), gaussian\(\)"):
        held_out("cauchy()")
