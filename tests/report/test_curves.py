"""Marks of frustration in loss curves, found where they were put."""

from __future__ import annotations

import numpy as np
import pytest

from renorm.report.competition import gradient_alignment
from renorm.report.curves import count_plateaus, recorded_steps, rises, times_to


def test_plateaus_are_counted_where_they_were_put() -> None:
    steps = recorded_steps(100_000, 200)

    def staircase(*levels: float) -> np.ndarray:
        edges = np.geomspace(20, 100_000, len(levels) + 1)[1:-1]
        return np.array([levels[int(np.searchsorted(edges, step))] for step in steps])

    power = 1 / np.array(steps)
    close = staircase(1.0, 0.6, 0.5, 1e-6)  # three rests, of which two are one level
    curves = np.array([staircase(1.0, 0.1, 0.01, 1e-6), staircase(0.5, 1e-6), power, close])
    assert count_plateaus(steps, curves, 1e-4).tolist() == [3, 1, 0, 1]
    assert count_plateaus(steps, curves, 0.05).tolist() == [2, 1, 0, 1]
    assert count_plateaus(steps, np.full((1, len(steps)), np.nan), 1e-4).tolist() == [0]


def test_noise_below_the_floor_is_no_rise() -> None:
    curve = np.array([[1.0, 0.1, 1e-6, 1e-4, 1e-7], [1.0, 0.2, 0.5, 0.01, 1e-5]])
    assert rises(curve, 1e-3) == pytest.approx([1.0, 2.5])
    assert rises(np.array([[1.0, np.nan]]), 1e-3) == pytest.approx([np.inf])
    assert times_to([1, 5, 9], np.array([[1.0, np.nan, 1e-4]]), 1e-3).tolist() == [9]


def test_alignment_over_training() -> None:
    own = {"width": 3, "negative_slope": 0.5, "replicas": 4, "steps": 30, "records": 4, "samples": 64, "seed": 0}
    found = gradient_alignment(own | {"symmetry": "free"})
    assert len(found["steps"]) == len(found["agreement"]) == len(found["frustration"]) == 3
    assert 1 <= found["solutions"] <= 4
    assert all(-1.000001 <= value <= 1.000001 for row in found["agreement"] for value in row)
    assert all(value is None or 0 <= value <= 1.000001 for row in found["frustration"] for value in row)
