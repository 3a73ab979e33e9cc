"""Contracts that the package holds its own classes to, for classes of your own: call them in a test.

Each raises an ``AssertionError`` that says what does not hold.
"""

from .activations import check_activation
from .laws import check_law
from .maps import check_map
from .metrics import check_metric
from .symmetries import check_symmetry

__all__ = ["check_activation", "check_law", "check_map", "check_metric", "check_symmetry"]
