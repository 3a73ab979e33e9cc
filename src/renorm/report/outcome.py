"""Claims with their findings, as ``claims.json`` and ``claims.md``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import __version__
from ..callbacks.results import write_json
from ..errors import InputError
from ..sweep.table import write_text
from .claim import Claim
from .finding import UNDECIDED, Effect, Finding, plain

JSON_FILE = "claims.json"
MARKDOWN_FILE = "claims.md"


class Outcome(NamedTuple):
    """A claim with its finding, or with its error where it could not be judged."""

    claim: Claim
    finding: Finding
    error: str = ""


def undecided(claim: Claim, error: str) -> Outcome:
    """The outcome of a claim whose experiments have failed."""
    nothing = Effect("none", float("nan"), float("nan"), float("nan"))
    return Outcome(claim, Finding(UNDECIDED, nothing, {}), error)


def check_finding(claim: Claim, finding: Finding) -> None:
    """Check the finding that the module of a claim returns.

    Raises:
        ValueError: for a verdict that the rule does not have, or figures of the same name.
    """
    if finding.verdict not in claim.rule:
        raise InputError(f"claim {claim.id!r}: verdict={finding.verdict!r}", ", ".join(claim.rule))
    names = [drawing.name for drawing in finding.figures]
    if len(set(names)) < len(names):
        raise InputError(f"claim {claim.id!r}: figures={names}", "distinct names")


def write_outcomes(folder: Path, outcomes: Sequence[Outcome], quick: bool, seed: int) -> None:
    """Write ``claims.json``, whose every number follows from the seed, and ``claims.md``, its table."""
    content = {"renorm": __version__, "preview": quick, "seed": seed, "claims": [as_dict(one) for one in outcomes]}
    write_json(folder / JSON_FILE, content)
    write_text(folder / MARKDOWN_FILE, markdown(outcomes, quick))


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """All but the figures, as JSON."""
    claim, finding, error = outcome
    found: dict[str, Any] = {
        "id": claim.id,
        "title": claim.title,
        "statement": claim.statement,
        "source": claim.source,
        "protocol": list(claim.protocol),
        "rule": dict(claim.rule),
        "thresholds": dict(claim.thresholds),
        "config": claim.digest,
        "verdict": finding.verdict,
        "effect": plain(finding.effect._asdict()),
        "numbers": plain(finding.numbers),
        "tried": finding.tried,
        "remarks": finding.remarks,
    }
    return found | ({"error": error} if error else {})


def markdown(outcomes: Sequence[Outcome], quick: bool) -> str:
    """The table of claims with verdicts and effects."""
    lines = ["*A preview with few members and steps: its verdicts count for nothing.*", ""] if quick else []
    lines += ["| | claim | verdict | effect | |", "| --- | --- | --- | --- | --- |"]
    for claim, finding, _ in outcomes:
        figure = f"![{claim.title}](figures/{claim.id}_{finding.figures[0].name}.svg)" if finding.figures else ""
        cells = (claim.id, claim.statement, f"**{finding.verdict}**", effect_text(finding.effect), figure)
        lines.append("| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def effect_text(effect: Effect) -> str:
    """An effect with its interval.

    Example:
        >>> effect_text(Effect("ratio", 2.04, 1.5, 2.6))
        'ratio: 2.04 (95%: 1.5 to 2.6)'
        >>> effect_text(Effect("none", float("nan"), float("nan"), float("nan")))
        '–'
    """
    if effect.value != effect.value:
        return "–"
    return f"{effect.name}: {effect.value:.3g} (95%: {effect.low:.3g} to {effect.high:.3g})"
