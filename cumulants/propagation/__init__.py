"""Cumulants propagated through the layers of a network, by theory instead of sampling."""

from .inputs import GaussianInput, MixtureInput
from .propagate import Gap, Propagation, propagate
from .residual import Residual
from .tensors import VectorLaw, law_of_block, law_of_data

__all__ = [
    "Gap",
    "GaussianInput",
    "MixtureInput",
    "Propagation",
    "Residual",
    "VectorLaw",
    "law_of_block",
    "law_of_data",
    "propagate",
]
