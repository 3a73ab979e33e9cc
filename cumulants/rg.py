r"""Is a learned map a renormalisation-group step? Its flow, and its spectrum at a fixed point."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..checks import check_at_least, check_tensor
from ..datamodules.laws import Gaussian, Law
from ..errors import InputError
from ..maps import Basis, BlockMap, CentralLimit, Hermite, parse
from .kstatistics import check_order, kstat
from .many_samples import in_parts, ordered

ORDER = 4
MIDDLE = (0.01, 0.99)  # levels of the quantiles that a distance without tails compares
HERMITE = Hermite()


class RGFlowResult(NamedTuple):
    r"""Distributions along the flow of a learned map, and of the exact one on the same draws.

    Attributes:
        k: k-statistics of the members' outputs, shape ``(steps + 1, 4, M)``, float64.
        exact_k: those of the exact map's output, shape ``(steps + 1, 4)``.
        wasserstein: Wasserstein-1 distance of the members' outputs to the map's fixed point (of the Gaussians, the one with the
            sample's variance), shape ``(steps + 1, M)``; NaN where the map knows none, or one without a variance.
        exact_wasserstein: that of the exact map's output, shape ``(steps + 1,)``; it ends at the noise of the sample.
        quantile_distance: distance to the fixed point's quantiles between 1% and 99%, see
            :class:`renorm.training.metrics.QuantileDistance`, shape ``(steps + 1, M)``: it exists without a variance.
        exact_quantile_distance: that of the exact map's output, shape ``(steps + 1,)``.
    """

    k: Tensor
    exact_k: Tensor
    wasserstein: Tensor
    exact_wasserstein: Tensor
    quantile_distance: Tensor
    exact_quantile_distance: Tensor


@torch.no_grad()
def rg_flow(
    model: Any,
    x: Tensor,
    steps: int = 10,
    generator: torch.Generator | None = None,
    block_map: BlockMap | str = CentralLimit(),  # noqa: B008  (frozen, without state)
) -> RGFlowResult:
    r"""Apply a learned map again and again to its own shuffled output, beside the exact map.

    At each step ``b`` shuffles of the sample are the ``b`` variables of its blocks, so that the sample keeps its size. All
    members and the exact map share the shuffles, so that their differences have little noise.

    Args:
        model: a stack with ``block_size``, that maps ``(M, N, b)`` to ``(M, N)``.
        x: a sample of the law at the start, shape ``(N,)``, of mean 0: the mean of another grows without end.
        steps: number of steps, 1 or more.
        generator: source of the shuffles.
        block_map: the map that was learned, or its text.

    Raises:
        InputError: for a sample of another shape, no steps, or blocks that the map does not act on.

    Source:
        Ashworth, Lio and Caso, arXiv 2510.16591.

    Example:
        >>> from renorm.zoo import MLP
        >>> flow = rg_flow(MLP(activation="linear", replicas=2), torch.randn(100), steps=3)
        >>> flow.k.shape, flow.wasserstein.shape
        (torch.Size([4, 4, 2]), torch.Size([4, 2]))
    """
    check_tensor("x", x)
    if x.ndim != 1 or len(x) < 2 * ORDER:
        raise InputError(f"x has shape {tuple(x.shape)}", f"(N,) with N >= {2 * ORDER}")
    check_at_least("steps", steps, 1)
    block_map = parse(block_map) if isinstance(block_map, str) else block_map
    block_map.check_block_size(model.block_size)
    x = x.to(next(model.parameters()))
    fixed_law = block_map.fixed_point(model.block_size)
    fixed = _fixed_quantiles(x.double(), fixed_law)
    k, exact_k, gaps, exact_gaps = [], [], [], []
    for learned, exact in flow_samples(model, x, steps, generator, block_map):
        k.append(kstat(learned, ORDER, dim=1))
        exact_k.append(kstat(exact, ORDER))
        gaps.append(in_parts(lambda part: _gaps(part, fixed), learned))
        exact_gaps.append(_gaps(exact, fixed))
    (wasserstein, middles), (exact_wasserstein, exact_middles) = (
        torch.stack(found, dim=1) for found in (gaps, exact_gaps)
    )
    if fixed_law is None or not fixed_law.has_variance:
        wasserstein, exact_wasserstein = (
            torch.full_like(found, torch.nan) for found in (wasserstein, exact_wasserstein)
        )
    return RGFlowResult(torch.stack(k), torch.stack(exact_k), wasserstein, exact_wasserstein, middles, exact_middles)


def _gaps(sample: Tensor, fixed: Tensor) -> Tensor:
    """Mean distance of a sample's quantiles from others, of all and of those in the middle, ``(..., N) -> (2, ...)``."""
    gap = (ordered(sample).double() - fixed).abs()
    return torch.stack([gap.mean(dim=-1), gap[..., middle_of(len(fixed))].mean(dim=-1)])


@torch.no_grad()
def flow_samples(
    model: Any, x: Tensor, steps: int, generator: torch.Generator | None, block_map: BlockMap
) -> Iterator[tuple[Tensor, Tensor]]:
    """The samples along a flow, see :func:`rg_flow`: first the one at the start, then one after each step.

    Args:
        model: a stack with ``block_size``, that maps ``(M, N, b)`` to ``(M, N)``.
        x: a sample of the law at the start, shape ``(N,)``.
        steps: number of steps.
        generator: source of the shuffles.
        block_map: the map that was learned.

    Yields:
        The members' outputs, shape ``(M, N)``, and those of the map itself, shape ``(N,)``, float64.

    Example:
        >>> from renorm.zoo import MLP
        >>> flow = flow_samples(MLP(replicas=2), torch.randn(100), 3, None, CentralLimit())
        >>> [learned.shape for learned, _ in flow]
        [torch.Size([2, 100]), torch.Size([2, 100]), torch.Size([2, 100]), torch.Size([2, 100])]
    """
    x = x.to(next(model.parameters()))
    learned, exact = x.expand(model.num_members, -1), x.double()
    yield learned, exact
    for _ in range(steps):
        shuffles = [torch.randperm(len(x), generator=generator) for _ in range(model.block_size)]
        blocks = torch.stack(shuffles, dim=1).to(x.device)
        learned, exact = model(learned[:, blocks]), block_map(exact[blocks])
        yield learned, exact


def middle_of(n: int) -> slice:
    """The ordered values of a sample between the levels of 1% and 99%."""
    return slice(math.floor(MIDDLE[0] * n), math.ceil(MIDDLE[1] * n))


def _fixed_quantiles(sample: Tensor, law: Law | None) -> Tensor:
    """Quantiles of the fixed point at the middles of as many equal steps as the sample has; NaN where they are not known.

    A Gaussian is fixed whatever its variance: it is given the sample's.
    """
    n = len(sample)
    levels = (torch.arange(n, dtype=torch.float64, device=sample.device) + 0.5) / n
    if isinstance(law, Gaussian):
        quantiles: Tensor = torch.special.ndtri(levels) * sample.std()
        return quantiles
    known = None if law is None else law.quantiles(levels.cpu().numpy())
    return torch.full_like(levels, torch.nan) if known is None else torch.from_numpy(known).to(levels)


@torch.no_grad()
def rg_spectrum(
    model: Any,
    order: int = 6,
    nodes: int = 32,
    basis: Basis = HERMITE,
) -> Tensor:
    r"""The learned map's action on deviations from a fixed point, in polynomials that are orthogonal under it.

    .. math:: M_{mn} = \frac{1}{E\, g_m^2} E\Big[ g_m(f(X)) \sum_{i=1}^b g_n(X_i) \Big], \qquad X_i \sim p^*

    A density :math:`p^* (1 + \sum_n c_n g_n)` of the variables becomes, to first order in c, that with coefficients
    :math:`M c`. With Hermite polynomials, at the Gaussian, the central-limit map has the diagonal :math:`b^{1 - n/2}`; with
    Laguerre polynomials, at an extreme-value law, the maximum is triangular with the diagonal :math:`b^{1 - n}`. The basis of a
    map is :attr:`renorm.maps.BlockMap.basis`.

    Args:
        model: a stack with ``block_size``, that maps ``(N, b)`` to ``(M, N)``; in float64 for exact numbers.
        order: highest order of the polynomials; less where the basis ends before.
        nodes: nodes of Gauss quadrature a variable: exact for polynomials of degree to ``2 nodes - 1``.
        basis: the polynomials and their fixed point; Hermite's by default.

    Returns:
        Shape ``(M, order + 1, order + 1)``, float64. NaN for a member whose outputs leave the support of the fixed point.

    Raises:
        InputError: for an order out of range, or a product of nodes over the block of more than 131072.

    Source:
        Jona-Lasinio, Il Nuovo Cimento B 26 (1975) 99; Calvo, Cuchí, Esteve and Falceto, arXiv 1109.5841.

    Example:
        >>> from renorm.zoo import MLP
        >>> rg_spectrum(MLP(activation="linear", replicas=3), order=2).shape
        torch.Size([3, 3, 3])
    """
    check_order(order, 20)
    order = order if basis.highest is None else min(order, basis.highest)
    parameter = next(model.parameters())
    blocks, weights = (part.to(parameter.device) for part in basis.quadrature(model.block_size, nodes))
    sources = basis.polynomials(blocks, order).sum(dim=-1) * weights
    outputs = model(blocks.to(parameter.dtype)).double()
    images = basis.polynomials(outputs, order)
    spectrum = torch.stack([image @ sources.T for image in images], dim=1)
    return spectrum / basis.norms(order).to(weights.device)[:, None]


def map_spectrum(block_map: BlockMap, block_size: int, order: int = 6, nodes: int = 32) -> Tensor:
    """The matrix of :func:`rg_spectrum` for a map itself, in its own basis.

    Args:
        block_map: a map that has a basis.
        block_size: number of variables of a block.
        order: highest order of the polynomials.
        nodes: nodes of Gauss quadrature a variable.

    Returns:
        Shape ``(order + 1, order + 1)``, float64.

    Raises:
        InputError: for a map without a basis.

    Example:
        >>> from renorm.maps import Maximum
        >>> map_spectrum(Maximum(), block_size=2, order=3).diagonal()
        tensor([2.0000, 1.0000, 0.5000, 0.2500], dtype=torch.float64)
    """
    block_map.check_block_size(block_size)
    if block_map.basis is None:
        raise InputError(f"map={str(block_map)!r} has no basis", "maps with one, such as central_limit() and maximum()")
    return rg_spectrum(_AsStack(block_map, block_size), order, nodes, block_map.basis)[0]


class _AsStack(nn.Module):
    """A map in the place of a stack of one member."""

    def __init__(self, block_map: BlockMap, block_size: int) -> None:
        super().__init__()
        self.block_map, self.block_size = block_map, block_size
        self.precision = nn.Parameter(torch.zeros((), dtype=torch.float64), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_map(x)[None]


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
