"""What a config may import: renorm's own classes and the harmless ones of PyTorch and Lightning, unless all is allowed.

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

from ..own_code import loaded_subclasses
from ..zoo import StackedModel

FLAG = "--allow_imports"
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
# a script of the user's own, which runs renorm.cli.main, is loaded already
SCRIPT = "__main__"


def take_flag(words: list[str]) -> tuple[bool, list[str]]:
    """Whether ``--allow_imports`` is among the words, and the others.

    It is no setting: a config cannot give itself leave.

    Raises:
        ValueError: for a value other than true and false.

    Example:
        >>> take_flag(["fit", "--allow_imports", "--config", "mine.yaml"])
        (True, ['fit', '--config', 'mine.yaml'])
        >>> take_flag(["fit", "--allow_imports=false"])
        (False, ['fit'])
    """
    allowed, left, skip = False, [], False
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if skip:
            skip = False
            continue
        name, equals, value = word.partition("=")
        if name != FLAG:
            left.append(word)
            continue
        skip = not equals and following.lower() in ("true", "false")
        value = (following if skip else "true") if not equals else value
        if value.lower() not in ("true", "false"):
            raise ValueError(f"allow_imports={value!r} is not allowed; allowed: true, false")
        allowed = value.lower() == "true"
    return allowed, left


def loaded_classes() -> list[str]:
    """Import paths of the models, callbacks and so on that the user's own program has defined or imported."""
    bases = [StackedModel, LightningDataModule, Callback, Logger, Optimizer, LRScheduler]
    return [f"{cls.__module__}.{cls.__qualname__}" for cls in loaded_subclasses(*bases)]


@contextmanager
def imports_restricted(everything: bool) -> Iterator[None]:
    """Restrict what the parser imports for as long as this lasts.

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
            )
        yield
    finally:
        settings.clear()
        settings.update(before)


def refusal(key: str, path: str) -> str:
    """The line for an import that was not allowed."""
    return (
        f"{key}{path!r} is not imported; allowed: classes of renorm.zoo, renorm.callbacks, torch.optim, "
        f"lightning.pytorch.callbacks and other parts of Lightning, or {FLAG} for files that you trust"
    )
