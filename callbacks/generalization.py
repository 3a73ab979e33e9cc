"""Generalisation to every law, training and held-out, measured on each validation and in the test."""

from __future__ import annotations

from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torchmetrics import MetricCollection

from ..datamodules import CLTDataModule
from ..zoo.base import StackedModel
from ..zoo.metrics import METRICS, generalization_metrics, quantiles
from .figures import error_by_grid_point, log_figure
from .tables import chart_tag, log_scalars

Stage = Literal["val", "test"]


class Generalization(Callback):
    r"""Log how well the map is learned under each law, as ``generalization/<law>/<metric>``.

    Metrics are ``mse``, ``relative_mse``, ``wasserstein1``, ``energy_distance`` and ``k1_error`` to ``k4_error``, see
    :mod:`renorm.zoo.metrics`; the tag has the median over members, ``..._q10`` and ``..._q90`` the quantiles. Members that
    diverged are left out of the quantiles and counted in ``members/diverged``.

    Args:
        figure_every_n_validations: draw the error of each grid point this often; 0 for never.

    Attributes:
        results: law -> metric -> one number a member, shape ``(M,)``, of the last validation or test.
    """

    def __init__(self, figure_every_n_validations: int = 5) -> None:
        if figure_every_n_validations < 0:
            raise ValueError(
                f"figure_every_n_validations={figure_every_n_validations} is out of range; allowed: whole numbers >= 0"
            )
        self.figure_every_n_validations = figure_every_n_validations
        self.results: dict[str, dict[str, Tensor]] = {}
        self._metrics: MetricCollection | None = None
        self._validations = 0

    def _start(self, trainer: Trainer) -> None:
        if not isinstance(trainer.datamodule, CLTDataModule):  # type: ignore[attr-defined]
            raise TypeError("Generalization needs a CLTDataModule, which knows the laws and their cumulants")
        self.results = {}
        self._metrics = None

    def _update(self, trainer: Trainer, outputs: dict[str, Tensor], batch_idx: int, law_idx: int, batches: int) -> None:
        data: CLTDataModule = trainer.datamodule  # type: ignore[attr-defined]
        law = str(data.laws[law_idx])
        if self._metrics is None:
            self._metrics = generalization_metrics(data.target_cumulants[law]).to(outputs["prediction"].device)
        self._metrics.update(outputs["prediction"], outputs["target"])
        if batch_idx + 1 == batches:
            # one law at a time: the samples of all of them would not fit for thousands of members
            computed = self._metrics.compute()
            # torchmetrics makes a scalar of one member's number
            self.results[law] = {name: computed[name].reshape(-1) for name in METRICS}
            self._metrics = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the last validation."""
        self._start(trainer)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add a batch; after the last one of a law, compute its metrics."""
        self._update(trainer, outputs, batch_idx, dataloader_idx, int(trainer.num_val_batches[dataloader_idx]))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log medians and quantiles over members, and now and then a figure."""
        if trainer.sanity_checking:
            return
        self._log(trainer)
        every = self.figure_every_n_validations
        if every and self._validations % every == 0 and isinstance(pl_module, StackedModel):
            log_figure(trainer, "generalization/error", error_by_grid_point(pl_module, self.results))
        self._validations += 1

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the last test."""
        self._start(trainer)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add a batch; after the last one of a law, compute its metrics."""
        self._update(trainer, outputs, batch_idx, dataloader_idx, int(trainer.num_test_batches[dataloader_idx]))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log medians and quantiles over members."""
        self._log(trainer, prefix="test/")

    def _log(self, trainer: Trainer, prefix: str = "") -> None:
        # straight to the loggers: some hundred numbers that nothing else of Lightning's needs
        tags: dict[str, Tensor] = {}
        for law, metrics in self.results.items():
            for metric, values in metrics.items():
                tag = f"{prefix}generalization/{law}/{metric}"
                tags[f"{tag}_q10"], tags[tag], tags[f"{tag}_q90"] = quantiles(values)
            if not prefix:
                tag = f"generalization/{law}/relative_mse"
                tags |= {chart_tag(name): tags[name] for name in (tag, f"{tag}_q10", f"{tag}_q90")}
        log_scalars(trainer, {tag: float(value) for tag, value in tags.items()})

    def state_dict(self) -> dict[str, Any]:
        """How many validations there were, so that a resumed run draws figures at the same ones."""
        return {"validations": self._validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the count of validations."""
        self._validations = state_dict["validations"]
