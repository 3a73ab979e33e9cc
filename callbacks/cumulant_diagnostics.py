"""Cumulants of every layer, every epoch: scalars, figures and a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor

from ..cumulants import kstat
from ..datamodules import laws
from ..datamodules.blocks import BlockData, Blocks, blocks_of
from ..datamodules.clt import parse_laws
from ..datamodules.laws.quadrature import law_rule
from ..errors import InputError
from ..limits import check_samples
from ..training.stack import StackedModel
from .cumulant_figures import draw_flow, draw_history
from .cumulant_table import write_table
from .figures import log_figure, shorten, verbatim
from .layer_cumulants import ORDER, LayerCumulants, integrated_cumulants, sampled_cumulants
from .tables import chart_tag, is_due, log_scalars, mean_and_quantiles, table_folder

METHODS = ("sampling", "quadrature")


class CumulantDiagnostics(Callback):
    r"""Measure the cumulants of every layer under chosen laws, against the exact ones for ``out`` where the map has them.

    Scalars ``cumulants/<law>/<layer>/k<n>`` are means over members and units; ``..._q10`` and ``..._q90`` are quantiles; for
    graphs ``k<n>_across_nodes`` is the sum of the joint cumulants between nodes, for every feature. A
    Parquet file an epoch in the run's folder ``cumulants`` has every member and unit, with standard
    errors, which are too small in typical samples of heavy-tailed laws (:func:`renorm.cumulants.kstat_stderr`), see
    :func:`renorm.callbacks.cumulant_table.write_table`. Members that have diverged are left out.

    Args:
        laws: which laws; by default those trained on.
        every_n_epochs: how often to measure; 0 for never.
        samples: blocks of a probe batch; the same ones every time.
        method: ``sampling``, or ``quadrature`` for numbers without noise, which needs blocks of 2 variables.
        figure_every_n_epochs: how often to draw figures, besides at the end of training; 0 for never.
        table: whether to write the Parquet files.

    Attributes:
        results: law -> layer -> what was last measured.

    Raises:
        ValueError: for a value out of range or an unknown law.
    """

    def __init__(
        self,
        laws: list[str] | str | None = None,
        every_n_epochs: int = 1,
        samples: int = 256,
        method: str = "sampling",
        figure_every_n_epochs: int = 50,
        table: bool = True,
    ) -> None:
        sizes = {"every_n_epochs": (every_n_epochs, 0), "figure_every_n_epochs": (figure_every_n_epochs, 0)}
        for name, (value, low) in (sizes | {"samples": (samples, ORDER)}).items():
            if value < low:
                raise InputError(f"{name}={value} is out of range", f"whole numbers >= {low}")
        check_samples(samples)
        if method not in METHODS:
            raise InputError(f"method={method!r} is unknown", ", ".join(METHODS))
        self.laws = None if laws is None else parse_laws("laws", laws)
        self.every_n_epochs = every_n_epochs
        self.samples = samples
        self.method = method
        self.figure_every_n_epochs = figure_every_n_epochs
        self.table = table
        self.results: dict[str, dict[str, LayerCumulants]] = {}
        self._probes: dict[str, Blocks] = {}
        # law -> one row an epoch measured: the epoch, then the medians of each layer and order
        self._history: dict[str, list[list[float]]] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that model, data and method go together.

        Raises:
            ValueError: for quadrature with blocks of more than two variables, or laws that it cannot integrate.
        """
        data = blocks_of(trainer, "CumulantDiagnostics")
        if not isinstance(pl_module, StackedModel):
            raise TypeError("CumulantDiagnostics needs a StackedModel")
        if self.method == "quadrature":
            if not data.independent:
                raise InputError("method='quadrature' needs blocks of independent variables; allowed here: sampling")
            if data.block_size != 2:
                raise InputError(f"method='quadrature' with block_size={data.block_size}", "block_size=2, or sampling")
            for law in self.laws or data.train_laws:
                if not isinstance(law, laws.Law):
                    raise InputError(f"method='quadrature' with law={str(law)!r}", "laws of one variable, or sampling")
                law_rule(law)  # refuses a law that it cannot integrate now, and not after the first epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure, log, draw and write, on the first process only: the probe is small and needs no sharing."""
        epoch = trainer.current_epoch
        if not self.every_n_epochs or (epoch + 1) % self.every_n_epochs or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, StackedModel)
        data = blocks_of(trainer, "CumulantDiagnostics")
        self.results = {
            str(law): {
                name: layer.without_diverged(pl_module) for name, layer in self.measure(pl_module, law, data).items()
            }
            for law in self.laws or data.train_laws
        }
        self._log(trainer)
        for law, layers in self.results.items():
            medians = [value for layer in layers.values() for value in median_of_units(layer.k)]
            self._history.setdefault(law, []).append([epoch, *medians])
        if is_due(epoch, self.figure_every_n_epochs, trainer.max_epochs):
            self._draw(trainer, pl_module, data)
        folder = table_folder(trainer, "cumulants") if self.table else None
        if folder is not None:
            exact = {law: data.target_cumulants(law) for law in self.results}
            write_table(folder, epoch, trainer.global_step, self.results, exact)

    def measure(self, model: StackedModel, law: Any, data: BlockData) -> dict[str, LayerCumulants]:
        """Cumulants of every layer under one law, by name."""
        if self.method == "quadrature":
            return integrated_cumulants(model, law)
        if str(law) not in self._probes:
            self._probes[str(law)] = data.probe(law, self.samples).to(next(model.parameters()))
        return sampled_cumulants(model, self._probes[str(law)].x)

    def _log(self, trainer: Trainer) -> None:
        scalars: dict[str, float] = {}
        for law, layers in self.results.items():
            for name, layer in layers.items():
                for n in range(ORDER):
                    tag = f"cumulants/{law}/{name}/k{n + 1}"
                    scalars |= mean_and_quantiles(tag, layer.k[n])
                    scalars[chart_tag(tag)] = scalars[tag]
                    if n and layer.across_nodes is not None:
                        scalars |= mean_and_quantiles(f"{tag}_across_nodes", layer.across_nodes[n])
        log_scalars(trainer, scalars)

    def _draw(self, trainer: Trainer, model: StackedModel, data: BlockData) -> None:
        for law, layers in self.results.items():
            flow = {
                group: {name: np.array(median_of_units(layer.k[:, positions])) for name, layer in layers.items()}
                for group, positions in model.grid_groups().items()
            }
            start, image = _start(data, law), data.target_cumulants(law)
            exact = None if start is None or image is None else torch.stack([start, image]).numpy()
            log_figure(
                trainer,
                f"cumulant_flow/{law}",
                draw_flow(flow, exact, self._probe_cumulants(law), verbatim(shorten(law))),
            )
            rows = np.array(self._history[law])
            history = rows[:, 1:].reshape(len(rows), len(layers), ORDER)
            epochs = [int(epoch) for epoch in rows[:, 0]]
            log_figure(
                trainer, f"cumulant_history/{law}", draw_history(epochs, history, list(layers), verbatim(shorten(law)))
            )

    def _probe_cumulants(self, law: str) -> NDArray[np.float64] | None:
        if law not in self._probes:
            return None
        probe = self._probes[law]
        return torch.stack([kstat(probe.x.flatten(), ORDER), kstat(probe.y, ORDER)]).cpu().numpy()

    def state_dict(self) -> dict[str, Any]:
        """The history that figures show, so that a resumed run draws the same ones."""
        return {"history": self._history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the history."""
        self._history = state_dict["history"]


def _start(data: BlockData, law: str) -> Tensor | None:
    """Exact cumulants of one variable; None where they are not known."""
    if data.independent:
        return laws.parse(law).cumulants(ORDER)
    known = getattr(data, "variable_cumulants", None)  # which data modules of one's own need not have
    return None if known is None else known(law)


def median_of_units(k: Tensor) -> list[float]:
    """Median over members and units of each order, ``(4, M, units) -> 4`` numbers; diverged members are left out."""
    flat = k.flatten(1)
    medians: list[float] = flat.masked_fill(~flat.isfinite(), torch.nan).nanmedian(dim=1).values.tolist()
    return medians
