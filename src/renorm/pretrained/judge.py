"""The numbers of the manifest: metrics on every law, spectrum and certificate; in float64, so that machines agree.

Metrics and certificates exist for every map. A spectrum is measured for maps that have a basis, see
:class:`renorm.maps.Basis`, beside the exact one where that is known.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..certificates.certificate import certify
from ..cumulants import eigenvalues, rg_spectrum
from ..datamodules import CLTDataModule
from ..datamodules.laws import Law
from ..datamodules.sampling import Split
from ..maps import BlockMap
from ..member_bootstrap import bootstrap
from ..training.metrics import law_metrics, metrics_of
from ..zoo import StackedModel

RESAMPLES = 1000
SPECTRUM_ORDER = 6
OF_SOME_MAPS = ("spectrum",)
DIGITS = 9  # significant ones that the manifest keeps, more than any tolerance asks for


def judged(model: StackedModel, data: CLTDataModule, seed: int, best: int | None = None) -> dict[str, Any]:
    """All that can be computed again from a stack's weights, as the manifest has it.

    Args:
        model: the whole stack.
        data: map, laws and blocks of its recipe.
        seed: of the bootstrap.
        best: the member whose numbers are given besides medians; by default the one with the lowest validation loss.

    Returns:
        ``best_member``, ``validation_loss`` of every member, ``metrics``, ``certificate``, and ``spectrum`` for maps that
        have one.
    """
    with one_thread():
        losses = validation_losses(model, data)
        best = int(losses.argmin()) if best is None else best
        entry: dict[str, Any] = {
            "best_member": best,
            "validation_loss": losses.tolist(),
            "metrics": summarise(member_metrics(model, data), best, seed),
        }
        if (spectrum := spectrum_of(model, data.map)) is not None:
            entry["spectrum"] = spectrum
    certificate = certify(model, str(data.map))
    entry["certificate"] = {key: getattr(certificate, key) for key in ("architecture", "verdict", "infimum")}
    rounded: dict[str, Any] = shortened(entry)
    return rounded


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread, so that sums do not depend on the number of cores, and flush denormal numbers, which are slow."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)


def blocks_of(data: CLTDataModule, split: Split, law: Law) -> Tensor:
    """All blocks of one law in a validation or test, float64."""
    steps = -(-data.eval_samples[split] // data.eval_batch_size)
    return torch.cat([data.batch(split, 0, step, law=law).x for step in range(steps)]).double()


@torch.no_grad()
def member_metrics(model: StackedModel, data: CLTDataModule) -> dict[str, dict[str, Tensor]]:
    """Law -> metric -> one number a member, on the blocks of the test."""
    twin = model.double_copy()
    by_law = {}
    for law in data.laws:
        x = blocks_of(data, "test", law)
        by_law[str(law)] = law_metrics(
            data.existing_cumulants(str(law)), [(twin(x), data.map(x))], metrics_of(data.map)
        )
    return by_law


@torch.no_grad()
def validation_losses(model: StackedModel, data: CLTDataModule) -> Tensor:
    """Mean squared error of each member over the training laws; infinite for one that has diverged."""
    twin = model.double_copy()
    per_law = []
    for law in data.train_laws:
        x = blocks_of(data, "val", law)
        per_law.append((twin(x) - data.map(x)).square().mean(dim=-1))
    return torch.stack(per_law).mean(dim=0).nan_to_num(nan=torch.inf, posinf=torch.inf)


def summarise(metrics: dict[str, dict[str, Tensor]], best: int, seed: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Law -> metric -> the best member's number, the median over members that have one, and its 95% bootstrap interval."""
    return {
        law: {name: _summary(values, best, seed) for name, values in by_metric.items()}
        for law, by_metric in metrics.items()
    }


def _summary(values: Tensor, best: int, seed: int) -> dict[str, Any]:
    finite = values[values.isfinite()].numpy()
    if not len(finite):
        return {"best": None, "median": None, "interval": [None, None]}
    median, *interval = bootstrap(np.median, finite, seed=seed, resamples=RESAMPLES, ends="linear")
    return {"best": float(values[best]), "median": median, "interval": interval}


@torch.no_grad()
def spectrum_of(model: StackedModel, block_map: BlockMap) -> dict[str, Any] | None:
    r"""Eigenvalues :math:`\lambda_1, \dots, \lambda_6` of every member's linearised step, beside the exact ones where known.

    They are measured in the map's basis: None for a map without one, and for blocks too large for it. Normalisation makes the
    row of order 0 :math:`(b, 0, \dots, 0)`: its eigenvalue ``b`` is everyone's, and left out.
    """
    if (measured := block_map.measured_in(model.block_size)) is None:
        return None
    basis, nodes = measured
    spectrum = rg_spectrum(model.double_copy(), SPECTRUM_ORDER, nodes, basis)[:, 1:, 1:]
    exact = block_map.spectrum(SPECTRUM_ORDER, model.block_size)
    known = {} if exact is None else {"exact": exact[1 : 1 + spectrum.shape[1]].tolist()}
    return {"eigenvalues": eigenvalues(spectrum).tolist()} | known


def shortened(value: Any) -> Any:
    """Numbers to nine significant digits, and null for those that JSON cannot say.

    Example:
        >>> shortened({"a": [1 / 3, float("nan"), 2]})
        {'a': [0.333333333, None, 2]}
    """
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shortened(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value
