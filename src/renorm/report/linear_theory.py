r"""Learning curves of linear networks in closed form, and what a symmetry changes in them.

A linear network of one hidden layer, :math:`f(x) = a \cdot W x`, learns :math:`y = u \cdot x`, :math:`|u| = 1`, from inputs
of unit covariance by the gradient flow of :math:`\tfrac12 E (f - y)^2`. With :math:`p = W u` its gain :math:`g = a \cdot p` obeys

.. math:: \dot a = \beta\, p\, (1 - g), \qquad \dot p = \alpha\, a\, (1 - g)

as long as what W holds across u is small. :math:`\alpha = \beta = 1` for free weights. Where weights are tied, each receives
the sum of the gradients of its orbit: :math:`\alpha` is the number of entries of W in an orbit, :math:`\beta` that of a. With
:math:`m = \sqrt{\alpha\beta}` and :math:`S = \sqrt{\alpha/\beta}\,|a|^2 + \sqrt{\beta/\alpha}\,|p|^2`

.. math:: \dot g = m S (1 - g), \qquad \dot S = 4 m g (1 - g), \qquad S^2 - 4 g^2 = C^2

is conserved, and :math:`g = \tfrac{C}{2} \sinh\theta`, :math:`\dot\theta = m (2 - C \sinh\theta)` is integrated in closed form.
For :math:`C \to 0` it is the sigmoid :math:`g = (1 + (1/g_0 - 1)\, e^{-2mt})^{-1}`: a symmetry changes the time by the factor m.

With weight decay, :math:`E (f - y)^2 + \gamma |\theta|^2` over the free parameters, :math:`|\theta|^2 \ge 2 g / m` at gain g, so
that the gain comes to rest at :math:`1 - \gamma/m` and the error at :math:`(\gamma/m)^2`; from :math:`\gamma = m` on all weights
vanish. The same holds of odd leaky-ReLU networks without biases, which are linear maps: their factor is :math:`1 + s`, that of
free ones :math:`(1 + s)/2` under laws that are symmetric.

Source:
    Saxe, McClelland and Ganguli, arXiv 1312.6120, section 1 and appendix A, for free weights; Zhang, Saxe and Latham,
    arXiv 2406.12615, for leaky ReLUs; Ziyin, ICML 2024, and Ziyin et al., arXiv 2502.05300, for collapse under weight decay.
    The factors of tied weights are derived here.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..training.stack import StackedModel
from ..zoo.symmetry.symmetry import layer_orbits

NEARLY = 1e-7  # C below which the sigmoid is used, for the sake of rounding


def orbit_sizes(symmetry: str, width: int, block_size: int = 2) -> tuple[int, int]:
    r"""How many entries of W, and of a, are one parameter: :math:`\alpha` and :math:`\beta`.

    Raises:
        ValueError: for an unknown symmetry.

    Example:
        >>> {name: orbit_sizes(name, 8) for name in ("free", "input", "hidden", "full", "odd", "odd_input")}
        {'free': (1, 1), 'input': (2, 1), 'hidden': (8, 8), 'full': (16, 8), 'odd': (2, 2), 'odd_input': (4, 2)}
    """
    (first, _), (second, _) = layer_orbits(symmetry, [block_size, width, 1])
    return first.index.size // first.count, second.index.size // second.count


def time_factor(symmetry: str, width: int, block_size: int = 2) -> float:
    r"""By how much faster a symmetry makes a linear network, :math:`m = \sqrt{\alpha\beta}`."""
    return math.sqrt(math.prod(orbit_sizes(symmetry, width, block_size)))


def gain_curve(start: ArrayLike, size: ArrayLike, factor: ArrayLike, times: ArrayLike) -> NDArray[np.float64]:
    r"""Gain of linear networks under gradient flow.

    With :math:`u = e^\theta`, :math:`R = \sqrt{4 + C^2}` and :math:`u_\pm = (2 \pm R)/C` it is
    :math:`(u - u_-)/(u_+ - u) \propto e^{R m t}`.

    Args:
        start: gain :math:`g_0`, not above 1, shape ``(M,)``.
        size: :math:`S_0 \ge 2 |g_0|`, shape ``(M,)``.
        factor: m, shape ``(M,)`` or a number.
        times: shape ``(T,)``.

    Returns:
        Shape ``(T, M)``.

    Example:
        >>> gain_curve([0.01], [0.02], 1.0, [0.0, np.log(99) / 2, 20.0]).round(3).ravel()
        array([0.01, 0.5 , 1.  ])
    """
    g0, s0, m = (np.asarray(value, dtype=float) for value in (start, size, factor))
    t = np.asarray(times, dtype=float)[:, None]
    c = np.sqrt(np.maximum(s0**2 - 4 * g0**2, NEARLY**2))
    root = np.sqrt(4 + c**2)
    high, low = (2 + root) / c, -c / (2 + root)  # their product is -1
    s0 = np.sqrt(c**2 + 4 * g0**2)
    u = np.where(g0 < 0, c / (s0 - 2 * g0), (s0 + 2 * g0) / c)  # e^theta, as S = C cosh(theta) and 2 g = C sinh(theta)
    decayed = (high - u) / (u - low) * np.exp(-root * m * t)
    u = (high + decayed * low) / (1 + decayed)
    found: NDArray[np.float64] = c / 4 * (u - 1 / u)
    return found


@torch.no_grad()
def invariants(model: StackedModel, alpha: int, beta: int) -> tuple[Tensor, Tensor]:
    """Gain g and size S of linear networks of one hidden layer as they are now, shape ``(M,)`` each, float64."""
    (weight, _), (readout, _) = model.dense()
    p, a = weight.double().sum(dim=-1) / math.sqrt(weight.shape[-1]), readout[:, 0].double()
    ratio = math.sqrt(alpha / beta)
    return (a * p).sum(dim=1), ratio * a.square().sum(dim=1) + p.square().sum(dim=1) / ratio
