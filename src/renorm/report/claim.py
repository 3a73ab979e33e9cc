"""A claim: its statement and source, its experiments, and the rule that decides its verdict, fixed before any run.

The rules are applied in ``claims/``, a module a claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..files.untrusted import read_yaml
from ..runs.configs import CONFIGS
from ..sweep.config import digest
from .axes import DEPENDS

FOLDER = CONFIGS / "claims"
ORDER = (
    "C1",
    "C2",
    "C3",
    "C4",
    "C5",
    "C6a",
    "C6b",
    "C7",
    "C8",
    "C9",
    "B1",
    "B2",
    "B3",
    "B4",
    *(f"D{n}" for n in range(1, 7)),
    *(f"S{n}" for n in range(1, 6)),
)
# of the paper's claims, of questions; any of them may have DEPENDS as well
VERDICTS = (("reproduced", "partly", "not reproduced"), ("yes", "partly", "no"))
PROTOCOL_LINES = 3


@dataclass(frozen=True)
class Claim:
    """A claim, or a question, as ``configs/claims/<id>.yaml`` has it.

    Attributes:
        id: as in ``C4``.
        title: a few words.
        statement: what is claimed.
        source: who says so, and where.
        protocol: how it is tested, in three lines.
        rule: verdict -> the sentence that says when it holds.
        thresholds: the numbers that the rule speaks of.
        settings: of the experiments; ``sweeps``, name -> sweep as in ``configs/sweep/``, is run before the claim is judged.
        quick: what a preview changes in the settings.
    """

    id: str
    title: str
    statement: str
    source: str
    protocol: tuple[str, ...]
    rule: Mapping[str, str]
    thresholds: Mapping[str, float]
    settings: Mapping[str, Any]
    quick: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Hash of all that decides a verdict: rule, thresholds and settings."""
        return digest({"rule": self.rule, "thresholds": self.thresholds, "settings": self.settings})

    @property
    def sweeps(self) -> Mapping[str, Mapping[str, Any]]:
        """The sweeps of the settings, by name."""
        sweeps: Mapping[str, Mapping[str, Any]] = self.settings.get("sweeps", {})
        return sweeps


def claim_ids() -> list[str]:
    """Every claim that comes with renorm, in the order of the report."""
    return [name for name in ORDER if (FOLDER / f"{name}.yaml").exists()]


def read_claim(name: str, quick: bool = False) -> Claim:
    """A claim that comes with renorm.

    Args:
        name: its id.
        quick: whether to lay the preview's settings over the full ones.

    Raises:
        ValueError: for an unknown id.
    """
    if name not in claim_ids():
        raise InputError(f"claim {name!r} is unknown", ", ".join(claim_ids()))
    return parse_claim(read_yaml(FOLDER / f"{name}.yaml", f"claim {name!r}"), name, quick)


def parse_claim(content: Any, name: str, quick: bool = False) -> Claim:
    """The claim that a file's content describes.

    Raises:
        ValueError: for anything that is not a claim, naming what is wrong.
    """
    fields = tuple(Claim.__annotations__)
    if not isinstance(content, dict) or set(content) != set(fields):
        raise InputError(f"claim {name!r} has {sorted(content)!r}", f"exactly {', '.join(fields)}")
    claim = Claim(**content | {"protocol": tuple(content["protocol"])})
    if claim.id != name:
        raise InputError(f"claim {name!r} has id={claim.id!r}", "the file's name")
    for key in ("title", "statement", "source"):
        if not isinstance(content[key], str) or not content[key]:
            raise InputError(f"claim {name!r} has {key}={content[key]!r}", "text")
    if len(claim.protocol) != PROTOCOL_LINES:
        raise InputError(f"claim {name!r} has {len(claim.protocol)} lines of protocol", str(PROTOCOL_LINES))
    if tuple(verdict for verdict in claim.rule if verdict != DEPENDS) not in VERDICTS:
        raise InputError(f"claim {name!r} has verdicts {list(claim.rule)}", " or ".join(map(str, VERDICTS)))
    for key, value in claim.thresholds.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"claim {name!r} has thresholds.{key}={value!r}", "numbers (1.0e-3, not 1e-3)")
    unknown = claim.quick.keys() - claim.settings.keys()
    if unknown:
        raise InputError(f"claim {name!r} has quick.{min(unknown)}, which is not a setting", str(list(claim.settings)))
    if not quick:
        return claim
    return Claim(**vars(claim) | {"settings": laid_over(claim.settings, claim.quick)})


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings laid over each other, level by level; everything else is replaced.

    Example:
        >>> laid_over({"sweep": {"width": 8, "steps": 3000}, "levels": [1, 2]}, {"sweep": {"steps": 100}, "levels": [1]})
        {'sweep': {'width': 8, 'steps': 100}, 'levels': [1]}
    """
    found = dict(below)
    for key, value in above.items():
        old = found.get(key)
        found[key] = laid_over(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return found
