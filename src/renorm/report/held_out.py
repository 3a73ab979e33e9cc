"""Laws that networks are tested on and never trained on, in two sets: within what training saw, and beyond it.

The central-limit map is odd, and a network may be wrong on one side only. So each set is mirror symmetric: it holds the mirror
image of every law that is not its own.
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import InputError

ARCSINE = "standardised(beta(a=0.5, b=0.5))"  # on [-1.41, 1.41]
TWO_PEAKS = "mixture(1*gaussian(mean=-1, std=0.5) + 1*gaussian(mean=1, std=0.5))"
SKEWED = ("triangular(low=-1.7, mode=1.7, high=1.7)", "triangular(low=-1.7, mode=-1.7, high=1.7)")
LAPLACE = "laplace(scale=0.7071067811865476)"
ONE_SIDED = ("exponential()", "mirrored(exponential())")
WIDE = ("gaussian(mean=1, std=3)", "gaussian(mean=-1, std=3)")

SHORT = {  # names that fit beside a figure
    ARCSINE: "arcsine",
    SKEWED[0]: "triangular, right",
    SKEWED[1]: "triangular, left",
    LAPLACE: "laplace",
    "student_t(df=10)": "student t",
    TWO_PEAKS: "two peaks",
    ONE_SIDED[1]: "exponential, mirrored",
    WIDE[0]: "wide, mean 1",
    WIDE[1]: "wide, mean -1",
}


class HeldOut(NamedTuple):
    """The held-out laws of one training law.

    Attributes:
        interpolation: laws within the support of the training law; under the Gaussian, whose support is everything, laws
            without more weight in its tails than it has.
        extrapolation: laws that reach beyond the support, or have more weight in the tails.
    """

    interpolation: tuple[str, ...]
    extrapolation: tuple[str, ...]

    @property
    def laws(self) -> tuple[str, ...]:
        """Those of both sets."""
        return self.interpolation + self.extrapolation


HELD_OUT = {
    "uniform()": HeldOut(
        ("rademacher()", ARCSINE, *SKEWED),
        ("gaussian()", LAPLACE, "student_t(df=10)", TWO_PEAKS, *ONE_SIDED, *WIDE),
    ),
    "gaussian()": HeldOut(
        ("rademacher()", ARCSINE, *SKEWED, "uniform()", TWO_PEAKS),
        (LAPLACE, "student_t(df=10)", *ONE_SIDED, *WIDE),
    ),
}


def short_name(law: str) -> str:
    """A law's name for figures and sentences.

    Example:
        >>> short_name("gaussian()"), short_name(ARCSINE)
        ('gaussian', 'arcsine')
    """
    return SHORT.get(law, law.removesuffix("()"))


def held_out(law: str) -> HeldOut:
    """The held-out laws of a training law.

    Raises:
        ValueError: for a training law that has none.

    Example:
        >>> held_out("uniform()").interpolation[0]
        'rademacher()'
    """
    if law not in HELD_OUT:
        raise InputError(f"law={law!r} has no held-out laws", ", ".join(HELD_OUT))
    return HELD_OUT[law]
