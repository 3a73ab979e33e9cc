"""Predicted against measured cumulants of every layer, over training: where a closure ends."""

from __future__ import annotations

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from ..cumulants import propagate
from ..cumulants.propagation import Gap
from ..cumulants.propagation.propagate import METHODS
from ..datamodules import laws
from ..datamodules.blocks import BlockData, blocks_of
from ..errors import InputError
from ..limits import check_samples
from ..training.stack import StackedModel
from .figures import log_figure, shorten, verbatim
from .layer_cumulants import ORDER, sampled_cumulants
from .tables import is_due, log_scalars, mean_and_quantiles, table_folder, write_epoch
from .theory_figures import draw_gap


class TheoryGap(Callback):
    r"""Compare what theory predicts for every layer's cumulants with what a sample of blocks shows.

    Scalars ``theory_gap/<law>/<layer>/k<n>`` are predicted minus measured, means over members and units with quantiles, and
    ``..._stderr`` is the mean standard error of the measurement, so that a gap can be told from noise. Figures show predicted
    against measured; a Parquet file an epoch in the run's folder ``theory_gap`` has every member and unit.

    Args:
        laws: which laws, with a variance; by default those trained on that have one.
        every_n_epochs: how often to compare; 0 for never.
        method: see :func:`renorm.cumulants.propagate`.
        closure: highest order of the cumulants that the prediction keeps, 2 to 4.
        samples: blocks of the sample; the same ones every time.
        members: how many members to look at, evenly spread over the stack: a prediction costs much more than a sample.
        figure_every_n_epochs: how often to draw figures, besides at the end of training; 0 for never.
        table: whether to write the Parquet files.

    Attributes:
        results: law -> layer -> :class:`renorm.cumulants.propagation.Gap`, of the members looked at.

    Raises:
        ValueError: for a value out of range, an unknown law, or a model that the method cannot do.

    Example:
        >>> TheoryGap(laws="uniform()", every_n_epochs=1).method
        'edgeworth'
    """

    def __init__(
        self,
        laws: list[str] | str | None = None,
        every_n_epochs: int = 1,
        method: str = "edgeworth",
        closure: int = 4,
        samples: int = 2048,
        members: int = 16,
        figure_every_n_epochs: int = 50,
        table: bool = True,
    ) -> None:
        ranges = {
            "every_n_epochs": (every_n_epochs, 0),
            "samples": (samples, 2 * ORDER),
            "members": (members, 1),
            "figure_every_n_epochs": (figure_every_n_epochs, 0),
        }
        for name, (value, low) in ranges.items():
            if value < low:
                raise InputError(f"{name}={value} is out of range", f"whole numbers >= {low}")
        check_samples(samples)
        if method not in METHODS:
            raise InputError(f"method={method!r} is unknown", ", ".join(METHODS))
        if closure not in (2, 3, 4):
            raise InputError(f"closure={closure} is out of range", "2 to 4")
        self.laws = None if laws is None else with_variance([laws] if isinstance(laws, str) else laws)
        self.every_n_epochs = every_n_epochs
        self.method = method
        self.closure = closure
        self.samples = samples
        self.members = members
        self.figure_every_n_epochs = figure_every_n_epochs
        self.table = table
        self.results: dict[str, dict[str, Gap]] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Predict once for each law, so that what cannot be predicted is refused before training and not after an epoch.

        Raises:
            ValueError: for a model or a law that the method cannot do.
        """
        data = blocks_of(trainer, "TheoryGap")
        if not isinstance(pl_module, StackedModel):
            raise TypeError("TheoryGap needs a StackedModel")
        if self.every_n_epochs:
            if not data.independent:
                raise InputError("theory_gap.every_n_epochs needs blocks of independent variables; allowed here: 0")
            for law in self._chosen_laws(data):
                propagate(pl_module, law, ORDER, self.closure, self.method, members=[0])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Predict, measure, log, draw and write, on the first process only: the sample is small and needs no sharing."""
        epoch = trainer.current_epoch
        if not self.every_n_epochs or (epoch + 1) % self.every_n_epochs or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, StackedModel)
        data = blocks_of(trainer, "TheoryGap")
        self.results = {str(law): self.compare(pl_module, law, data) for law in self._chosen_laws(data)}
        log_scalars(trainer, self._scalars())
        if is_due(epoch, self.figure_every_n_epochs, trainer.max_epochs):
            for law, gaps in self.results.items():
                log_figure(trainer, f"theory_gap/{law}", draw_gap(gaps, f"{verbatim(shorten(law))}, {self.method}"))
        self._write(trainer, pl_module, epoch)

    def compare(self, model: StackedModel, law: laws.Law, data: BlockData) -> dict[str, Gap]:
        """Predictions beside a sample's estimates, by layer."""
        chosen = self._chosen_members(model)
        x = data.probe(law, self.samples).x
        with torch.no_grad():
            predicted = propagate(model, law, ORDER, self.closure, self.method, members=chosen)
            measured = sampled_cumulants(model, x.to(next(model.parameters())), members=chosen)
            return predicted.compare(measured)

    def _chosen_members(self, model: StackedModel) -> list[int]:
        """Some of those that have not diverged."""
        trained = [member for member in range(model.num_members) if member not in model.divergence.steps]
        return [trained[i] for i in evenly_spread(len(trained), self.members)]

    def _chosen_laws(self, data: BlockData) -> list[laws.Law]:
        if self.laws is not None:
            return self.laws
        return [law for law in data.train_laws if isinstance(law, laws.Law) and bool(law.cumulants(2).isfinite().all())]

    def _scalars(self) -> dict[str, float]:
        scalars: dict[str, float] = {}
        for law, gaps in self.results.items():
            for layer, gap in gaps.items():
                for n in range(ORDER):
                    tag = f"theory_gap/{law}/{layer}/k{n + 1}"
                    scalars |= mean_and_quantiles(tag, gap.gap[n])
                    scalars[f"{tag}_stderr"] = float(gap.stderr[n].nanmean())
        return scalars

    def _write(self, trainer: Trainer, model: StackedModel, epoch: int) -> None:
        folder = table_folder(trainer, "theory_gap") if self.table else None
        if folder is None or not self.results:
            return
        import pyarrow as pa

        chosen = np.array(self._chosen_members(model))
        tables = []
        for law, gaps in self.results.items():
            for layer, gap in gaps.items():
                orders, members, units = gap.predicted.shape
                columns = {
                    "epoch": np.full(gap.predicted.numel(), epoch),
                    "law": np.repeat([law], gap.predicted.numel()),
                    "layer": np.repeat([layer], gap.predicted.numel()),
                    "order": np.repeat(np.arange(1, orders + 1), members * units),
                    "member": np.tile(np.repeat(chosen, units), orders),
                    "unit": np.tile(np.arange(units), orders * members),
                }
                for name in ("predicted", "measured", "stderr"):
                    columns[name] = getattr(gap, name).flatten().cpu().numpy()
                tables.append(pa.table(columns))
        write_epoch(folder, epoch, pa.concat_tables(tables))


def evenly_spread(count: int, wanted: int) -> list[int]:
    """At most ``wanted`` of the numbers below ``count``, evenly spread.

    Example:
        >>> evenly_spread(10, 4), evenly_spread(3, 16)
        ([0, 3, 6, 9], [0, 1, 2])
    """
    wanted = min(count, wanted)
    return [round(i * (count - 1) / max(wanted - 1, 1)) for i in range(wanted)]


def with_variance(texts: list[str]) -> list[laws.Law]:
    """Laws from their strings, refused where they have no variance."""
    parsed = [laws.parse(text) for text in texts]
    for law in parsed:
        if not bool(law.cumulants(2).isfinite().all()):
            raise InputError(f"laws={str(law)!r} has no variance", "laws with one")
    return parsed
