"""Claims' rules on numbers that are made by hand."""

from __future__ import annotations

import importlib
from typing import Any

from renorm.report.claim import read_claim


def verdict(name: str, numbers: Any) -> str:
    """What a claim's rule, with its own thresholds, says of numbers."""
    claim = read_claim(name)
    found: str = importlib.import_module(f"renorm.report.claims.{name.lower()}").verdict(numbers, claim.thresholds)
    assert found in claim.rule
    return found
