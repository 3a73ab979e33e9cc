"""Generalisation to every law, training and held-out, measured on each validation and in the test.

The metrics, and the worst law, are defined in ``training/metrics.py``.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from ..checks import check_at_least
from ..datamodules.blocks import as_blocks, blocks_of, law_sets, law_tags
from ..training.metrics import check_metrics, law_metrics, metrics_of, quantiles, worst_of
from ..training.stack import StackedModel
from .charts import logarithms
from .figures import error_by_grid_point, log_figure
from .tables import log_scalars

MOST_OUTPUTS = 2**19  # of a law, that metrics in a fit are of: all blocks of a default validation for up to 128 members
WITH_QUANTILES = ("mse", "relative_mse")  # of others the median is logged: a run has hundreds of scalars as it is
LEAST_BLOCKS = 512  # of a law, however many members there are
OF_ANY_SAMPLE = ("mse", "relative_mse", "k1_error", "k2_error", "k3_error", "k4_error")  # fewer blocks: more noise only

log = logging.getLogger("renorm")


class Generalization(Callback):
    r"""Log how well the map is learned under each law, as ``generalization/<law>/<metric>``.

    The metrics are ``mse``, ``relative_mse``, ``wasserstein1``, ``energy_distance`` and ``k1_error`` to ``k4_error``, see
    :mod:`renorm.training.metrics`; the tag holds the median over members, and of the errors and of your own metrics
    ``..._q10`` and ``..._q90`` hold the quantiles. Of the law it has the short text, see
    :func:`renorm.datamodules.blocks.law_tags`. Members that diverged are left out, and counted in ``members/diverged``. In a
    test the tags begin with ``test/``.

    ``Trainer.validate`` and ``Trainer.test`` return the medians, each under its tag, and ``trainer.callback_metrics`` has them.
    A fit can be monitored by the laws that it trains on: their medians are in ``callback_metrics`` under their tags, and the
    worst of these laws under ``trained/<metric>``. A model selected by a held-out law can no longer be judged by it; to do so
    all the same, use ``held_out/<law>/<metric>``, or the worst of them, ``held_out/<metric>``.

    The worst held-out law is nearly always one that reaches beyond what training sees. So there is, beside it, the worst of
    those within the range of the training laws, ``interpolation/<metric>``, and of those beyond it,
    ``extrapolation/<metric>``, see :func:`renorm.datamodules.held_out.split`. A member's worst law is its own.

    Metrics of many members cost more than to train them. In a fit they are therefore of the first blocks of each law only,
    where there are more than 128 members, see ``most_outputs``. A line in the log says so, and loggers get distances under
    ``<metric>_of_<blocks>``: a distance between samples depends on their size, means and cumulants do not. Validations and
    tests have all blocks, and so has ``loss/val``, by which checkpoints are chosen.

    Args:
        figure_every_n_validations: how often to draw the error of each grid point; 0 for never.
        metrics: names of metrics of your own, see :class:`renorm.training.metrics.MemberMetric`, beside those above.
        most_outputs: members times blocks of a law that metrics in a fit are of, but 512 blocks at least; 0 for all blocks.

    Attributes:
        results: law -> metric -> one number per member, shape ``(M,)``, of the last validation or test.
    """

    def __init__(
        self,
        figure_every_n_validations: int = 5,
        metrics: list[str] | None = None,
        most_outputs: int = MOST_OUTPUTS,
    ) -> None:
        check_at_least("figure_every_n_validations", figure_every_n_validations, 0)
        check_at_least("most_outputs", most_outputs, 0)
        check_metrics(metrics or [])
        self.metrics = metrics or []
        self.figure_every_n_validations = figure_every_n_validations
        self.most_outputs = most_outputs
        self.results: dict[str, dict[str, Tensor]] = {}
        self._quantiles: dict[str, dict[str, list[Tensor]]] = {}  # low, median and high of all in the results
        self._pairs: list[tuple[Tensor, Tensor]] = []  # outputs and targets of the law that is being judged
        self._tags: dict[str, str] = {}  # how tags name the laws of a validation or test
        self._validations = 0
        self._blocks: int | None = None  # of each law; None for all

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Tell the data module how many blocks of a law a fit's metrics are of, and log where these are not all."""
        data: Any = getattr(trainer, "datamodule", None)
        if not hasattr(data, "most_judged"):  # a data module of one's own has all blocks judged
            return
        samples = data.eval_samples["val"]
        most = self.most_blocks(getattr(pl_module, "num_members", 1)) if stage == TrainerFn.FITTING else None
        self._blocks = data.most_judged = None if most is None or most >= samples else most
        if self._blocks is not None and trainer.is_global_zero:
            log.info(
                "validation: metrics of the first %d of %d blocks of each law, loss/val of all of them "
                "(all: --generalization.most_outputs 0; renorm validate and renorm test have all)",
                self._blocks,
                samples,
            )

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the data module as it was."""
        if self._blocks is not None:
            getattr(trainer, "datamodule").most_judged = self._blocks = None  # noqa: B009  (not every trainer has one)

    def most_blocks(self, members: int) -> int | None:
        """Blocks of each law that a fit's metrics are of; None for all.

        Example:
            >>> [Generalization().most_blocks(members) for members in (128, 352, 1024, 16384)]
            [4096, 1489, 512, 512]
        """
        return max(LEAST_BLOCKS, self.most_outputs // members) if self.most_outputs else None

    def _start(self, trainer: Trainer) -> None:
        self._tags = law_tags(blocks_of(trainer, "Generalization"))
        self.results, self._quantiles, self._pairs = {}, {}, []

    def _update(
        self, trainer: Trainer, outputs: dict[str, Tensor], batch_idx: int, law: str, batches: int
    ) -> dict[str, Tensor]:
        """Add a batch; after the last one of a law, return the law's metrics as medians over members."""
        data: Any = blocks_of(trainer, "Generalization")
        rows = None if self._blocks is None else data.judged_rows(batch_idx)
        self._pairs.append((outputs["prediction"].detach()[:, :rows], outputs["target"].detach()[:rows]))
        if batch_idx + 1 < batches:
            return {}
        # one law at a time: the samples of all of them would not fit for thousands of members
        self.results[law] = law_metrics(data.existing_cumulants(law), self._pairs, metrics_of(data.map, self.metrics))
        self._quantiles[law] = {name: quantiles(values) for name, values in self.results[law].items()}
        self._pairs = []
        return {name: median for name, (_, median, _) in self._quantiles[law].items() if median.isfinite()}

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Discard the results of the last validation."""
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
        batches = int(trainer.num_val_batches[dataloader_idx])
        law = as_blocks(batch).law
        law_medians = self._update(trainer, outputs, batch_idx, law, batches)
        if trainer.state.fn != TrainerFn.FITTING:
            self._log_law(trainer, law_medians, law)
            return
        kind = "generalization" if blocks_of(trainer, "Generalization").is_trained_on(law) else "held_out"
        tag = self._tags.get(law, law)
        values = {f"{kind}/{tag}/{name}": value for name, value in law_medians.items()}
        # configs may have written the law's whole text
        whole = {f"{kind}/{law}/{name}": value for name, value in law_medians.items()}
        values |= {name: whole[name] for name in whole.keys() & monitored(trainer)}
        # loggers get all laws at once, when the validation ends
        self._log_medians(trainer, values, logger=False)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log medians and quantiles over members and, every few validations, a figure."""
        if trainer.sanity_checking:
            return
        self._log(trainer)
        self._log_worst(trainer)
        every = self.figure_every_n_validations
        if every and self._validations % every == 0 and isinstance(pl_module, StackedModel):
            log_figure(trainer, "generalization/error", error_by_grid_point(pl_module, self.results))
        self._validations += 1

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Discard the results of the last test."""
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
        batches = int(trainer.num_test_batches[dataloader_idx])
        law = as_blocks(batch).law
        law_medians = self._update(trainer, outputs, batch_idx, law, batches)
        self._log_law(trainer, law_medians, law, prefix="test/")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log medians and quantiles over members."""
        self._log(trainer, prefix="test/")
        self._log_worst(trainer, prefix="test/")

    def _log_law(self, trainer: Trainer, medians: dict[str, Tensor], law: str, prefix: str = "") -> None:
        tag = f"{prefix}generalization/{self._tags.get(law, law)}"
        self._log_medians(trainer, {f"{tag}/{name}": value for name, value in medians.items()})

    def _log_worst(self, trainer: Trainer, prefix: str = "") -> None:
        for name, laws in law_sets(blocks_of(trainer, "Generalization")).items():
            if worst := worst_of(self.results, laws):
                self._log_worst_medians(trainer, f"{prefix}{name}", medians(worst))

    def _log_worst_medians(self, trainer: Trainer, tag: str, values: dict[str, Tensor]) -> None:
        """Under the names that callbacks monitor; loggers get the names that say of how many blocks a distance is."""
        renamed = {name: value for name, value in values.items() if self._named(name) != name}
        self._log_medians(trainer, {f"{tag}/{name}": value for name, value in values.items() if name not in renamed})
        self._log_medians(trainer, {f"{tag}/{name}": value for name, value in renamed.items()}, logger=False)
        of_charts = logarithms({f"{tag}/{name}": float(values[name]) for name in values.keys() & {"relative_mse"}})
        log_scalars(
            trainer, {f"{tag}/{self._named(name)}": float(value) for name, value in renamed.items()} | of_charts
        )

    def _named(self, metric: str) -> str:
        """The name of a metric in tags: that of a distance says of how many blocks it is, where these are not all."""
        return metric if self._blocks is None or metric in OF_ANY_SAMPLE else f"{metric}_of_{self._blocks}"

    def _log_medians(self, trainer: Trainer, values: dict[str, Tensor], logger: bool = True) -> None:
        """Log through Lightning, so that ``Trainer.test`` returns the values and callbacks can monitor them."""
        where: dict[str, Any] = {"on_step": False, "on_epoch": True, "add_dataloader_idx": False, "batch_size": 1}
        with warnings.catch_warnings():
            # only what is sent to loggers is returned, so it must be sent even if there is no logger
            warnings.filterwarnings("ignore", "You called `self.log")
            for tag, value in values.items():
                trainer.lightning_module.log(tag, value, logger=logger, rank_zero_only=True, **where)

    def _log(self, trainer: Trainer, prefix: str = "") -> None:
        # straight to the loggers: hundreds of numbers that nothing else in Lightning needs
        tags: dict[str, Tensor] = {}
        charts: dict[str, Tensor] = {}
        for law, metrics in self._quantiles.items():
            of_law = f"{prefix}generalization/{self._tags.get(law, law)}"
            for metric, values in metrics.items():
                tag = f"{of_law}/{self._named(metric)}"
                by_tag = dict(zip((f"{tag}_q10", tag, f"{tag}_q90"), values, strict=True))
                if self.results[law][metric].numel() == 1:
                    by_tag = {tag: by_tag[tag]}
                if metric == "relative_mse" and not prefix:
                    charts |= by_tag
                if metric not in (*WITH_QUANTILES, *self.metrics):
                    by_tag = {tag: by_tag[tag]}
                if trainer.state.fn != TrainerFn.FITTING:
                    del by_tag[tag]  # logged already, law by law
                tags |= by_tag
        of_charts = logarithms({tag: float(value) for tag, value in charts.items()})
        log_scalars(trainer, {tag: float(value) for tag, value in tags.items()} | of_charts)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of validations, so that a resumed run draws figures at the same ones."""
        return {"validations": self._validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the number of validations."""
        self._validations = state_dict["validations"]


def monitored(trainer: Trainer) -> set[str]:
    """The names that callbacks and schedulers of a trainer monitor."""
    watching = [*getattr(trainer, "callbacks", []), *getattr(trainer, "lr_scheduler_configs", [])]
    return {str(name) for one in watching if (name := getattr(one, "monitor", None))}


def medians(metrics: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the finite medians of the metrics over members, without members that diverged."""
    all_medians = {name: quantiles(values, (0.5,))[0] for name, values in metrics.items()}
    return {name: value for name, value in all_medians.items() if value.isfinite()}
