"""One-dimensional probability laws with exact cumulants, written as short strings such as ``gamma(shape=2)``.

Importing this module registers every law; :func:`parse` reads one, and ``str`` writes it back. To add a law, see
:class:`Law` in ``base.py``.
"""

from ...expressions.fields import number, positive
from .base import MAX_ORDER, Law, LawError
from .composite import Mixture, Standardised
from .discrete import Bernoulli, Poisson, Rademacher
from .empirical import Empirical
from .exact import cumulants_of
from .extreme_values import GEV, Pareto
from .half_line import Beta, Exponential, Gamma, Lognormal
from .heavy_tails import Cauchy, Stable, StudentT
from .location_scale import Gaussian, Gumbel, Laplace, Logistic, Triangular, Uniform
from .mirrored import Mirrored
from .parser import names, parse

__all__ = [
    "GEV",
    "MAX_ORDER",
    "Bernoulli",
    "Beta",
    "Cauchy",
    "Empirical",
    "Exponential",
    "Gamma",
    "Gaussian",
    "Gumbel",
    "Laplace",
    "Law",
    "LawError",
    "Logistic",
    "Lognormal",
    "Mirrored",
    "Mixture",
    "Pareto",
    "Poisson",
    "Rademacher",
    "Stable",
    "Standardised",
    "StudentT",
    "Triangular",
    "Uniform",
    "cumulants_of",
    "names",
    "number",
    "parse",
    "positive",
]
