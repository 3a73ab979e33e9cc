"""Activations: linear, quadratic, relu, leaky_relu, tanh, gelu, spline, and the user's own.

Importing this package registers every activation; to add one, see :class:`Activation` in ``base.py``.
"""

from .base import (
    REGISTRY,
    Activation,
    Piecewise,
    check_contract,
    check_parameters,
    find,
    keywords,
    list_activations,
    merge_parameters,
    parameters,
)
from .pointwise import GELU, LeakyReLU, Linear, Quadratic, ReLU, Tanh
from .spline import Spline

__all__ = [
    "GELU",
    "REGISTRY",
    "Activation",
    "LeakyReLU",
    "Linear",
    "Piecewise",
    "Quadratic",
    "ReLU",
    "Spline",
    "Tanh",
    "check_contract",
    "check_parameters",
    "find",
    "keywords",
    "list_activations",
    "merge_parameters",
    "parameters",
]
