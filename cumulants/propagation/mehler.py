r"""Covariances of functions of a Gaussian vector by Mehler's series, as long as it takes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...errors import InputError

TOLERANCE = (
    1e-5  # of the units' standard deviations: what is left out of a series at most, where a longer one is to be had
)
WORST = 2e-2  # the same of the longest series
DEGREES = (40, 640, 2560)  # of longer series


def hermite_series(functions: Tensor, correlation: Tensor) -> Tensor:
    r"""Covariances of functions of a Gaussian vector by Mehler's formula, :math:`\sum_k F_{ik} F_{jk} \rho_{ij}^k / k!`.

    Args:
        functions: :math:`F_k = E[f\,He_k]`, shape ``(degree + 1, M, d)``.
        correlation: shape ``(M, d, d)``.
    """
    total, power = torch.zeros_like(correlation), torch.ones_like(correlation)
    for k, row in enumerate(functions):
        if k:
            power = power * correlation / k
            total = total + row.unsqueeze(2) * row.unsqueeze(1) * power
    return total


def longer_series(
    series: Tensor,
    table: Tensor,
    correlation: Tensor,
    longer: Callable[[int], Tensor],
    name: Callable[[int], str] = lambda unit: "the function",
) -> Tensor:
    r"""Replace the covariances whose series is too short.

    With :math:`c_k = F_k / \sqrt{k!}` Parseval's equation says what a series to degree K leaves out at most,

    .. math:: \Big|\sum_{k>K} c_{ik} c_{jk} \rho^k\Big| \le |\rho|^{K+1} \sqrt{r_i r_j}, \qquad
        r_i = \mathrm{Var} f_i - \sum_{k=1}^K c_{ik}^2 .

    Args:
        series: covariances, shape ``(M, d, d)``.
        table: coefficients of powers of the functions, as :func:`hermite_coefficients` has them, two powers or more.
        correlation: shape ``(M, d, d)``.
        longer: degree -> coefficients of the functions to it, shape ``(1, degree + 1, M, d)``.
        name: what the function of a unit is called, for a message.

    Returns:
        Shape ``(M, d, d)``; right off the diagonal only.

    Raises:
        InputError: for pairs of which the longest series leaves out more than 0.02 standard deviations squared.
    """
    variance, coefficients = table[1, 0].detach(), table[0]
    rho = (correlation - torch.diag_embed(correlation.diagonal(dim1=1, dim2=2))).detach()
    left_out = _left_out(variance, coefficients, rho)
    for degree in DEGREES:
        short = left_out > TOLERANCE
        if not bool(short.any()):
            return series
        if degree >= len(coefficients):
            coefficients = longer(degree)[0]
            series = torch.where(short, _normalised_series(coefficients, correlation), series)
            left_out = torch.where(short, _left_out(variance, coefficients, rho), left_out)
    if bool((left_out > WORST).any()):
        _, i, j = (left_out == left_out.max()).nonzero()[0].tolist()
        raise InputError(
            f"{name(i)} changes too fast for the covariance of units whose correlation is {float(rho[0, i, j]):.6g}",
            "smoother functions, units that are less alike, or method='quadrature'",
        )
    return series


def _left_out(variance: Tensor, coefficients: Tensor, rho: Tensor) -> Tensor:
    """The bound, in units of the standard deviations."""
    rest = (1 - coefficients[1:].detach().square().sum(dim=0) / variance.clamp(min=1e-300)).clamp(min=0).sqrt()
    return rho.abs() ** len(coefficients) * rest.unsqueeze(2) * rest.unsqueeze(1)


def _normalised_series(coefficients: Tensor, correlation: Tensor) -> Tensor:
    total, power = torch.zeros_like(correlation), torch.ones_like(correlation)
    for row in coefficients[1:]:
        power = power * correlation
        total = total + row.unsqueeze(2) * row.unsqueeze(1) * power
    return total
