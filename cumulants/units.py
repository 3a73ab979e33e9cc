r"""Powers of two as units: a sample far from 1 is measured in a unit of its own, lest its powers leave float64's range."""

from __future__ import annotations

import torch
from torch import Tensor

ORDINARY = 100  # spreads from 2^-100 to 2^100, 8e-31 to 1e30, keep the unit 1: their eighth powers are far from the range's ends
MOST = 1000  # exponents in one factor, which is an ordinary float64
MANTISSA = 52
BIAS = 1023


def unit_exponent(spread: Tensor) -> Tensor:
    r"""The exponent :math:`e` of the unit :math:`2^e` for data of such a spread: 0 for ordinary spreads, for none and for NaN.

    Args:
        spread: of each feature, 0 or more, float64, any shape; infinity is as NaN.

    Returns:
        The same shape, int64.

    Example:
        >>> unit_exponent(torch.tensor([1.0, 0.0, 1e-45, 1e38, torch.nan], dtype=torch.float64))
        tensor([   0,    0, -150,  126,    0])
    """
    exponent = (spread.detach().contiguous().view(torch.int64) >> MANTISSA) - BIAS
    strange = (exponent.abs() > ORDINARY) & (spread.detach() > 0) & (exponent <= BIAS)
    return torch.where(strange, exponent, 0)


def times_power_of_two(x: Tensor, exponent: Tensor) -> Tensor:
    r""":math:`2^e x` without rounding, also where :math:`2^e` itself leaves float64's range and the product does not.

    Args:
        x: float64.
        exponent: :math:`e`, int64, of a shape that broadcasts.

    Example:
        >>> times_power_of_two(torch.tensor(2.0**-600, dtype=torch.float64), torch.tensor(1200)).log2()
        tensor(600., dtype=torch.float64)
    """
    for _ in range(3):  # 2^3000 takes the smallest number beyond the largest
        step = exponent.clamp(-MOST, MOST)
        x = x * (step + BIAS << MANTISSA).view(torch.float64)
        exponent = exponent - step
    return x


def half_range(low: Tensor, high: Tensor) -> Tensor:
    """Half the distance of the lowest and the highest value, which is finite where both are."""
    return high / 2 - low / 2


def indices_of(flags: Tensor) -> Tensor | None:
    """Where flags are set; None where no value may decide what is computed, as in :func:`torch.func.vmap`.

    Args:
        flags: shape ``(F,)``.
    """
    try:
        return flags.nonzero().flatten()
    except RuntimeError:
        return None
