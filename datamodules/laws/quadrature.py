r"""Quadrature under a law: nodes and weights that turn an expectation into a sum, without sampling noise."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InputError
from . import Law, LawError, Mirrored, Mixture, Standardised

Rule = tuple[NDArray[np.float64], NDArray[np.float64]]
REACH = 5.3  # of the variable t: the double exponential has run into the limits of floating point beyond it
NEGLIGIBLE = 1e-20  # share of the fourth moment below which a node is left out
MOST_NODES = 1000
MOST_COUNTS = 10**7  # values of a law on the integers, before those without weight are left out
MOST_BLOCKS = 2**25
STEPS = (32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1536, 3072)  # points of a piece that are tried
WANTED, ENOUGH = 1e-10, 1e-6  # error of the first four cumulants in units of the standard deviation


def law_rule(law: Law, least: int = 64) -> Rule:
    r"""Nodes and weights with :math:`E g(X) \approx \sum_i w_i g(x_i)`; the weights sum to 1.

    Atoms are summed exactly. A density is integrated by the double-exponential rule between its breakpoints: a substitution
    after which all derivatives vanish at the ends, so that equal steps converge exponentially even for singular densities and
    for tails as heavy as a power. Steps are made smaller until the law's own exact cumulants come out to 1e-10.

    Args:
        law: a law with a variance.
        least: least number of nodes for a density, to 500: functions with kinks need more than cumulants do.

    Raises:
        LawError: for a law without a variance, or with more than 1000 atoms, or that the rule fails to integrate.

    Source:
        Takahasi and Mori, Publications of RIMS 9 (1974) 721.

    Example:
        >>> from renorm.datamodules import laws
        >>> x, w = law_rule(laws.parse("gaussian()"))
        >>> print(f"{(w * x**4).sum():.9f}")
        3.000000000
    """
    if isinstance(law, Mixture):
        parts = [law_rule(component, least) for component in law.laws]
        nodes = np.concatenate([x for x, _ in parts])
        return nodes, np.concatenate([float(p) * w for p, (_, w) in zip(law.weights, parts, strict=True)])
    if isinstance(law, Mirrored):
        nodes, weights = law_rule(law.law, least)
        return -nodes[::-1], weights[::-1]
    mean, variance = law.cumulants(2).tolist()
    if not math.isfinite(variance):
        raise LawError(f"law={str(law)!r} has no variance", "laws with one, or sampling")
    if law.slow_density:
        raise LawError(f"law={str(law)!r} has no density in closed form", "laws with one, or sampling")
    if isinstance(law, Standardised):
        nodes, weights = law_rule(law.law, least)
        inner_mean, inner_variance = law.law.cumulants(2).tolist()
        return (nodes - inner_mean) / math.sqrt(inner_variance), weights
    atoms = law.atoms()
    if atoms is not None:
        if len(atoms) > MOST_NODES:
            raise LawError(f"law={str(law)!r} has {len(atoms)} atoms", f"at most {MOST_NODES}, or sampling")
        return np.array([float(x) for x, _ in atoms]), np.array([float(p) for _, p in atoms])
    if hasattr(law.scipy(), "pmf"):
        return _counts(law, mean, math.sqrt(variance))
    tried = []
    for points in STEPS:
        rule = _density(law, points, mean, math.sqrt(variance))
        error = _error(law, rule)
        if len(rule[0]) >= least:
            if error < WANTED:
                return rule
            tried.append((error, rule))
    if not tried:
        raise LawError(
            f"law={str(law)!r} has too few nodes where its density counts", "laws of less spread, or sampling"
        )
    error, rule = min(tried, key=lambda pair: pair[0])
    if error > ENOUGH:
        raise LawError(f"law={str(law)!r} is integrated with an error of {error:.0e}", "smoother laws, or sampling")
    return rule


def _error(law: Law, rule: Rule) -> float:
    """Largest error of those of the first four cumulants that exist, in units of the standard deviation."""
    x, w = rule
    exact = law.cumulants(4).numpy()
    mean = (w * x).sum()
    second, third, fourth = ((w * (x - mean) ** p).sum() for p in (2, 3, 4))
    found = np.array([mean, second, third, fourth - 3 * second**2])
    return float(np.nanmax(np.abs(found - exact) / exact[1] ** (np.arange(1, 5) / 2)))


def _counts(law: Law, mean: float, std: float) -> Rule:
    """A law on the whole numbers from 0 on."""
    values = math.ceil(mean + 40 * std + 60)
    if values > MOST_COUNTS:
        raise LawError(f"law={str(law)!r} has {values:.3g} values to be summed", f"at most {MOST_COUNTS}, or sampling")
    nodes = np.arange(0, values, dtype=np.float64)
    return _without_negligible(law, nodes, np.asarray(law.scipy().pmf(nodes), dtype=np.float64), mean)


def _density(law: Law, points: int, mean: float, std: float) -> Rule:
    low, high = law.support()
    edges = sorted({low, high, *law.breakpoints()})
    t = np.linspace(-REACH, REACH, points)
    step = t[1] - t[0]
    outer, slope = np.pi / 2 * np.sinh(t), np.pi / 2 * np.cosh(t) * step
    nodes, weights = [], []
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for a, b in itertools.pairwise(edges):
            if math.isinf(a) and math.isinf(b):
                x, dx = mean + std * np.sinh(outer), std * np.cosh(outer) * slope
            elif math.isinf(b):
                x, dx = a + std * np.exp(outer), std * np.exp(outer) * slope
            elif math.isinf(a):
                x, dx = b - std * np.exp(outer), std * np.exp(outer) * slope
            else:
                half = (b - a) / 2
                # measured from the nearer end, so that nodes close to it keep their digits
                distance = half * 2 / (1 + np.exp(2 * np.abs(outer)))
                x, dx = np.where(t < 0, a + distance, b - distance), half / np.cosh(outer) ** 2 * slope
            inside = np.isfinite(x) & np.isfinite(dx) & (x > low) & (x < high)
            nodes.append(x[inside])
            weights.append(law.pdf(x[inside]) * dx[inside])
        return _without_negligible(law, np.concatenate(nodes), np.concatenate(weights), mean)


def _without_negligible(law: Law, nodes: NDArray[np.float64], weights: NDArray[np.float64], mean: float) -> Rule:
    weights = np.where(np.isfinite(weights), weights, 0.0)
    power = int(law.cumulants(4).isfinite().sum())  # moments that do not exist would keep nodes without end
    share = weights * (1 + np.abs(nodes - mean)) ** power
    kept = share > NEGLIGIBLE * share.sum()
    return nodes[kept], weights[kept] / weights[kept].sum()


def block_rule(law: Law, block_size: int = 2, least: int = 64) -> tuple[Tensor, Tensor]:
    r"""Nodes and weights for blocks of i.i.d. variables: the product of the rules of its variables.

    Args:
        law: a law with a variance.
        block_size: number of variables ``b``.
        least: see :func:`law_rule`.

    Returns:
        Blocks, shape ``(N, b)``, and weights, shape ``(N,)``, both float64.

    Raises:
        LawError: for a law that has no rule.
        ValueError: for a block size of more than 3, or more than 2^25 blocks.
    """
    if not 1 <= block_size <= 3:
        raise InputError(f"block_size={block_size} is too large for quadrature", "1 to 3, or sampling")
    x, w = (torch.from_numpy(array) for array in law_rule(law, least))
    if len(x) ** block_size > MOST_BLOCKS:
        raise LawError(
            f"law={str(law)!r} has {len(x)}**{block_size} blocks of nodes", f"at most {MOST_BLOCKS}, or sampling"
        )
    blocks = torch.cartesian_prod(*[x] * block_size).view(-1, block_size)
    weights = torch.cartesian_prod(*[w] * block_size).view(-1, block_size).prod(dim=1)
    return blocks, weights
