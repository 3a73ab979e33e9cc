"""Restrict what a config may import to renorm's classes and harmless ones of PyTorch and Lightning.

A ``class_path`` names a module, and to import a module is to run it. The parser asks before every import that a config, the
recipe of a checkpoint or a flag names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jsonargparse import _common, set_parsing_settings
from lightning.pytorch import Callback, LightningDataModule
from lightning.pytorch.loggers import Logger
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..own_code import SCRIPT, class_path, loaded_subclasses
from ..zoo import StackedModel

ALLOWED = (
    "renorm.zoo",
    "renorm.datamodules",
    "renorm.callbacks",
    "torch.optim",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.cli.ReduceLROnPlateau",
    "lightning.pytorch.loggers",
    "lightning.pytorch.profilers",
    "lightning.pytorch.strategies",
    "lightning.pytorch.accelerators",
    "lightning.pytorch.plugins.precision",
)


def loaded_classes() -> list[str]:
    """Import paths of models, callbacks and so on that the user's program has defined or imported."""
    bases = [StackedModel, LightningDataModule, Callback, Logger, Optimizer, LRScheduler]
    return [class_path(cls) for cls in loaded_subclasses(*bases)]


@contextmanager
def imports_restricted(everything: bool) -> Iterator[None]:
    """Restrict what the parser imports, within this context.

    Args:
        everything: allow all but what jsonargparse itself denies, such as ``os`` and ``subprocess``.
    """
    settings = _common.parsing_settings  # of the process; jsonargparse offers no way back
    before = dict(settings)
    try:
        if everything:
            set_parsing_settings(import_path_denylist=[])
        else:
            set_parsing_settings(
                import_path_denylist=["*"], import_path_allowlist=[*ALLOWED, SCRIPT, *loaded_classes()]
            )  # the program that is run is loaded already
        yield
    finally:
        settings.clear()
        settings.update(before)
