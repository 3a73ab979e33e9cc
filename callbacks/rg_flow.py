"""Flow and spectrum of the learned map over training: is it a renormalisation-group step?"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure
from torch import Tensor

from ..checks import check_at_least
from ..cumulants import RGFlowResult, eigenvalues, map_spectrum, rg_flow, rg_spectrum
from ..datamodules import laws
from ..datamodules.blocks import BlockData, law_tags
from ..datamodules.sampling import stream
from ..limits import check_samples
from ..maps import Basis, BlockMap, CentralLimit
from ..training.metrics import quantiles
from ..training.stack import StackedModel
from .charts import Charts, band, lines
from .diagnostic import Diagnostic, read_laws, trained_with_variance
from .figures import law_label
from .rg_figures import draw_flow, draw_spectrum

SAMPLES = 4096  # of a flow, for up to 256 members
MOST_OUTPUTS = 2**20  # members times samples, above which there are fewer samples
LEAST_SAMPLES = 1024

log = logging.getLogger("renorm")


class RGFlow(Diagnostic):
    r"""Compare the learned map's flow and spectrum with the exact map's, every few epochs and at the end of training.

    The flow starts from a sample of each chosen law (standardised, where the fixed point is a Gaussian), see
    :func:`renorm.cumulants.rg_flow`; the spectrum is measured in the map's basis, see :func:`renorm.cumulants.rg_spectrum`.
    Logged are, as medians over members with quantiles, ``rg/eigenvalue/<n>`` beside ``rg/eigenvalue/<n>_exact``, and
    ``rg/flow/<law>/k<n>`` and ``rg/flow/<law>/wasserstein``, the distance to the map's fixed point, after the last step. Beside
    these are the map's own values on the same sample, as ``..._exact`` if the map has an exact recursion of cumulants, and as
    ``..._map`` otherwise. Flows to a fixed point that is not a Gaussian have ``rg/flow/<law>/quantile_distance`` as well, which
    exists without a variance. A Parquet file in the run's folder ``rg_flow`` has every member and step.

    Args:
        laws: laws that flows start from; by default those trained on, and of these, if the fixed point is a Gaussian, those
            that have a variance.
        every_n_epochs: how often, besides at the end of training; 0 for never.
        steps: steps of the flow.
        samples: size of the sample; by default 4096, or fewer for more than 256 members, see :func:`samples_for`, which the
            log then says.
        order: highest order of the spectrum.
        table: whether to write the Parquet files.
        prefix: see :class:`renorm.callbacks.Diagnostic`.

    Attributes:
        results: law -> flow of the last measurement.
        spectrum: last measured matrix of each member, shape ``(M, order + 1, order + 1)``.

    Raises:
        InputError: if a value is out of range, or a law is unknown or has no variance.
    """

    name = "rg_flow"
    measures_at_end = True
    results: dict[str, RGFlowResult]

    def __init__(
        self,
        laws: list[str] | str | None = None,
        every_n_epochs: int = 50,
        steps: int = 10,
        samples: int | None = None,
        order: int = 6,
        table: bool = True,
        prefix: str | None = None,
    ) -> None:
        super().__init__(every_n_epochs, figure_every_n_epochs=1, table=table, prefix=prefix)
        check_at_least("steps", steps, 1)
        check_at_least("samples", SAMPLES if samples is None else samples, 8)
        check_at_least("order", order, 1)
        check_samples(samples or SAMPLES)
        self.laws = read_laws(laws)
        self.steps = steps
        self.samples = samples
        self.order = order
        self.spectrum: Tensor | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Log where the sample is smaller than usual."""
        super().setup(trainer, pl_module, stage)
        used = self._samples_of(pl_module)
        if self.samples is None and used < SAMPLES and self.every_n_epochs and trainer.is_global_zero:
            log.info("rg_flow: flows of %d samples, not %d (--rg_flow.samples %d)", used, SAMPLES, SAMPLES)

    def prepare(self, model: StackedModel, data: BlockData) -> None:
        """Reject laws without a variance if the fixed point is a Gaussian."""
        if data.map is not None and is_gaussian(data.map, data.block_size):
            for law in self.laws or []:
                standardised(law)

    def measure(self, model: StackedModel, data: BlockData) -> dict[str, RGFlowResult]:
        """Return the flow from each law, and keep the spectrum if the map has a basis to measure it in."""
        if (basis_and_nodes := how_measured(data)) is not None:
            basis, nodes = basis_and_nodes
            self.spectrum = model.divergence.exclude(rg_spectrum(model.double_copy(), self.order, nodes, basis))
        if data.map is None or not data.independent:
            return {}  # blocks that are not draws of laws have no flow
        if is_gaussian(data.map, data.block_size):
            chosen = trained_with_variance(data) if self.laws is None else self.laws
            chosen = [standardised(law) for law in chosen]
        else:
            trained = [law for law in data.train_laws if isinstance(law, laws.Law)]
            chosen = trained if self.laws is None else self.laws
        return {str(law): self.flow(model, law, data.seed, data.map) for law in chosen}

    def flow(
        self,
        model: StackedModel,
        law: laws.Law,
        seed: int,
        block_map: BlockMap = CentralLimit(),  # noqa: B008  (frozen, without state)
    ) -> RGFlowResult:
        """Return the flow from a law, always from the same sample and with the same shuffles."""
        x, generator = start_of_flow(law, self._samples_of(model), seed, block_map, model.block_size)
        flow = rg_flow(model, x, self.steps, generator, block_map)
        exclude = model.divergence.exclude
        distances = {name: exclude(getattr(flow, name), dim=1) for name in ("wasserstein", "quantile_distance")}
        return flow._replace(k=exclude(flow.k, dim=2), **distances)

    def _samples_of(self, model: Any) -> int:
        return samples_for(model.num_members) if self.samples is None else self.samples

    def exact_flow(self, law: str, data: BlockData) -> Tensor | None:
        """Return the exact cumulants along the flow from a law, shape ``(steps + 1, 4)``; None if they are not known."""
        return None if data.map is None else data.map.flow(laws.parse(law).cumulants(4), self.steps, data.block_size)

    def exact_spectrum(self, data: BlockData) -> Tensor | None:
        """Return the exact eigenvalues, as many as were measured; None if they are not known."""
        if data.map is None or self.spectrum is None or not data.independent:
            return None
        exact = data.map.spectrum(self.order, data.block_size)
        return None if exact is None else exact[: self.spectrum.shape[-1]]

    def scalars(self, model: StackedModel, data: BlockData) -> dict[str, float]:
        """Return cumulants and distances after the last step of the flows, and eigenvalues, learned and exact."""
        scalars: dict[str, float] = {}
        tags = law_tags(data, self.results)
        for law, flow in self.results.items():
            suffix = "map" if self.exact_flow(law, data) is None else "exact"
            scalars |= flow_scalars(f"rg/flow/{tags[law]}", flow, suffix, self._distances(data))
        if self.spectrum is not None:
            for n, values in enumerate(eigenvalues(self.spectrum).T):
                scalars |= median_and_quantiles(f"rg/eigenvalue/{n}", values)
            if (exact := self.exact_spectrum(data)) is not None:
                scalars |= {f"rg/eigenvalue/{n}_exact": float(value) for n, value in enumerate(exact)}
        return scalars

    def figures(self, model: StackedModel, data: BlockData) -> dict[str, Figure]:
        """Draw the flow from each law, and the spectrum beside the exact one."""
        figures: dict[str, Figure] = {}
        tags = law_tags(data, self.results)
        for law, flow in self.results.items():
            exact = self.exact_flow(law, data)
            curves = None if exact is None else exact.numpy()
            figures[f"rg_flow/{tags[law]}"] = draw_flow(flow, curves, model.grid_groups(), law_label(law))
        if self.exact_spectrum(data) is not None and (measured := how_measured(data)) is not None:
            assert data.map is not None
            assert self.spectrum is not None
            exact = map_spectrum(data.map, data.block_size, self.order, measured[1])
            figures["rg_spectrum"] = draw_spectrum(self.spectrum.cpu(), exact.numpy(), measured[0].name)
        return figures

    def _distances(self, data: BlockData) -> list[str]:
        """Distances to the fixed point that are logged: without a variance there is no Wasserstein distance."""
        gaussian = data.map is not None and is_gaussian(data.map, data.block_size)
        return ["wasserstein"] if gaussian else ["wasserstein", "quantile_distance"]

    def columns(self, model: StackedModel, data: BlockData) -> Iterator[dict[str, Any]]:
        """Yield every step and member, law by law."""
        for law, flow in self.results.items():
            steps, _, members = flow.k.shape
            values = {name: getattr(flow, name) for name in self._distances(data)}
            values |= {f"k{n + 1}": flow.k[:, n] for n in range(4)}
            of_map = {name: getattr(flow, f"exact_{name}") for name in self._distances(data)}
            of_map |= {f"k{n + 1}": flow.exact_k[:, n] for n in range(4)}
            prefix = "map" if self.exact_flow(law, data) is None else "exact"
            columns = {
                "law": law,
                "t": np.repeat(np.arange(steps), members),
                "member": np.tile(np.arange(members), steps),
            }
            for name, value in values.items():
                columns[name] = value
                columns[f"{prefix}_{name}"] = of_map[name].repeat_interleave(members)
            yield columns

    def charts(self, model: StackedModel, data: BlockData) -> dict[str, Charts]:
        """Return charts of the eigenvalues."""
        if (measured := how_measured(data)) is None:
            return {}
        highest = self.order if measured[0].highest is None else min(self.order, measured[0].highest)
        tags = [f"rg/eigenvalue/{n}" for n in range(highest + 1)]
        return {
            "5 spectrum": {
                "eigenvalues, learned and exact": lines(*tags, *(f"{tag}_exact" for tag in tags)),
                **{f"eigenvalue {n}": band(tag) for n, tag in enumerate(tags)},
            }
        }


def samples_for(members: int) -> int:
    """Samples of a flow for so many members, if the user does not say.

    Example:
        >>> [samples_for(members) for members in (1, 256, 352, 1024, 4096)]
        [4096, 4096, 2978, 1024, 1024]
    """
    return min(SAMPLES, max(LEAST_SAMPLES, MOST_OUTPUTS // members))


def flow_scalars(tag: str, flow: RGFlowResult, suffix: str, distances: list[str]) -> dict[str, float]:
    """Return cumulants and distances to the fixed point after the last step, under tags that begin with ``tag``.

    Args:
        tag: first part of the tags.
        flow: of the learned map, and of the map itself on the same sample.
        suffix: of the tags with the map's own values.
        distances: names of the distances.
    """
    learned = {f"{tag}/k{n}": flow.k[-1, n - 1] for n in range(1, 5)}
    of_map = {f"{tag}/k{n}": flow.exact_k[-1, n - 1] for n in range(1, 5)}
    for name in distances:
        if (own := getattr(flow, f"exact_{name}")).isfinite().all():
            learned[f"{tag}/{name}"] = getattr(flow, name)[-1]
            of_map[f"{tag}/{name}"] = own[-1]
    scalars = {f"{key}_{suffix}": float(value) for key, value in of_map.items()}
    for key, values in learned.items():
        scalars |= median_and_quantiles(key, values)
    return scalars


def how_measured(data: BlockData) -> tuple[Basis, int] | None:
    """The map's basis, and how many nodes the spectrum is measured with; None for a map without one, or large blocks."""
    return None if data.map is None else data.map.measured_in(data.block_size)


def median_and_quantiles(tag: str, values: Tensor) -> dict[str, float]:
    """Return median, ``_q10`` and ``_q90`` over members by tag; a few members that blow up would spoil a mean.

    A single member has no quantiles.
    """
    if values.numel() == 1:
        return {tag: float(values)}
    low, median, high = (float(q) for q in quantiles(values))
    return {tag: median, f"{tag}_q10": low, f"{tag}_q90": high}


def start_of_flow(
    law: laws.Law, samples: int, seed: int, block_map: BlockMap, block_size: int
) -> tuple[Tensor, torch.Generator]:
    """Return the sample that a flow from a law starts with, float64, and the source of its shuffles."""
    generator = stream(seed, "probe", f"rg flow from {law}", 0, 0)
    x = law.sample(samples, generator=generator, dtype=torch.float64)
    if is_gaussian(block_map, block_size):
        # the map multiplies the mean by sqrt(b) at each step: the sample's own must be taken away first
        x = (x - x.mean()) / x.std()
    return x, generator


def is_gaussian(block_map: BlockMap, block_size: int) -> bool:
    """Whether a map's fixed points are Gaussians: flows then start from standardised laws, others from the laws as they are."""
    return isinstance(block_map.fixed_point(block_size), laws.Gaussian)


def standardised(law: laws.Law) -> laws.Law:
    """Return the law with mean 0 and variance 1; a law that has them up to rounding is returned unchanged."""
    mean, variance = law.cumulants(2).tolist()
    return law if abs(mean) < 1e-12 and abs(variance - 1) < 1e-12 else law.standardised()
