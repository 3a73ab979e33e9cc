"""Laws that networks are tested on and never trained on, and which of them lie within what training sees.

The central-limit map is odd, and a network may be wrong on one side only. So the laws are mirror symmetric as a set: it holds
the mirror image of every law that is not its own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from .laws import Law, parse
from .source import Source

ARCSINE = "standardised(beta(a=0.5, b=0.5))"  # on [-1.41, 1.41]
TWO_PEAKS = "mixture(1*gaussian(mean=-1, std=0.5) + 1*gaussian(mean=1, std=0.5))"
SKEWED = ("triangular(low=-1.7, mode=1.7, high=1.7)", "triangular(low=-1.7, mode=-1.7, high=1.7)")
LAPLACE = "laplace(scale=0.7071067811865476)"
STUDENT_T = "student_t(df=10)"
ONE_SIDED = ("exponential()", "mirrored(exponential())")
WIDE = ("gaussian(mean=1, std=3)", "gaussian(mean=-1, std=3)")

HELD_OUT_LAWS = (
    *("rademacher()", ARCSINE, *SKEWED, "uniform()"),
    *("gaussian()", LAPLACE, STUDENT_T, TWO_PEAKS, *ONE_SIDED, *WIDE),
)
# without two that have a near neighbour in the list: every law costs time in every validation
DEFAULT_HELD_OUT_LAWS = tuple(law for law in HELD_OUT_LAWS if law not in (ARCSINE, STUDENT_T))

# the default of before, which was not mirror symmetric
SEVEN_LAWS = (
    *("gaussian()", LAPLACE, "exponential()", STUDENT_T, "rademacher()"),
    "mixture(0.5*gaussian(mean=-0.9, std=0.4358898943540674) + 0.5*gaussian(mean=0.9, std=0.4358898943540674))",
    "gaussian(mean=1, std=3)",
)

DRAWN = 2**16  # variables of a law that are looked at
RARE = 1 / 2000  # share of a training law's variables that lie beyond an end of its range where its support has none
FEW = 1 / 500  # share of a held-out law's variables that may lie there: more, so that chance does not decide


class HeldOut(NamedTuple):
    """Held-out laws in two sets, see :func:`split`.

    Attributes:
        interpolation: laws within the range of the training laws.
        extrapolation: laws that reach beyond it.
    """

    interpolation: tuple[str, ...]
    extrapolation: tuple[str, ...]

    @property
    def laws(self) -> tuple[str, ...]:
        """Those of both sets."""
        return self.interpolation + self.extrapolation


def split(
    trained: Iterable[Source], held_out: Sequence[Source], draw: Callable[[Source], Tensor], known: bool = True
) -> list[bool]:
    r"""Which held-out laws lie within the range of the training laws, so that a network interpolates on them.

    The range is the smallest interval that holds the support of every training law. An end of a support that is infinite, or
    not known, is replaced by the value that one variable in 2000 exceeds. A held-out law lies within the range if at most one
    of its variables in 500 lies below it, and at most one in 500 above. So a Gaussian, which could give any number, has the
    range :math:`\pm 3.3`, and laws with more weight in their tails lie beyond it.

    Only the values of single variables count. Gaps in the range, such as that between the two values of Rademacher's law, do
    not, nor do dependences between the variables of a block.

    Args:
        trained: training laws, or sources of blocks.
        held_out: laws, or sources of blocks.
        draw: gives many variables of a law, the same ones each time; any shape.
        known: whether what is drawn has the support of its law.

    Returns:
        True for each held-out law that lies within the range.

    Example:
        >>> import torch
        >>> from renorm.datamodules import laws
        >>> draw = lambda law: law.sample(DRAWN, generator=torch.Generator().manual_seed(0))
        >>> uniform, gaussian, rademacher = (laws.parse(name) for name in ("uniform()", "gaussian()", "rademacher()"))
        >>> split([uniform], [gaussian, rademacher], draw), split([gaussian], [uniform, rademacher], draw)
        ([False, True], [True, True])
    """
    ends = [_range(law if known else None, draw(law)) for law in trained]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    return [_lies_within(draw(law), low, high) for law in held_out]


def _range(law: Source | None, drawn: Tensor) -> tuple[float, float]:
    """Ends of a law's support; in place of an infinite one, the value beyond which few of the drawn variables lie."""
    low, high = law.support() if isinstance(law, Law) else (-math.inf, math.inf)
    ordered = drawn.flatten().sort().values
    rare = int(RARE * len(ordered))
    return (
        low if math.isfinite(low) else float(ordered[rare]),
        high if math.isfinite(high) else float(ordered[-1 - rare]),
    )


def _lies_within(drawn: Tensor, low: float, high: float) -> bool:
    most = FEW * drawn.numel()
    return int((drawn < low).sum()) <= most and int((drawn > high).sum()) <= most


def are_the_seven(train_laws: Any, held_out_laws: Any) -> bool:
    """Whether held-out laws are :data:`SEVEN_LAWS`, less those that are trained on, as older runs have them.

    Texts are compared and none is read: they may be a stranger's.

    Example:
        >>> are_the_seven(["gaussian()"], [*SEVEN_LAWS[1:]]), are_the_seven(["gaussian()"], ["rademacher()"])
        (True, False)
    """
    train_laws = [train_laws] if isinstance(train_laws, str) else train_laws
    if not all(isinstance(laws, list | tuple) for laws in (train_laws, held_out_laws)):
        return False
    trained, held_out = ([_canonical().get(str(law)) for law in laws] for laws in (train_laws, held_out_laws))
    return held_out == [law for law in dict.fromkeys(_canonical().values()) if law not in trained]


@functools.cache
def _canonical() -> dict[str, str]:
    """Canonical text of each of the seven, by the short one and by itself."""
    known = {law: str(parse(law)) for law in SEVEN_LAWS}
    return known | {text: text for text in known.values()}
