"""Lightning callbacks: one duty each."""

if __name__ != "renorm.callbacks":
    raise ImportError("this folder is the package renorm.callbacks: import it by that name")

from .charts import band, lines
from .checkpoints import BestCheckpoint, LastCheckpoint, WholeCheckpointIO
from .csv_metrics import CSVRows
from .cumulant_diagnostics import CumulantDiagnostics
from .defaults import default_callbacks
from .diagnostic import Diagnostic
from .diverged_members import DivergedMembers
from .event_files import EventFiles
from .generalization import Generalization
from .hyperparameters import LogHyperparameters
from .interruption import Interrupted, StopBetweenSteps
from .lean_steps import LeanSteps
from .predictions import WritePredictions
from .progress import ProgressBar, ProgressLines
from .results import TestReport
from .rg_flow import RGFlow
from .scalar_layout import ScalarLayout
from .symmetry_breaking import SymmetryBreaking
from .theory_gap import TheoryGap
from .threads import ChooseThreads

__all__ = [
    "BestCheckpoint",
    "CSVRows",
    "ChooseThreads",
    "CumulantDiagnostics",
    "Diagnostic",
    "DivergedMembers",
    "EventFiles",
    "Generalization",
    "Interrupted",
    "LastCheckpoint",
    "LeanSteps",
    "LogHyperparameters",
    "ProgressBar",
    "ProgressLines",
    "RGFlow",
    "ScalarLayout",
    "StopBetweenSteps",
    "SymmetryBreaking",
    "TestReport",
    "TheoryGap",
    "WholeCheckpointIO",
    "WritePredictions",
    "band",
    "default_callbacks",
    "lines",
]
