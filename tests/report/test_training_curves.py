"""Curves of networks on the axes: what is read off them, at the rate that is the fastest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from renorm.report.axes import Setting
from renorm.report.training_curves import TrainingCurves

STEPS = [1, 10, 100]
OWN: dict[str, Any] = {"scales": [1.0, 0.3], "rates": [0.03, 0.01], "seeds": 2, "learned": 1e-3, "rise": 2}
REFERENCE = Setting("uniform()", 1.0)


def by_hand() -> TrainingCurves:
    """Two slopes; the first rate is the fastest at the first, the second at the other; from the small start nobody learns."""
    errors = np.ones((3, 2, 2, 2, 2, 3))  # step, slope, scale, rate, seed, member
    errors[1:, 0, 0, 0] = 1e-4
    errors[2:, 0, 0, 1] = 1e-4
    errors[1, 0, 0, 0, 1] = 2.5  # the second seed rises before it learns
    errors[1:, 1, 0, 1] = 1e-4
    return TrainingCurves({("uniform()", "net"): errors}, STEPS, OWN, seed=0)


def test_times_are_those_at_the_fastest_rate_of_each_slope_and_version() -> None:
    found = by_hand()
    np.testing.assert_allclose(found.mean("net", REFERENCE, "log_time", grid=0)[:3], [1.5, 1, 2])
    np.testing.assert_allclose(found.mean("net", REFERENCE, "log_time", grid=1)[:3], 1)
    np.testing.assert_allclose(found.mean("net", REFERENCE, "log_time")[:3], [1.25, 1, 1.5])
    np.testing.assert_allclose(found.mean("net", Setting("uniform()", 1.0, 0.01), "log_time")[:3], 1.5)
    np.testing.assert_allclose(found.mean("net", REFERENCE, "rising")[:3], [0.25, 0, 0.5])


def test_members_that_never_learn_count_at_the_last_step() -> None:
    small = Setting("uniform()", 0.3)
    np.testing.assert_allclose(by_hand().mean("net", small, "log_time")[:3], 2)
    np.testing.assert_allclose(by_hand().mean("net", small, "learned")[:3], 0)
    assert by_hand().waiting("net", small, 0).tolist() == [1, 1, 1]
    assert by_hand().waiting("net", REFERENCE, 0).tolist() == pytest.approx([1, 0.5, 0])
