"""What tests of loggers share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Weights & Biases without network, terminal and metadata; its service ends with the test."""
    pytest.importorskip("wandb")
    for name in ("WANDB_SILENT", "WANDB_DISABLE_CODE", "WANDB_DISABLE_GIT", "WANDB_ERROR_REPORTING"):
        monkeypatch.setenv(name, "false" if name == "WANDB_ERROR_REPORTING" else "true")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CONSOLE", "off")
    yield
    import wandb

    wandb.teardown()
