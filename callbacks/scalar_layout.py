"""TensorBoard's custom-scalars tab: the charts that matter, in the order in which one asks."""

from __future__ import annotations

from collections.abc import Sequence

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from ..datamodules.blocks import BlockData, blocks_of, has_blocks, law_sets, law_tags
from ..training.stack import StackedModel
from .charts import Charts, band, lines, log10_tag, prefixed_charts, without_bands
from .diagnostic import Diagnostic
from .figures import shorten


class ScalarLayout(Callback):
    """Lay out the custom-scalars tab at the start of training: losses, generalisation, and the charts of the diagnostics."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the layout, with the diagnostics that are switched on."""
        if not trainer.is_global_zero or not isinstance(pl_module, StackedModel) or not has_blocks(trainer):
            return
        layout = scalar_layout(pl_module, blocks_of(trainer, "ScalarLayout"), trainer.callbacks)  # type: ignore[attr-defined]
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_custom_scalars(layout)


def scalar_layout(model: StackedModel, data: BlockData, callbacks: Sequence[Callback]) -> dict[str, Charts]:
    """Return categories of charts; a band shows a median or mean between its 10% and 90% quantiles over members.

    Args:
        model: the stack.
        data: its data, for the names of the laws.
        callbacks: all callbacks of the run; each diagnostic is asked for its charts.
    """
    laws = law_tags(data).values()
    layout: dict[str, Charts] = {
        "1 loss, log10": {"training": band("loss/train", log10=True), "validation": band("loss/val", log10=True)},
        "2 relative MSE, log10": {
            "worst laws": lines(*(f"{name}/relative_mse" for name in law_sets(data)), log10=True),
            # of whatever laws a run has: TensorBoard shows charts of one name together where they are the same
            "all laws": ("Multiline", [f"^{log10_tag('generalization/')}.+/relative_mse$"]),
            **{shorten(law): band(f"generalization/{law}/relative_mse", log10=True) for law in laws},
        },
    }
    for callback in callbacks:
        if isinstance(callback, Diagnostic) and callback.every_n_epochs:
            charts = callback.charts(model, data)
            layout |= prefixed_charts(charts, prefix) if (prefix := callback.prefixed("")) else charts
    return layout if model.num_members > 1 else without_bands(layout)
