r"""How near a single channel comes to the map when no weight may exceed a bound."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .mlp import Architecture

BOUNDS = (1.0, 10.0, 100.0, 1000.0)
REACH, NODES = 9.0, 721  # of the standard normal variable; equal steps are exact for smooth functions
COARSE = 25  # points an axis of the first search
STARTS = 3  # of the second
ROUNDING = 1e-30  # errors below it are not told from 0

Array = NDArray[np.float64]


def best_errors(architecture: Architecture) -> tuple[tuple[float, float], ...]:
    r"""Least relative error of :math:`A\,\phi(w S + c) + d` within bounds on every weight and bias, for Gaussian inputs.

    Inner weight and bias are searched, outer ones follow by least squares. A wider network that is not tied can only do better:
    for it these are upper bounds.

    Args:
        architecture: of depth 1; deeper ones are not searched.

    Returns:
        Pairs of a bound and :math:`E|f - y|^2 / \mathrm{Var}\,y`; empty where nothing is known.
    """
    phi = _function(architecture)
    if phi is None or architecture.depth > 1 or architecture.opposite_signs:
        return ()
    return tuple((bound, _least(architecture, phi, bound)) for bound in BOUNDS)


def _function(architecture: Architecture) -> Callable[[Array], Array] | None:
    phi = architecture.nonlinear
    if phi.polynomial is not None:
        coefficients = phi.polynomial
        return lambda z: np.asarray(np.polynomial.polynomial.polyval(z, coefficients), dtype=np.float64)
    if phi.slope is not None:
        slope = phi.slope
        return lambda z: np.asarray(np.where(z > 0, z, slope * z), dtype=np.float64)
    if phi.name == "tanh":
        return np.tanh
    if phi.name == "gelu":
        from scipy.special import ndtr

        return lambda z: np.asarray(z * ndtr(z), dtype=np.float64)
    return None


def _least(architecture: Architecture, phi: Callable[[Array], Array], bound: float) -> float:
    from scipy.optimize import minimize

    z = np.linspace(-REACH, REACH, NODES)
    weights = np.exp(-0.5 * z * z)
    weights /= weights.sum()
    offset = bound if architecture.bias else 0.0
    b, most = architecture.block_size, architecture.width * bound

    def error(inner: Array) -> float:
        # z = S / sqrt(b) is standard normal, and w S = w sqrt(b) z
        w = min(math.exp(inner[0]), bound)
        c = float(np.clip(inner[1], -offset, offset))
        return _outer(phi(w * math.sqrt(b) * z + c), z, weights, most, offset)

    def logarithm(inner: Array) -> float:
        return math.log(max(error(inner), ROUNDING))

    scales = np.linspace(math.log(1e-4 / bound), math.log(bound), COARSE)
    positive = np.geomspace(0.01, bound, COARSE // 2)
    shifts = np.concatenate([-positive, [0.0], positive]) if architecture.bias else np.zeros(1)
    tried = sorted((logarithm(np.array([scale, shift])), scale, shift) for scale in scales for shift in shifts)
    starts = tried[:STARTS]
    options: Any = {"xatol": 1e-8, "fatol": 1e-9, "maxiter": 400}
    points = [np.array([scale, shift]) for _, scale, shift in starts]
    results = [minimize(logarithm, point, method="Nelder-Mead", options=options) for point in points]
    least = math.exp(min([starts[0][0], *(float(result.fun) for result in results)]))
    return least if least > 2 * ROUNDING else 0.0


def _outer(h: Array, z: Array, weights: Array, most: float, offset: float) -> float:
    """Least error over A within ``most`` and d within ``offset``: a quadratic in A for d free, and for d at each bound."""
    mean = float(weights @ h)
    candidates = [_slope(h - mean if offset else h, z, weights)]
    candidates += [_slope(h, z - d, weights) for d in (offset, -offset) if offset]
    errors = []
    for candidate in candidates:
        a = float(np.clip(candidate, -most, most))
        residual = a * h + float(np.clip(-a * mean, -offset, offset)) - z
        errors.append(float(weights @ (residual * residual)))
    return min(errors)


def _slope(h: Array, target: Array, weights: Array) -> float:
    power = float(weights @ (h * h))
    return float(weights @ (h * target)) / power if power > 0 else 0.0
