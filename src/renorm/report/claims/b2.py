"""B2: do joint cumulants across nodes repair the propagation through graph networks?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..claim import Claim
from ..experiments import Experiments
from ..finding import Drawing, Effect, Finding
from .c8 import Gaps, draw_methods, readout_gaps, run_cases


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """Compare the closures with independent nodes at the readout."""
    found = readout_gaps(run_cases(claim, experiments), experiments.seed)
    joint = {case: methods["joint4"] for case, methods in found.items()}
    verdict_ = verdict(joint, claim.thresholds)
    worst = max(joint, key=lambda case: float(found[case]["independent"][1][0]))
    effect = Effect(f"relative error of k2 of the readout, joint cumulants, K = 4, {worst}", *joint[worst][1])
    figures = [
        Drawing(
            "methods",
            "Gap at the readout against the order of the cumulant, median over members with its 95% "
            "interval. The methods that leave nothing "
            "out show the noise of the measurement.",
            draw_methods(found),
        )
    ]
    tried = (
        ""
        if verdict_ == "yes"
        else "Tried: closures at K = 2 and 4 at every layer, and the exact methods, which have no gap beyond noise."
    )
    return Finding(verdict_, effect, {"readout": found}, figures, tried, remarks(found))


def verdict(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the question.

    Args:
        numbers: case -> for each order the median gap of K = 4, with its interval.
        thresholds: ``repaired``.

    Example:
        >>> verdict({"ring": [[0.01], [0.05], [0.4], [0.9]]}, {"repaired": 0.1})
        'partly'
    """
    gaps = [[order[0] for order in case] for case in numbers.values()]
    if all(max(case) <= thresholds["repaired"] for case in gaps):
        return "yes"
    return "partly" if all(max(case[:2]) <= thresholds["repaired"] for case in gaps) else "no"


def remarks(found: Gaps) -> list[str]:
    """Say how much of the gap each closure removes."""
    lines = []
    for method, name in (("joint2", "K = 2"), ("joint4", "K = 4")):
        ratios = [
            [gaps["independent"][n][0] / gaps[method][n][0] for gaps in found.values()]
            for n in range(len(next(iter(found.values()))[method]))
        ]
        text = ", ".join(f"k{n}: {np.median(ratio):.2g}" for n, ratio in enumerate(ratios, start=1))
        lines.append(
            f"Factor by which joint cumulants with {name} shrink the gap of independent nodes at the "
            f"readout, median over cases: {text}."
        )
    return [
        *lines,
        "K = 8 is refused by this version: closures keep cumulants to order 4. The exact methods stand in its place.",
    ]
