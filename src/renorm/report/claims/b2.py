"""B2: do joint cumulants across nodes repair the propagation through graph networks?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..claim import Claim
from ..experiments import Experiments
from ..finding import Drawing, Effect, Finding
from ..seed_statistics import summary
from .c8 import ORDERS, Gaps, draw_methods, judge_laws, readout_numbers, run_cases, verdict_by_law

TRIED = "Closures at K = 2 and 4 at every layer, and the exact methods, which have no gap beyond noise; two laws."


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """Compare the closures with independent nodes at the readout."""
    own, seeds = claim.settings, claim.settings["seeds"]
    found = run_cases(claim, experiments)
    cases = list(own["cases"])
    answer, share = judge_laws(found, cases, "joint4", own["laws"], verdict, claim.thresholds, seeds)
    pair = judge_laws(found, own["own_graph"], "joint4", own["laws"], verdict, claim.thresholds, seeds)
    gains = [gaps["independent"]["out"][:, 1] - gaps["joint4"]["out"][:, 1] for gaps in found.values()]
    least = summary(np.min(gains, axis=0), seeds)
    effect = Effect.of(
        "decades by which joint cumulants, K = 4, shrink the gap of k2 at the readout, least over graphs and laws",
        least,
    )
    drawing = Drawing(
        "methods",
        "Gap at the readout against the order of the cumulant, mean over members of the logarithm with its 95% "
        "interval, first law. The methods "
        "that leave nothing out show the noise of the measurement.",
        draw_methods(found, cases, own["laws"][0], seeds),
    )
    numbers = {
        "share_of_seeds": share,
        "verdict_by_law": verdict_by_law(found, cases, "joint4", own["laws"], verdict, claim.thresholds),
        "verdict_on_the_pair": pair[0],
        "share_of_seeds_on_the_pair": pair[1],
        "readout": readout_numbers(found, None, seeds),
    }
    stable = (
        f"{share:.0%} of the seeds give the verdict by themselves. On the paper's own graph, the pair, it is {pair[0]} "
        f"({pair[1]:.0%} of the seeds)."
    )
    return Finding(answer, effect, numbers, [drawing], "" if answer == "yes" else TRIED, [stable, *remarks(found)])


def verdict(numbers: Mapping[str, Sequence[float]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the question.

    Args:
        numbers: case -> for each order the gap of K = 4.
        thresholds: ``repaired``.

    Example:
        >>> verdict({"ring": [0.01, 0.05, 0.4, 0.9]}, {"repaired": 0.1})
        'partly'
    """
    gaps = list(numbers.values())
    if all(max(case) <= thresholds["repaired"] for case in gaps):
        return "yes"
    return "partly" if all(max(case[:2]) <= thresholds["repaired"] for case in gaps) else "no"


def remarks(found: Gaps) -> list[str]:
    """Say how much of the gap each closure removes."""
    lines = []
    for method, name in (("joint2", "K = 2"), ("joint4", "K = 4")):
        shrunk = {
            n: [gaps["independent"]["out"][0, n - 1] - gaps[method]["out"][0, n - 1] for gaps in found.values()]
            for n in ORDERS
        }
        text = ", ".join(f"k{n}: {10 ** np.mean(decades):.2g}" for n, decades in shrunk.items())
        lines.append(
            f"Factor by which joint cumulants with {name} shrink the gap of independent nodes at the readout, "
            f"geometric mean over graphs and laws: {text}."
        )
    return [
        *lines,
        "K = 8 is refused by this version: closures keep cumulants to order 4. The exact methods stand in its place.",
    ]
