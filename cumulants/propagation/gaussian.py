r"""Gaussian expectations of nonlinear functions in closed form: leaky ReLUs, piecewise polynomials, and pairs with kinks.

Everything is float64, differentiable, and centred early, so that nothing is lost by cancellation.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..moments import moments_to_cumulants
from .tensors import with_mean

TINY = 1e-150  # standard deviations below it are taken as it
NARROW = 8.0  # cells up to this many standard deviations wide are integrated by Gauss-Legendre
COVARIANCE_NODES = 48
CHUNK_CELLS = 2**18  # of the integrands of pairs of kinks that are held at a time
SHRINK = 1e-12  # correlations are multiplied by 1 - SHRINK, which keeps gradients finite at |rho| = 1


@functools.cache
def gauss_legendre(n: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of the ``n``-point Gauss-Legendre rule on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)


def normal_pdf(x: Tensor) -> Tensor:
    """Standard normal density."""
    return torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def normal_cdf(x: Tensor) -> Tensor:
    """Standard normal distribution function, with full relative accuracy in the lower tail."""
    cdf: Tensor = 0.5 * torch.special.erfc(-x / math.sqrt(2))
    return cdf


def leaky_cumulants(mean: Tensor, std: Tensor, slope: Tensor | float, order: int = 4) -> Tensor:
    r"""Cumulants of the leaky ReLU :math:`f(z) = s z + (1 - s) z^+` of a Gaussian; ReLU is s = 0.

    .. math::
        L_0 = \Phi(a),\; L_1 = \sigma\varphi(a),\; L_p = (p-1)\sigma^2 L_{p-2} + \sigma\varphi(a) (-\mu)^{p-1}, \\
        \mu_p = \sum_q \binom{p}{q} [(\mu - \kappa_1)^{p-q} L_q + (s\mu - \kappa_1)^{p-q} s^q U_q], \qquad a = \mu/\sigma

    with :math:`L_p, U_p` the parts of :math:`E[(z-\mu)^p]` above and below the kink.

    Args:
        mean: any shape.
        std: same shape, 0 or more.
        slope: ``s``, broadcastable.
        order: highest order.

    Returns:
        Shape ``(order, ...)``.

    Source:
        The partial moments of a Gaussian follow by parts; Johnson, Kotz and Balakrishnan, Continuous Univariate
        Distributions 1 (1994), section 13.10.

    Example:
        >>> relu = leaky_cumulants(torch.zeros(1).double(), torch.ones(1).double(), 0.0)
        >>> bool((relu[0] - 1 / math.sqrt(2 * math.pi)).abs() < 1e-15)
        True
    """
    std = std.clamp(min=TINY)
    a = mean / std
    boundary = std * normal_pdf(a)
    above, below = [normal_cdf(a), boundary], [normal_cdf(-a), -boundary]
    for p in range(2, order + 1):
        edge = boundary * (-mean) ** (p - 1)
        above.append((p - 1) * std**2 * above[p - 2] + edge)
        below.append((p - 1) * std**2 * below[p - 2] - edge)
    first = slope * mean + (1 - slope) * (mean * above[0] + boundary)
    # mu - kappa_1 without cancellation far above the kink, s mu - kappa_1 far below it
    high = (1 - slope) * (mean * below[0] - boundary)
    low = -(1 - slope) * (mean * above[0] + boundary)
    central = [torch.zeros_like(first)]
    for p in range(2, order + 1):
        terms = [
            math.comb(p, q) * (high ** (p - q) * above[q] + low ** (p - q) * slope**q * below[q]) for q in range(p + 1)
        ]
        central.append(torch.stack(terms).sum(dim=0))
    return with_mean(moments_to_cumulants(torch.stack(central)), first)


def cells(pieces: Any) -> tuple[Tensor, Tensor]:
    """Lower and upper ends of the cells of a piecewise polynomial, shape ``(C,)`` each, the outer ones infinite."""
    infinity = torch.full_like(pieces.origins[:1], math.inf)
    return torch.cat([-infinity, pieces.breaks]), torch.cat([pieces.breaks, infinity])


def cell_moments(lower: Tensor, upper: Tensor, mean: Tensor, std: Tensor, origin: Tensor, degree: int) -> Tensor:
    r"""Partial moments :math:`T_p = E[(z - o)^p;\, l < z < u]` of a Gaussian, p = 0 ... ``degree``.

    .. math::
        T_p = (\mu-o) T_{p-1} + (p-1)\sigma^2 T_{p-2} - \sigma^2 [(u-o)^{p-1} N(u) - (l-o)^{p-1} N(l)]

    The recursion loses all digits on narrow cells, where :math:`T_p \ll |\mu-o|^p`: finite cells up to eight standard
    deviations wide are integrated by Gauss-Legendre instead, with 32 nodes.

    Args:
        lower: lower ends, may be -inf; shapes broadcast.
        upper: upper ends, may be inf.
        mean: mean.
        std: standard deviation.
        origin: origins, finite.
        degree: highest power.

    Returns:
        The broadcast shape with a last axis of ``degree + 1``.
    """
    std = std.clamp(min=TINY)
    lower, upper, mean, std, origin = torch.broadcast_tensors(lower, upper, mean, std, origin)  # type: ignore[no-untyped-call]
    wide = ~((upper - lower) <= NARROW * std)
    closed = _recursion(
        torch.where(wide, lower, -math.inf), torch.where(wide, upper, math.inf), mean, std, origin, degree
    )
    left, right = torch.where(wide, mean, lower), torch.where(wide, mean, upper)
    nodes, weights = gauss_legendre(32)
    z = left.unsqueeze(-1) + (right - left).unsqueeze(-1) * nodes.to(mean.device)
    # the density of z times dz, formed so that a tiny standard deviation does no harm
    density = normal_pdf((z - mean.unsqueeze(-1)) / std.unsqueeze(-1)) * ((right - left) / std).unsqueeze(-1)
    power, narrow = density * weights.to(mean.device), []
    for _ in range(degree + 1):
        narrow.append(power.sum(dim=-1))
        power = power * (z - origin.unsqueeze(-1))
    return torch.where(wide.unsqueeze(-1), closed, torch.stack(narrow, dim=-1))


def _recursion(lower: Tensor, upper: Tensor, mean: Tensor, std: Tensor, origin: Tensor, degree: int) -> Tensor:
    ends = []
    for end in (lower, upper):
        finite = end.isfinite()
        at = torch.where(finite, end, 0.0)
        z = (at - mean) / std
        # infinite ends are constants, which keeps derivatives free of NaN
        below = torch.where(finite, normal_cdf(z), (end > 0).to(z.dtype))
        above = torch.where(finite, normal_cdf(-z), (end < 0).to(z.dtype))
        ends.append((z, at - origin, std * torch.where(finite, normal_pdf(z), 0.0), below, above))  # sigma^2 N(end)
    (a, low, low_density, low_below, low_above), (_, high, high_density, high_below, high_above) = ends
    # the difference is taken in the tail where it keeps its digits
    right = lower.isfinite() & (a > 0)
    moments = [torch.where(right, low_above - high_above, high_below - low_below)]
    for p in range(1, degree + 1):
        boundary = high ** (p - 1) * high_density - low ** (p - 1) * low_density
        previous = (p - 1) * std**2 * moments[p - 2] if p > 1 else 0.0
        moments.append((mean - origin) * moments[p - 1] + previous - boundary)
    return torch.stack(moments, dim=-1)


def piecewise_cumulants(pieces: Any, mean: Tensor, std: Tensor, order: int = 4) -> Tensor:
    r"""Cumulants of a piecewise polynomial of a Gaussian, :math:`\mu_n = \sum_c \sum_p [(f_c - \kappa_1)^n]_p\, T_p(c)`.

    Args:
        pieces: ``breaks (C - 1,)``, ``origins (C,)``, ``coefficients (M, d or 1, C, degree + 1)``.
        mean: shape ``(M, d)``.
        std: shape ``(M, d)``.
        order: highest order.

    Returns:
        Shape ``(order, M, d)``.

    Example:
        >>> from renorm.zoo import activations
        >>> pieces = activations.find("quadratic")(1, torch.zeros(1, dtype=torch.long), alpha=0.5).piecewise()
        >>> piecewise_cumulants(pieces, torch.zeros(1, 1).double(), torch.ones(1, 1).double(), 3).flatten()
        tensor([0.5000, 1.5000, 4.0000], dtype=torch.float64)
    """
    lower, upper = cells(pieces)
    coefficients = pieces.coefficients
    degree = coefficients.shape[-1] - 1
    powers = cell_moments(lower, upper, mean.unsqueeze(-1), std.unsqueeze(-1), pieces.origins, degree * order)
    first = (coefficients * powers[..., : degree + 1]).sum(dim=(-1, -2))
    constant = coefficients[..., :1] - first[..., None, None]
    centred = torch.cat([constant, coefficients[..., 1:].expand(*first.shape, -1, -1)], dim=-1)
    central, power = [torch.zeros_like(first)], centred
    for n in range(2, order + 1):
        power = multiply_polynomials(power, centred)
        central.append((power * powers[..., : n * degree + 1]).sum(dim=(-1, -2)))
    return with_mean(moments_to_cumulants(torch.stack(central)), first)


def multiply_polynomials(p: Tensor, q: Tensor) -> Tensor:
    """Product of polynomials whose coefficients are on the last axis, lowest power first."""
    rows = [torch.nn.functional.pad(p * q[..., k : k + 1], (k, q.shape[-1] - 1 - k)) for k in range(q.shape[-1])]
    return torch.stack(rows).sum(dim=0)


def kink_covariance(a: Tensor, b: Tensor, rho: Tensor) -> Tensor:
    r"""What two kinks add to a covariance, in units of the standard deviations.

    By Price's theorem, applied twice, two functions with slope jumps :math:`J_i` at :math:`t_i` have the covariance

    .. math::
        E[f_1'] E[f_2'] \sigma_{12} + J_1 J_2\, \sigma_1 \sigma_2\, C(a, b, \rho), \qquad
        C = \int_0^\rho (\rho - u)\, \varphi_2(a, b; u)\, du,

    with :math:`a = (\mu_1 - t_1)/\sigma_1`, b alike and :math:`\varphi_2` the bivariate density. With
    :math:`u = \pm\cos\delta` and a logarithmic variable for :math:`\delta` the integrand is positive and smooth up to
    :math:`|\rho| = 1`: nothing cancels.

    Args:
        a: distance of the first mean from its kink, in standard deviations.
        b: that of the second.
        rho: correlation, -1 to 1; all three broadcast.

    Source:
        Price, IRE Transactions on Information Theory 4 (1958) 69.

    Example:
        Two ReLUs of standard normal variables, :math:`E[z_1^+ z_2^+] = (\sqrt{1-\rho^2} + \rho \arccos(-\rho)) / 2\pi`:

        >>> rho = torch.tensor(0.5).double()
        >>> covariance = 0.25 * rho + kink_covariance(0 * rho, 0 * rho, rho)
        >>> exact = (math.sqrt(0.75) + 0.5 * math.acos(-0.5) - 1) / (2 * math.pi)
        >>> bool((covariance - exact).abs() < 1e-12)
        True
    """
    sign = torch.where(rho < 0, -1.0, 1.0)
    size = rho.abs().clamp(max=1.0) * (1 - SHRINK)
    # atan2 keeps the angle accurate where the correlation is nearly 1
    start = torch.atan2(torch.sqrt((1 - size) * (1 + size)), size).unsqueeze(-1)
    nodes, weights = (table.to(rho.device) for table in gauss_legendre(COVARIANCE_NODES))
    log_range = math.log(math.pi / 2) - torch.log(start)
    delta = start * torch.exp(nodes * log_range)
    ab = (sign * a * b).unsqueeze(-1)
    gap = (a - sign * b).unsqueeze(-1)
    exponent = 0.5 * (gap / torch.sin(delta)) ** 2 + 0.5 * ab / torch.cos(delta / 2) ** 2
    height = 2 * torch.sin((delta + start) / 2) * torch.sin((delta - start) / 2)
    return (weights * height * torch.exp(-exponent) * delta * log_range).sum(dim=-1) / (2 * math.pi)


def affine_pieces_covariance(pieces: Any, mean: Tensor, covariance: Tensor) -> Tensor:
    r"""Covariances of continuous piecewise-affine functions of a Gaussian vector, ReLU and leaky ReLU among them.

    .. math::
        E[f_i'] E[f_j'] \sigma_{ij} + \sigma_i \sigma_j \sum_{c c'} J_{ic} J_{jc'} C(a_{ic}, a_{jc'}, \rho_{ij})

    Args:
        pieces: ``breaks (K,)`` and ``coefficients (M, d or 1, K + 1, 2)``.
        mean: shape ``(M, d)``.
        covariance: shape ``(M, d, d)``.

    Returns:
        Shape ``(M, d, d)``; right off the diagonal only, where variances are better had from the marginals.
    """
    std = covariance.diagonal(dim1=1, dim2=2).clamp(min=TINY**2).sqrt()
    slopes = pieces.coefficients[..., 1].expand(*mean.shape, -1)
    a = (mean.unsqueeze(-1) - pieces.breaks) / std.unsqueeze(-1)
    below = torch.cat([torch.zeros_like(std.unsqueeze(-1)), normal_cdf(-a), torch.ones_like(std.unsqueeze(-1))], dim=-1)
    gain = (slopes * below.diff(dim=-1)).sum(dim=-1)
    total = gain.unsqueeze(2) * gain.unsqueeze(1) * covariance
    row, column = torch.triu_indices(mean.shape[1], mean.shape[1], 1, device=mean.device)
    jump = slopes.diff(dim=-1) * std.unsqueeze(-1)
    pairs: list[Tensor] = []
    size = max(1, CHUNK_CELLS // (len(mean) * a.shape[-1] ** 2 * COVARIANCE_NODES))
    for i, j in zip(row.split(size), column.split(size), strict=True):
        rho = covariance[:, i, j] / (std[:, i] * std[:, j])
        kinks = kink_covariance(a[:, i].unsqueeze(-1), a[:, j].unsqueeze(-2), rho[..., None, None])
        pairs.append(torch.einsum("mpc,mpe,mpce->mp", jump[:, i], jump[:, j], kinks))
    full = torch.zeros_like(covariance)
    members = torch.arange(len(mean), device=mean.device).unsqueeze(1)
    full = full.index_put((members, row, column), torch.cat(pairs, dim=1))
    covariances: Tensor = total + full + full.mT
    return covariances
