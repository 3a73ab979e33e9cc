"""Cumulants: estimators, metrics and exact recursions; they need nothing of renorm but what checks arguments and reads laws.

Everything is imported on first use: an estimate needs PyTorch and little else, the metrics need torchmetrics, which takes as
long to import as PyTorch.
"""

from typing import TYPE_CHECKING

if __name__ != "renorm.cumulants":
    raise ImportError("this folder is the package renorm.cumulants: import it by that name")

from ..lazy import on_first_use

if TYPE_CHECKING:
    from .bootstrap import Interval, kstat_bootstrap
    from .clt import clt_eigenvalues, clt_fixed_point, clt_flow, clt_step, clt_step_joint, recursion_residual
    from .joint import JointSums, joint_kstat, joint_sums, merge_joint
    from .kstatistics import kstat, kstat_stderr
    from .metrics import CumulantResult, Cumulants, JointCumulants
    from .moments import cumulants_to_moments, moments_to_cumulants
    from .propagation import GaussianInput, MixtureInput, Propagation, Residual, law_of_block, law_of_data, propagate
    from .rg import RGFlowResult, eigenvalues, map_spectrum, rg_flow, rg_spectrum
    from .summaries import PowerSums, merge, power_sums

__all__ = [
    "CumulantResult",
    "Cumulants",
    "GaussianInput",
    "Interval",
    "JointCumulants",
    "JointSums",
    "MixtureInput",
    "PowerSums",
    "Propagation",
    "RGFlowResult",
    "Residual",
    "clt_eigenvalues",
    "clt_fixed_point",
    "clt_flow",
    "clt_step",
    "clt_step_joint",
    "cumulants_to_moments",
    "eigenvalues",
    "joint_kstat",
    "joint_sums",
    "kstat",
    "kstat_bootstrap",
    "kstat_stderr",
    "law_of_block",
    "law_of_data",
    "map_spectrum",
    "merge",
    "merge_joint",
    "moments_to_cumulants",
    "power_sums",
    "propagate",
    "recursion_residual",
    "rg_flow",
    "rg_spectrum",
]

_MODULES = {
    "bootstrap": ("Interval", "kstat_bootstrap"),
    "clt": ("clt_eigenvalues", "clt_fixed_point", "clt_flow", "clt_step", "clt_step_joint", "recursion_residual"),
    "joint": ("JointSums", "joint_kstat", "joint_sums", "merge_joint"),
    "kstatistics": ("kstat", "kstat_stderr"),
    "metrics": ("CumulantResult", "Cumulants", "JointCumulants"),
    "moments": ("cumulants_to_moments", "moments_to_cumulants"),
    "propagation": (
        "GaussianInput",
        "MixtureInput",
        "Propagation",
        "Residual",
        "law_of_block",
        "law_of_data",
        "propagate",
    ),
    "rg": ("RGFlowResult", "eigenvalues", "map_spectrum", "rg_flow", "rg_spectrum"),
    "summaries": ("PowerSums", "merge", "power_sums"),
}
_HOMES = {name: f".{module}" for module, names in _MODULES.items() for name in names}

__getattr__, __dir__ = on_first_use(__name__, _HOMES)
