"""One-dimensional probability laws with exact cumulants, written as short strings such as ``gamma(shape=2)``.

Importing this module registers every law; :func:`parse` reads one, and ``str`` writes it back. To add a law, see
:class:`Law`.
"""

from .empirical import Empirical
from .law_base import MAX_ORDER, Law, LawError, number, positive
from .law_composite import Mixture, Standardised
from .law_discrete import Bernoulli, Poisson, Rademacher
from .law_heavy_tails import Cauchy, Stable, StudentT
from .law_location_scale import Gaussian, Gumbel, Laplace, Logistic, Triangular, Uniform
from .law_parser import names, parse
from .law_positive import Beta, Exponential, Gamma, Lognormal

__all__ = [
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
    "Mixture",
    "Poisson",
    "Rademacher",
    "Stable",
    "Standardised",
    "StudentT",
    "Triangular",
    "Uniform",
    "names",
    "number",
    "parse",
    "positive",
]
