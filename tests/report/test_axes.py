"""Verdicts along axes: the same everywhere, or 'depends', with the share of the seeds that say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from renorm.report.axes import DEPENDS, Setting, judge_along_axes, places

OWN: dict[str, Any] = {
    "laws": ["uniform()", "gaussian()"],
    "scales": [1.0, 0.3],
    "rates": [0.03, 0.01],
    "seeds": 4,
}


def above(number: float, thresholds: Mapping[str, float]) -> str:
    return "yes" if number > thresholds["least"] else "no"


def test_places_differ_from_the_reference_along_one_axis() -> None:
    found = places(OWN)
    assert [*found] == [
        "reference",
        "training law gaussian()",
        "initial scale 0.3",
        "learning rate 0.03",
        "learning rate 0.01",
    ]
    reference, *others = found.values()
    assert reference == Setting("uniform()", 1.0, None)
    assert all(sum(a != b for a, b in zip(place, reference, strict=True)) == 1 for place in others)


def test_one_verdict_everywhere_is_the_verdict_and_its_share_counts_seeds_that_give_it_everywhere() -> None:
    # seed 2 says no at the small scale only, seed 3 everywhere
    def numbers(place: Setting, version: int) -> float:
        low = version == 4 or (version == 3 and place.scale == 0.3)
        return 0.0 if low else 1.0

    judged = judge_along_axes(above, numbers, {"least": 0.5}, OWN)
    assert (judged.verdict, judged.share) == ("yes", 0.5)
    assert judged.along["reference"] == ("yes", 0.75)
    assert judged.along["initial scale 0.3"] == ("yes", 0.5)
    assert "the same at every other place" in judged.sentence()


def test_a_verdict_that_flips_at_a_learning_rate_depends_on_it() -> None:
    judged = judge_along_axes(above, lambda place, version: float(place.rate != 0.03), {"least": 0.5}, OWN)
    assert (judged.verdict, judged.share) == (DEPENDS, 1.0)
    assert judged.sentence().startswith("yes at the reference (100% of the seeds); learning rate 0.03: no (100%).")
    assert judged.numbers()["verdict_along_the_axes"]["learning rate 0.03"] == {"verdict": "no", "share_of_seeds": 1.0}
