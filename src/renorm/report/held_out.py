"""The held-out laws of the claims, in two sets that are mirror symmetric."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from ..datamodules.held_out import DRAWN, HELD_OUT_LAWS, HeldOut, split
from ..datamodules.laws import parse
from ..datamodules.source import Source

__all__ = ["HeldOut", "held_out"]


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
