"""How the page writes numbers."""

from __future__ import annotations

import doctest
import re

import pytest
from findings import formats, page, records
from findings.formats import interval, number, percent, span
from hypothesis import given
from hypothesis import strategies as st

REAL = st.floats(-1e8, 1e8).filter(lambda value: value == 0 or abs(value) > 1e-12)


@pytest.mark.parametrize("module", [formats, page, records])
def test_examples(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def read(text: str) -> list[float]:
    return [float(part.replace("−", "-")) for part in re.findall(r"−?\d[\d.]*(?:e−?\d+)?", text)]


@given(REAL)
def test_a_number_is_right_to_half_of_its_last_digit(value: float) -> None:
    assert read(number(value))[0] == pytest.approx(value, rel=0.051)


@given(st.floats(1e-4, 10.0))
def test_a_share_is_right_to_half_of_its_last_digit(value: float) -> None:
    assert read(percent(value))[0] == pytest.approx(100 * value, rel=0.051)


@given(st.tuples(REAL, REAL, REAL).map(sorted))
def test_an_interval_holds_its_estimate_and_shows_its_width(ends: list[float]) -> None:
    low, value, high = ends
    shown = interval({"low": low, "value": value, "high": high})
    v, a, b = read(shown)
    assert a <= v <= b
    wide = (high - low) / 2
    largest = max(map(abs, ends))
    assert abs(a - low) <= max(0.051 * wide, 0.051 * largest)
    assert abs(v - value) <= max(0.051 * wide, 0.051 * largest)


def test_what_is_not_finite_is_infinite() -> None:
    assert interval({"value": 2.0, "low": 1.0, "high": None}) == "2.0 [1.0, ∞]"
    assert span([1.0, 1.0]) == "1.0"
