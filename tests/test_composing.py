"""Fingerprints stand for figures: they tell other curves, areas and words apart."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from .composing import fingerprint


def figure(line: float = 1.0, area: float = 1.0, point: float = 1.0, title: str = "a") -> Figure:
    drawn = Figure()
    axes = drawn.add_subplot(title=title)
    axes.plot([0, 1], [0, line])
    axes.fill_between([0, 1], [0, 0], [1, area])
    axes.scatter([0, point], [0, 1])
    return drawn


def test_a_fingerprint_is_of_what_is_drawn() -> None:
    same, again = fingerprint(figure()), fingerprint([figure()])
    assert np.array_equal(same, again)
    assert same.shape == (3, 2, 5)
    for other in (figure(line=2), figure(area=2), figure(point=2), figure(title="b")):
        assert not np.array_equal(fingerprint(other), same)
