"""Claims with experiments of a second: the same code, settings too small to mean anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from renorm.report import claim as claims
from renorm.report.claim import Claim, laid_over, read_claim

NAMES = ("C1", "C2", "C3", "C5", "C7", "C9", "B1", "B4")
SMALL: dict[str, Any] = {"replicas": 3, "steps": 6, "test_samples": 64, "records": 5, "samples": 64}
SMALL |= {"seeds": 2, "members": 2, "batch": 4, "rows": 16}


def tiny(name: str, **more: Any) -> Claim:
    """The preview of a claim with three members and six steps."""
    claim = read_claim(name, quick=True)
    small = shrunk(claim.settings)
    small |= {"laws": small["laws"][:1]} if isinstance(small.get("laws"), list) else {}
    return replace(claim, settings=laid_over(small, more))


def small_claims(folder: Path) -> None:
    """Have the previews of this process read C1 alone, with three members and six steps."""
    folder.mkdir(exist_ok=True)
    content = yaml.safe_load((claims.FOLDER / "C1.yaml").read_text()) | {"quick": dict(tiny("C1").settings)}
    (folder / "C1.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    claims.FOLDER = folder


def shrunk(settings: Any) -> Any:
    if isinstance(settings, list):
        return [shrunk(entry) for entry in settings]
    if not isinstance(settings, dict):
        return settings
    small = {key: SMALL[key] for key in settings if key in SMALL and not isinstance(settings[key], list)}
    small |= {key: [3, 6] for key in ("steps", "stops") if isinstance(settings.get(key), list)}
    return {key: shrunk(value) for key, value in settings.items()} | small
