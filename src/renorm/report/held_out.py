"""The held-out laws of the claims, in two sets that are mirror symmetric."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from ..datamodules.held_out import (
    ARCSINE,
    DRAWN,
    HELD_OUT_LAWS,
    LAPLACE,
    ONE_SIDED,
    SKEWED,
    TWO_PEAKS,
    WIDE,
    HeldOut,
    split,
)
from ..datamodules.laws import parse
from ..datamodules.source import Source

__all__ = ["HeldOut", "held_out", "short_name"]

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


@functools.cache  # asked for every number of a claim
def held_out(law: str) -> HeldOut:
    """The held-out laws of a training law, see :func:`renorm.datamodules.held_out.split`.

    Example:
        >>> held_out("uniform()").interpolation[0]
        'rademacher()'
    """
    trained = parse(law)
    tests = [text for text in HELD_OUT_LAWS if parse(text) != trained]
    within = split([trained], [parse(text) for text in tests], _draw)
    inside, beyond = (
        tuple(text for text, lies_within in zip(tests, within, strict=True) if lies_within == wanted)
        for wanted in (True, False)
    )
    return HeldOut(inside, beyond)


def _draw(law: Source) -> Tensor:
    found = law.blocks(DRAWN, 1, torch.Generator().manual_seed(0))
    assert isinstance(found, Tensor)
    return found


def short_name(law: str) -> str:
    """A law's name for figures and sentences.

    Example:
        >>> short_name("gaussian()"), short_name(ARCSINE)
        ('gaussian', 'arcsine')
    """
    return SHORT.get(law, law.removesuffix("()"))
