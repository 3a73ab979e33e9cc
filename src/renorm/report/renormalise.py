"""Train variants and ask whether what they learned is a renormalisation-group step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..cumulants import eigenvalues, rg_flow, rg_spectrum
from ..datamodules import CLTDataModule, laws
from ..training.stack import StackedModel
from .fits import errors_of, fit


def flow_and_spectrum(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Train one variant, then follow its flow and take its spectrum.

    Args:
        settings: see :func:`renorm.report.fits.fit`, with one stop; and ``law``, standardised, at which the flow starts,
            ``steps`` and ``samples`` of the flow, and ``order`` of the spectrum.

    Returns:
        ``trained`` and ``held_out`` errors and ``eigenvalues``, member x order; ``k``: cumulants along the flow, step x order x
        member; ``distance``: Wasserstein distance to the Gaussian, step x member; ``exact_k`` and ``exact_distance``: those of
        the exact map on the same draws.
    """

    def look(model: StackedModel, data: CLTDataModule, step: int) -> dict[str, Any]:
        errors = errors_of(model, data)
        generator = torch.Generator().manual_seed(data.seed + 1)
        start = laws.parse(settings["law"]).sample((settings["samples"],), generator=generator)
        start = start - start.mean()  # which even the exact map would let grow by a factor of sqrt(2) a step
        twin = model.double_copy().requires_grad_(False)
        flow = rg_flow(twin, start.double(), settings["steps"], generator=generator)
        return {
            "trained": errors["trained"],
            "held_out": errors["held_out"],
            "eigenvalues": eigenvalues(rg_spectrum(twin, settings["order"])).nan_to_num(nan=torch.inf).tolist(),
            "k": flow.k.tolist(),
            "exact_k": flow.exact_k.tolist(),
            "distance": flow.wasserstein.tolist(),
            "exact_distance": flow.exact_wasserstein.tolist(),
        }

    found: dict[str, Any] = fit(settings, look)[-1]
    return found
