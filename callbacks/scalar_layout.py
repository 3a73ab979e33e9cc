"""TensorBoard's custom-scalars tab: the charts that matter, in the order in which one asks."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from ..datamodules.blocks import BlockData, blocks_of, has_blocks
from ..training.stack import StackedModel
from ..zoo.symmetry.order_parameter import subspaces_by_layer
from .cumulant_diagnostics import CumulantDiagnostics
from .figures import shorten
from .rg_flow import RGFlow
from .symmetry_breaking import SymmetryBreaking
from .tables import chart_tag

Charts = dict[str, tuple[str, list[str]]]


class ScalarLayout(Callback):
    """Lay out the custom-scalars tab at the start of training: losses, generalisation, cumulants, symmetry, spectrum."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the layout, for those callbacks that are switched on."""
        if not trainer.is_global_zero or not isinstance(pl_module, StackedModel):
            return
        if not has_blocks(trainer):
            return
        layout = scalar_layout(pl_module, blocks_of(trainer, "ScalarLayout"), trainer.callbacks)  # type: ignore[attr-defined]
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_custom_scalars(layout)


def scalar_layout(model: StackedModel, data: BlockData, callbacks: Sequence[Callback]) -> dict[str, Charts]:
    """Categories of charts; a band shows a median or mean between its 10% and 90% quantiles over members.

    Args:
        model: the stack.
        data: its data, for the names of laws.
        callbacks: those of the run.
    """
    laws = [str(law) for law in data.laws]
    layout: dict[str, Charts] = {
        "1 loss": {"training": band("loss/train"), "validation": band("loss/val")},
        "2 generalisation": {
            "relative MSE, all laws": lines(*(f"generalization/{law}/relative_mse" for law in laws)),
            **{shorten(law): band(f"generalization/{law}/relative_mse") for law in laws},
        },
    }
    for callback in callbacks:
        if isinstance(callback, CumulantDiagnostics) and callback.every_n_epochs:
            names = list(model.trace(torch.zeros(1, model.block_size).to(next(model.parameters()))))
            for law in map(str, callback.laws or data.train_laws):
                layout[f"3 cumulants, {shorten(law)}"] = {
                    f"k{n} by layer": lines(*(f"cumulants/{law}/{name}/k{n}" for name in names)) for n in range(1, 5)
                }
        if isinstance(callback, SymmetryBreaking) and callback.every_n_epochs:
            charts = {
                f"{layer}: distance to each symmetry": lines(*(f"symmetry/{layer}/asymmetry/{name}" for name in found))
                for layer, found in subspaces_by_layer(model).items()
            }
            layout |= {"4 symmetry": charts} if charts else {}
        if isinstance(callback, RGFlow) and callback.every_n_epochs:
            if data.map is None or data.map.basis is None:
                continue
            tags = [f"rg/eigenvalue/{n}" for n in range(callback.order + 1)]
            layout["5 spectrum"] = {
                "eigenvalues, learned and exact": lines(*tags, *(f"{tag}_exact" for tag in tags)),
                **{f"eigenvalue {n}": band(f"rg/eigenvalue/{n}") for n in range(callback.order + 1)},
            }
    return layout


def lines(*tags: str) -> tuple[str, list[str]]:
    """A chart of several curves; TensorBoard takes tags as regular expressions here."""
    return "Multiline", [f"^{re.escape(chart_tag(tag))}$" for tag in tags]


def band(tag: str) -> tuple[str, list[str]]:
    """A chart of one curve between its quantiles."""
    return "Margin", [chart_tag(name) for name in (tag, f"{tag}_q10", f"{tag}_q90")]
