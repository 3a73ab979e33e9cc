"""Cumulants: estimators, metrics and exact recursions; imports nothing else of renorm."""

if __name__ != "renorm.cumulants":
    raise ImportError("this folder is the package renorm.cumulants: import it by that name")

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
