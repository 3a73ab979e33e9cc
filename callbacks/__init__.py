"""Lightning callbacks: one duty each."""

if __name__ != "renorm.callbacks":
    raise ImportError("this folder is the package renorm.callbacks: import it by that name")

from .checkpoints import BestCheckpoint, LastCheckpoint
from .generalization import Generalization
from .hyperparameters import LogHyperparameters
from .predictions import WritePredictions
from .progress import ProgressBar
from .results import TestReport

__all__ = [
    "BestCheckpoint",
    "Generalization",
    "LastCheckpoint",
    "LogHyperparameters",
    "ProgressBar",
    "TestReport",
    "WritePredictions",
]
