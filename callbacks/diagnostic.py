"""The base class of diagnostics: what is measured every few epochs, then logged, drawn and written to a table."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from matplotlib.figure import Figure
from torch import Tensor

from ..checks import check_at_least, described
from ..datamodules import laws
from ..datamodules.blocks import BlockData, blocks_of, has_blocks
from ..errors import InputError
from ..training.stack import StackedModel, check_stack
from .charts import Charts, chart_tag
from .figures import log_figure
from .hooked_network import HookedNetwork
from .probe import Probe, ProbeData
from .tables import concatenated, is_due, log_scalars, mean_and_quantiles, table_folder, write_epoch

PREFIX = re.compile("[A-Za-z][A-Za-z0-9_-]*")  # never the number of a diagnostic without one


class Diagnostic(Callback):
    """Measure a stack of models every few epochs; log scalars and figures, and write a table.

    A diagnostic of your own overrides :meth:`measure`. If its results are ``{quantity: one number per member}``, that is all;
    otherwise it also overrides :meth:`scalars` and :meth:`columns`. :meth:`figures`, :meth:`charts` and :meth:`prepare` do
    nothing by default. All of them receive the model and the data, and find what was last measured in ``self.results``.

    Only the first process measures: the weights are the same on all of them, and a probe is small.

    Args:
        every_n_epochs: how often to measure; 0 for never.
        figure_every_n_epochs: how often to draw figures, besides at the end of training; 0 for never.
        table: whether to write the Parquet files.
        prefix: stands before all tags and before the folder of the tables, as ``val/``: several diagnostics of one class in a
            Trainer are told apart by it. Of those without one, the first has none and the others have their numbers, ``2/``.

    Attributes:
        name: first part of the tags, and name of the folder with the tables; by default the name of the class.
        results: what :meth:`measure` last returned.
        epoch: epoch of the last measurement, counted from 0.
        step: optimiser step of the last measurement.

    Raises:
        InputError: if a value is out of range.

    Example:
        >>> class OutputVariance(Diagnostic):
        ...     def measure(self, model, data):
        ...         return {"variance": model(data.probe(data.laws[0], 512).x).var(dim=1)}
        >>> OutputVariance(every_n_epochs=5).name
        'OutputVariance'
    """

    name = ""
    needs_data: ClassVar[bool] = True  # if False, a trainer without a data module will do
    measures_at_end: ClassVar[bool] = False  # whether the last epoch is always measured
    takes_any_network: ClassVar[bool] = False  # whether a HookedNetwork will do in the place of a stack
    layers: list[str] | None = None  # names of the modules that are measured, of a diagnostic that takes any network
    probe: Probe | None = None  # what is sent through them

    def __init__(
        self,
        every_n_epochs: int = 1,
        figure_every_n_epochs: int = 50,
        table: bool = True,
        prefix: str | None = None,
    ) -> None:
        check_at_least("every_n_epochs", every_n_epochs, 0)
        check_at_least("figure_every_n_epochs", figure_every_n_epochs, 0)
        if prefix is not None and not (isinstance(prefix, str) and PREFIX.fullmatch(prefix)):
            raise InputError(f"prefix={prefix!r} is not a name", "letters, digits, - and _, a letter first")
        self.every_n_epochs = every_n_epochs
        self.figure_every_n_epochs = figure_every_n_epochs
        self.table = table
        self.prefix = prefix
        self._number = 1  # among the diagnostics of this name and prefix in the Trainer
        self.name = self.name or type(self).__name__
        self.results: Any = {}
        self.epoch = self.step = 0
        self._history: Any = {}  # what figures show of earlier epochs; saved in checkpoints

    def prepare(self, model: StackedModel, data: BlockData) -> None:
        """Reject, before the first epoch, a model or data that cannot be measured; called by every setup."""

    def measure(self, model: StackedModel, data: BlockData) -> Any:
        """Return the results, for example ``{quantity: one number per member}``; no gradients are recorded.

        Args:
            model: the stack, with ``M`` members.
            data: the data module; ``data.probe(law, rows)`` returns the same blocks every time.
        """
        raise NotImplementedError

    def scalars(self, model: StackedModel, data: BlockData) -> dict[str, float]:
        """Return the numbers to log, by tag: by default mean and quantiles over members, see :func:`mean_and_quantiles`.

        Members that have diverged are left out. A tag with parentheses, as in the name of a law, is logged a second time
        under the tag that charts use, see :func:`renorm.callbacks.charts.chart_tag`.
        """
        scalars: dict[str, float] = {}
        for quantity, values in self._by_member(model):
            scalars |= mean_and_quantiles(f"{self.name}/{quantity}", values)
        return scalars | {chart_tag(tag): value for tag, value in scalars.items()}

    def figures(self, model: StackedModel, data: BlockData) -> dict[str, Figure]:
        """Return the figures to log, by tag; by default none."""
        return {}

    def columns(self, model: StackedModel, data: BlockData) -> Iterable[Mapping[str, Any]]:
        """Yield the table in parts, each a mapping from the names of its columns to values.

        A column is a tensor (which is flattened), an array, or a single value for all rows; ``epoch`` is added to them. By
        default there is one row per quantity and member: ``epoch, step, quantity, member, value``.
        """
        for quantity, values in self._by_member(model):
            yield {"step": self.step, "quantity": quantity, "member": np.arange(len(values)), "value": values}

    def charts(self, model: StackedModel, data: BlockData) -> dict[str, Charts]:
        """Return charts for TensorBoard's custom-scalars tab, by category and title; by default none.

        Charts are made by :func:`renorm.callbacks.charts.lines` and :func:`renorm.callbacks.charts.band`.
        """
        return {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that there are a stack of models and the data that the diagnostic needs; a new fit begins a new history.

        Raises:
            InputError: if they are missing, or cannot be measured, or if another diagnostic has the same name and prefix.
        """
        self._number = self._numbered(getattr(trainer, "callbacks", []))
        if not self._hooks(pl_module):
            self.prepare(*self._model_and_data(trainer, pl_module))
        if stage == TrainerFn.FITTING and trainer.current_epoch == 0:  # a checkpoint is loaded after this
            self.forget()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the modules of any other network, which are all there and on their device now.

        Raises:
            InputError: if they cannot be measured.
        """
        if self._hooks(pl_module) and self.every_n_epochs:
            self.prepare(*self._model_and_data(trainer, pl_module))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure, log, draw and write if the epoch is due."""
        epoch, last = trainer.current_epoch, trainer.max_epochs
        due = is_due(epoch, self.every_n_epochs, last if self.measures_at_end else None)
        if not due or not trainer.is_global_zero:
            return
        model, data = self._model_and_data(trainer, pl_module)
        self.epoch, self.step = epoch, trainer.global_step
        with torch.no_grad():
            self.results = self.measure(model, data)
        log_scalars(trainer, {self.prefixed(tag): value for tag, value in self.scalars(model, data).items()})
        if is_due(epoch, self.figure_every_n_epochs, last):
            for tag, figure in self.figures(model, data).items():
                log_figure(trainer, self.prefixed(tag), figure)
        folder = table_folder(trainer, self.prefixed(self.name)) if self.table else None
        parts = [] if folder is None else [{"epoch": epoch} | dict(part) for part in self.columns(model, data)]
        if folder is not None and parts:
            write_epoch(folder, epoch, concatenated(parts))

    @property
    def state_key(self) -> str:
        """The name of its state in checkpoints: that of the class, with the prefix or number if it has one."""
        return self._generate_state_key(prefix=self._label) if self._label else super().state_key

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the history that figures show, so that a resumed run draws the same figures."""
        # not by state_dict, for which Lightning allows one callback of a class unless their keys differ before any Trainer
        if self._history:
            checkpoint["callbacks"].setdefault(self.state_key, {}).update(self.saved_history())

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restore the history."""
        saved = checkpoint.get("callbacks", {}).get(self.state_key)
        if saved and "history" in saved:
            self.restore_history(copy.deepcopy(saved))

    def saved_history(self) -> dict[str, Any]:
        """The history as checkpoints hold it."""
        return {"history": self._history}

    def restore_history(self, saved: dict[str, Any]) -> None:
        """Take the history that a checkpoint holds."""
        self._history = saved["history"]

    def forget(self) -> None:
        """Forget what an earlier fit left behind."""
        self._history = {}

    def prefixed(self, tag: str) -> str:
        """A tag, or the name of a folder, with the prefix before it.

        Example:
            >>> Diagnostic(prefix="val").prefixed("cumulants")
            'val/cumulants'
        """
        return f"{self._label}/{tag}" if self._label else tag

    @property
    def _label(self) -> str:
        return self.prefix or ("" if self._number == 1 else str(self._number))

    def _numbered(self, callbacks: Iterable[Callback]) -> int:
        """The place of this diagnostic among those whose tags and tables would have the same names."""
        mine = (self.name, self.prefix)
        alike = [one for one in callbacks if isinstance(one, Diagnostic) and (one.name, one.prefix) == mine]
        if self.prefix is not None and len(alike) > 1:
            raise InputError(
                f"prefix={self.prefix!r} is that of {len(alike)} diagnostics called {self.name!r}", "one for each"
            )
        return next((place for place, one in enumerate(alike, start=1) if one is self), 1)

    def _hooks(self, pl_module: LightningModule) -> bool:
        """Whether the model is measured by hooks on named modules: where these, or a probe, are given, or it is not a stack."""
        given = self.layers is not None or self.probe is not None
        return self.takes_any_network and (given or not isinstance(pl_module, StackedModel))

    def _model_and_data(self, trainer: Trainer, pl_module: LightningModule) -> tuple[Any, Any]:
        if self._hooks(pl_module):
            blocks = self.probe is None and has_blocks(trainer)
            data = getattr(trainer, "datamodule", None) if blocks else ProbeData(self.probe)
            return HookedNetwork(pl_module, trainer, self.layers, getattr(self, "samples", 1)), data
        check_stack(pl_module)
        own: Any = getattr(trainer, "datamodule", None)
        return pl_module, blocks_of(trainer, type(self).__name__) if self.needs_data else own

    def _by_member(self, model: StackedModel) -> Iterable[tuple[str, Tensor]]:
        """The results of a diagnostic that overrides neither scalars nor columns, without diverged members."""
        if not isinstance(self.results, Mapping):
            raise InputError(
                f"measure of {type(self).__name__} gives {described(self.results)}", "{quantity: one number per member}"
            )
        for quantity, values in self.results.items():
            if not isinstance(values, Tensor) or values.shape != (model.num_members,):
                raise InputError(
                    f"measure of {type(self).__name__} gives {described(values)} for {quantity!r}",
                    f"a tensor with one number per member, shape ({model.num_members},)",
                )
            yield quantity, model.divergence.exclude(values)


def read_laws(texts: list[str] | str | None) -> list[laws.Law] | None:
    """Parse the argument ``laws`` of a diagnostic; None stands for the laws that the run trains on.

    Raises:
        InputError: for an unknown law, or what is not a list of laws.
    """
    if texts is not None and (not isinstance(texts, Iterable) or isinstance(texts, Mapping | bytes)):
        raise InputError(f"laws={texts!r} is not a list of laws", 'one or more, such as ["gaussian()"]')
    return None if texts is None else [laws.parse(text) for text in ([texts] if isinstance(texts, str) else texts)]


def trained_with_variance(data: BlockData) -> list[laws.Law]:
    """Those laws trained on that have a variance."""
    return [law for law in data.train_laws if isinstance(law, laws.Law) and law.has_variance]
