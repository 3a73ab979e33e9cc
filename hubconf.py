"""What ``torch.hub.load(path, ..., source="local")`` finds: ``renorm``, ``load_pretrained`` and ``list_models``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

try:
    import renorm as _renorm
except ImportError:  # a clone that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))
    import renorm as _renorm

dependencies = ["torch", "lightning", "torchmetrics", "safetensors", "numpy", "scipy"]


def renorm(name: str, members: str = "best", epoch: int | None = None) -> Any:
    """Pretrained members as a LightningModule that maps blocks ``(N, 2)`` to ``(members, N)``.

    Args:
        name: ``arch.tag``, e.g. ``mlp_quadratic_free.uniform``; ``list_models`` has all names.
        members: ``best`` by validation loss on the training laws, or ``all``.
        epoch: weights after this epoch, for entries with a trajectory.
    """
    return _renorm.load_pretrained(name, members=members, epoch=epoch)


load_pretrained = renorm


def list_models(pattern: str | None = None) -> list[str]:
    """Names of all pretrained entries, or of those that match a shell-style pattern."""
    return _renorm.list_models(pattern, pretrained=True)
