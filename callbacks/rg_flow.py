"""Is the learned map a renormalisation-group step? Its flow and its spectrum, over training."""

from __future__ import annotations

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from ..cumulants import RGFlowResult, eigenvalues, rg_flow, rg_spectrum
from ..datamodules import laws
from ..datamodules.blocks import BlockData, blocks_of
from ..datamodules.sampling import stream
from ..errors import InputError
from ..limits import check_samples
from ..maps import BlockMap, CentralLimit, Hermite
from ..training.metrics import quantiles
from ..training.stack import StackedModel
from .figures import log_figure, shorten, verbatim
from .rg_figures import draw_flow, draw_spectrum
from .tables import is_due, log_scalars, table_folder, write_epoch

MOST_VARIABLES = 5  # of a block, for the spectrum's product quadrature


class RGFlow(Callback):
    r"""Compare the learned map's flow and spectrum with the exact map's, every so often and at the end of training.

    The flow starts from a sample of each chosen law (standardised, where the fixed point is a Gaussian), see
    :func:`renorm.cumulants.rg_flow`; the spectrum is that
    of :func:`renorm.cumulants.rg_spectrum`. Logged are, as medians over members with quantiles, ``rg/eigenvalue/<n>`` beside
    ``rg/eigenvalue/<n>_exact``, and ``rg/flow/<law>/k<n>`` and ``rg/flow/<law>/wasserstein`` after the last step beside
    ``..._exact``. A Parquet file in the run's folder ``rg_flow`` has every member and step.

    Args:
        laws: laws that flows start from; by default those trained on that have a variance.
        every_n_epochs: how often, besides at the end of training; 0 for never.
        steps: steps of the flow.
        samples: size of the sample.
        order: highest order of the spectrum.
        table: whether to write the Parquet files.

    Attributes:
        results: law -> what was last measured.
        spectrum: the last matrix of each member, shape ``(M, order + 1, order + 1)``.

    Raises:
        ValueError: for a value out of range, an unknown law, or one without a variance.
    """

    def __init__(
        self,
        laws: list[str] | str | None = None,
        every_n_epochs: int = 50,
        steps: int = 10,
        samples: int = 4096,
        order: int = 6,
        table: bool = True,
    ) -> None:
        ranges = {
            "every_n_epochs": (every_n_epochs, 0),
            "steps": (steps, 1),
            "samples": (samples, 8),
            "order": (order, 1),
        }
        for name, (value, low) in ranges.items():
            if value < low:
                raise InputError(f"{name}={value} is out of range", f"whole numbers >= {low}")
        check_samples(samples)
        self.laws = None if laws is None else checked_laws([laws] if isinstance(laws, str) else laws)
        self.every_n_epochs = every_n_epochs
        self.steps = steps
        self.samples = samples
        self.order = order
        self.table = table
        self.results: dict[str, RGFlowResult] = {}
        self.spectrum: Tensor | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that this is a model and data that have a flow."""
        blocks_of(trainer, "RGFlow")
        if not isinstance(pl_module, StackedModel):
            raise TypeError("RGFlow needs a StackedModel")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure, log, draw and write, on the first process only: the sample is small and needs no sharing."""
        epoch = trainer.current_epoch
        if not is_due(epoch, self.every_n_epochs, trainer.max_epochs) or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, StackedModel)
        data = blocks_of(trainer, "RGFlow")
        scalars: dict[str, float] = {}
        self.results = self._flows(pl_module, data)
        for law, flow in self.results.items():
            assert data.map is not None
            exact = data.map.flow(laws.parse(law).cumulants(4), self.steps, data.block_size)
            scalars |= self._flow_scalars(law, flow, exact is not None)
            curves = None if exact is None else exact.numpy()
            log_figure(
                trainer, f"rg_flow/{law}", draw_flow(flow, curves, pl_module.grid_groups(), verbatim(shorten(law)))
            )
        # the spectrum is measured in Hermite polynomials, at the Gaussian: of other maps it would say nothing
        if data.map is not None and is_gaussian(data.map) and data.block_size <= MOST_VARIABLES:
            spectrum = rg_spectrum(pl_module.double_copy(), self.order, nodes=8 if data.block_size > 3 else 32)
            self.spectrum = pl_module.divergence.exclude(spectrum)
            found = eigenvalues(self.spectrum)
            known = data.map.spectrum(self.order, data.block_size) if data.independent else None
            for n in range(self.order + 1):
                scalars |= median_and_quantiles(f"rg/eigenvalue/{n}", found[:, n])
                if known is not None:
                    scalars[f"rg/eigenvalue/{n}_exact"] = float(known[n])
            if known is not None:
                log_figure(trainer, "rg_spectrum", draw_spectrum(self.spectrum.cpu(), known.numpy()))
        log_scalars(trainer, scalars)
        if self.table:
            self._write(trainer, epoch, data)

    def _flows(self, model: StackedModel, data: BlockData) -> dict[str, RGFlowResult]:
        """From each chosen law; from none where there is no map, or where blocks are not draws of laws."""
        if data.map is None or not data.independent:
            return {}
        chosen = (
            self.laws
            if self.laws is not None
            else [law for law in data.train_laws if isinstance(law, laws.Law) and has_variance(law)]
        )
        if is_gaussian(data.map):
            chosen = [standardised(law) for law in chosen]
        return {str(law): self.flow(model, law, data.seed, data.map) for law in chosen}

    def flow(
        self,
        model: StackedModel,
        law: laws.Law,
        seed: int,
        block_map: BlockMap = CentralLimit(),  # noqa: B008  (frozen, without state)
    ) -> RGFlowResult:
        """The flow from a law, always from the same sample and with the same shuffles."""
        generator = stream(seed, "probe", f"rg flow from {law}", 0, 0)
        x = law.sample(self.samples, generator=generator, dtype=torch.float64)
        if is_gaussian(block_map):
            # the map multiplies the mean by sqrt(b) at each step: the sample's own must be taken away first
            x = (x - x.mean()) / x.std()
        flow = rg_flow(model, x, self.steps, generator, block_map)
        exclude = model.divergence.exclude
        return flow._replace(k=exclude(flow.k, dim=2), wasserstein=exclude(flow.wasserstein, dim=1))

    def _flow_scalars(self, law: str, flow: RGFlowResult, exact: bool) -> dict[str, float]:
        scalars: dict[str, float] = {}
        for n in range(1, 5):
            scalars |= median_and_quantiles(f"rg/flow/{law}/k{n}", flow.k[-1, n - 1])
            if exact:
                scalars[f"rg/flow/{law}/k{n}_exact"] = float(flow.exact_k[-1, n - 1])
        if flow.exact_wasserstein.isfinite().all():
            scalars |= median_and_quantiles(f"rg/flow/{law}/wasserstein", flow.wasserstein[-1])
            if exact:
                scalars[f"rg/flow/{law}/wasserstein_exact"] = float(flow.exact_wasserstein[-1])
        return scalars

    def _write(self, trainer: Trainer, epoch: int, data: BlockData) -> None:
        folder = table_folder(trainer, "rg_flow")
        if folder is None or not self.results:
            return
        import pyarrow as pa

        tables = []
        for law, flow in self.results.items():
            exact = data.target_cumulants(law) is not None
            steps, _, members = flow.k.shape
            columns = {
                "epoch": np.full(steps * members, epoch),
                "law": np.repeat([law], steps * members),
                "t": np.repeat(np.arange(steps), members),
                "member": np.tile(np.arange(members), steps),
                "wasserstein": flow.wasserstein.flatten().cpu().numpy(),
            }
            if exact:
                columns["exact_wasserstein"] = flow.exact_wasserstein.repeat_interleave(members).cpu().numpy()
            for n in range(4):
                columns[f"k{n + 1}"] = flow.k[:, n].flatten().cpu().numpy()
                if exact:
                    columns[f"exact_k{n + 1}"] = flow.exact_k[:, n].repeat_interleave(members).cpu().numpy()
            tables.append(pa.table(columns))
        write_epoch(folder, epoch, pa.concat_tables(tables, promote_options="default"))


def median_and_quantiles(tag: str, values: Tensor) -> dict[str, float]:
    """Median, ``_q10`` and ``_q90`` over members under their tags: a few members that blow up would spoil a mean."""
    low, median, high = (float(q) for q in quantiles(values))
    return {tag: median, f"{tag}_q10": low, f"{tag}_q90": high}


def is_gaussian(block_map: BlockMap) -> bool:
    """Whether a map's fixed points are Gaussians: flows then start from standardised laws, others from the laws as they are."""
    return isinstance(block_map.basis, Hermite) and isinstance(block_map.fixed_point(2), laws.Gaussian)


def has_variance(law: laws.Law) -> bool:
    """Whether a law can be standardised."""
    return bool(torch.isfinite(law.cumulants(2)[1]))


def standardised(law: laws.Law) -> laws.Law:
    """The law with mean 0 and variance 1; one that has them to rounding stays as it is, with its name."""
    mean, variance = law.cumulants(2).tolist()
    return law if abs(mean) < 1e-12 and abs(variance - 1) < 1e-12 else law.standardised()


def checked_laws(texts: list[str]) -> list[laws.Law]:
    """Laws from their strings, refused where they have no variance."""
    parsed = [laws.parse(text) for text in texts]
    for law in parsed:
        standardised(law)
    return parsed
