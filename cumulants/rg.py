r"""Is a learned map a renormalisation-group step? Its flow, and its spectrum at the Gaussian fixed point."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..checks import check_at_least
from ..datamodules.laws import Gaussian, Law
from ..errors import InputError
from ..maps import BlockMap, CentralLimit
from .kstatistics import check_order, kstat

MOST_NODES = 2**17
ORDER = 4


class RGFlowResult(NamedTuple):
    r"""Distributions along the flow of a learned map, and of the exact one on the same draws.

    Attributes:
        k: k-statistics of the members' outputs, shape ``(steps + 1, 4, M)``, float64.
        exact_k: those of the exact map's output, shape ``(steps + 1, 4)``.
        wasserstein: Wasserstein-1 distance of the members' outputs to the map's fixed point (of the Gaussians, the one with the
            sample's variance), shape ``(steps + 1, M)``; NaN where the map knows none.
        exact_wasserstein: that of the exact map's output, shape ``(steps + 1,)``; it ends at the noise of the sample.
    """

    k: Tensor
    exact_k: Tensor
    wasserstein: Tensor
    exact_wasserstein: Tensor


@torch.no_grad()
def rg_flow(
    model: Any,
    x: Tensor,
    steps: int = 10,
    generator: torch.Generator | None = None,
    block_map: BlockMap = CentralLimit(),  # noqa: B008  (frozen, without state)
) -> RGFlowResult:
    r"""Apply a learned map again and again to its own shuffled output, beside the exact map.

    At each step ``b`` shuffles of the sample are the ``b`` variables of its blocks, so that the sample keeps its size. All
    members and the exact map share the shuffles, so that their differences have little noise.

    Args:
        model: a stack with ``block_size``, that maps ``(M, N, b)`` to ``(M, N)``.
        x: a sample of the law at the start, shape ``(N,)``, of mean 0: the mean of another grows without end.
        steps: number of steps, 1 or more.
        generator: source of the shuffles.
        block_map: the map that was learned.

    Raises:
        ValueError: for a sample of another shape, or no steps.

    Source:
        Ashworth, Lio and Caso, arXiv 2510.16591.

    Example:
        >>> from renorm.zoo import MLP
        >>> flow = rg_flow(MLP(activation="linear", replicas=2), torch.randn(100), steps=3)
        >>> flow.k.shape, flow.wasserstein.shape
        (torch.Size([4, 4, 2]), torch.Size([4, 2]))
    """
    if x.ndim != 1 or len(x) < 2 * ORDER:
        raise InputError(f"x has shape {tuple(x.shape)}", f"(N,) with N >= {2 * ORDER}")
    check_at_least("steps", steps, 1)
    x = x.to(next(model.parameters()))
    b = model.block_size
    exact = x.double()
    members = model.num_members
    learned = x.expand(members, -1)
    fixed = _fixed_quantiles(exact, block_map.fixed_point(b))
    k, exact_k, distance, exact_distance = [], [], [], []
    for step in range(steps + 1):
        k.append(kstat(learned, ORDER, dim=1))
        exact_k.append(kstat(exact, ORDER))
        distance.append((learned.double().sort(dim=1).values - fixed).abs().mean(dim=1))
        exact_distance.append((exact.sort().values - fixed).abs().mean())
        if step < steps:
            shuffles = torch.stack([torch.randperm(len(x), generator=generator) for _ in range(b)], dim=1).to(x.device)
            learned = model(learned[:, shuffles])
            exact = block_map(exact[shuffles])
    return RGFlowResult(torch.stack(k), torch.stack(exact_k), torch.stack(distance), torch.stack(exact_distance))


def _fixed_quantiles(sample: Tensor, law: Law | None) -> Tensor:
    """Quantiles of the fixed point at the middles of as many equal steps as the sample has; NaN where they are not known.

    A Gaussian is fixed whatever its variance: it is given the sample's.
    """
    n = len(sample)
    levels = (torch.arange(n, dtype=torch.float64, device=sample.device) + 0.5) / n
    if isinstance(law, Gaussian):
        quantiles: Tensor = torch.special.ndtri(levels) * sample.std()
        return quantiles
    distribution = None if law is None or law.slow_density else law.scipy()
    if distribution is None:
        return torch.full_like(levels, torch.nan)
    return torch.from_numpy(distribution.ppf(levels.cpu().numpy())).to(levels)


@torch.no_grad()
def rg_spectrum(model: Any, order: int = 6, nodes: int = 32) -> Tensor:
    r"""The learned map's action on deviations from the Gaussian fixed point, in Hermite polynomials.

    .. math:: M_{mn} = \frac{1}{m!} E\Big[ He_m(f(X)) \sum_{i=1}^b He_n(X_i) \Big], \qquad X_i \sim N(0, 1)

    A density :math:`\varphi (1 + \sum_n c_n He_n)` of the variables becomes, to first order in c, that with coefficients
    :math:`M c`. The exact map has the diagonal :math:`b^{1 - n/2}`.

    Args:
        model: a stack with ``block_size``, that maps ``(N, b)`` to ``(M, N)``; in float64 for exact numbers.
        order: highest order of the polynomials.
        nodes: Gauss-Hermite nodes a variable: exact for polynomials of degree to ``2 nodes - 1``.

    Returns:
        Shape ``(M, order + 1, order + 1)``, float64.

    Raises:
        ValueError: for an order out of range, or a product of nodes over the block of more than 131072.

    Source:
        Jona-Lasinio, Il Nuovo Cimento B 26 (1975) 99.

    Example:
        >>> from renorm.zoo import MLP
        >>> rg_spectrum(MLP(activation="linear", replicas=3), order=2).shape
        torch.Size([3, 3, 3])
    """
    check_order(order, 20)
    b = model.block_size
    check_at_least("block_size", b, 2)
    if nodes < 1 or nodes**b > MOST_NODES:
        most = int(MOST_NODES ** (1 / b) + 1e-9)
        raise InputError(f"nodes={nodes} is out of range; allowed for block_size={b}: 1 to {most}")
    parameter = next(model.parameters())
    one, weight = (torch.from_numpy(a).to(parameter.device) for a in np.polynomial.hermite_e.hermegauss(nodes))
    blocks = torch.cartesian_prod(*[one] * b)
    weights = torch.cartesian_prod(*[weight / weight.sum()] * b).prod(dim=1)
    sources = hermite(blocks, order).sum(dim=-1) * weights
    outputs = model(blocks.to(parameter.dtype)).double()
    images = hermite(outputs, order)
    factorials = torch.tensor([math.factorial(m) for m in range(order + 1)], dtype=torch.float64, device=weights.device)
    spectrum = torch.stack([image @ sources.T for image in images], dim=1)
    return spectrum / factorials[:, None]


def hermite(x: Tensor, order: int) -> Tensor:
    r"""Probabilists' Hermite polynomials, :math:`He_{n+1} = x He_n - n He_{n-1}`, shape ``(order + 1, ...)``.

    Args:
        x: where, any shape.
        order: highest order, 0 or more.

    Example:
        >>> hermite(torch.tensor(2.0), 3)
        tensor([1., 2., 3., 2.])
    """
    found = [torch.ones_like(x), x]
    for n in range(1, order):
        found.append(x * found[-1] - n * found[-2])
    return torch.stack(found[: order + 1])


def eigenvalues(spectrum: Tensor) -> Tensor:
    """Eigenvalues by falling size, the real parts of complex pairs; NaN for a member whose matrix is not finite.

    Args:
        spectrum: see :func:`rg_spectrum`, shape ``(M, n, n)``.

    Returns:
        Shape ``(M, n)``.

    Example:
        >>> eigenvalues(torch.diag(torch.tensor([1.0, 2.0])).expand(1, 2, 2))
        tensor([[2., 1.]])
    """
    finite = spectrum.isfinite().all(dim=-1).all(dim=-1)
    # LAPACK is the same everywhere; a few small matrices are not worth a GPU's solver
    found = torch.linalg.eigvals(torch.where(finite[:, None, None], spectrum, 0.0).cpu())
    order = found.abs().argsort(dim=-1, descending=True, stable=True)
    real = found.gather(-1, order).real
    return torch.where(finite[:, None].cpu(), real, torch.nan).to(spectrum.device)
