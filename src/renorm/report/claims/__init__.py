"""How each claim is judged: a module a claim, with ``judge(claim, experiments)``."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from ..claim import Claim
from ..experiments import Experiments
from ..finding import Finding

Judge = Callable[[Claim, Experiments], Finding]


def find_judge(name: str) -> Judge:
    """What judges a claim: ``judge`` of the module that is called like it, in small letters."""
    judge: Judge = importlib.import_module(f".{name.lower()}", __name__).judge
    return judge
