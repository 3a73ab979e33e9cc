"""What the arguments find out about an architecture and a map."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Outcome of the arguments: verdict, derivation and infimum, see :class:`renorm.certificates.certificate.Certificate`."""

    verdict: str
    derivation: tuple[str, ...]
    infimum: str


def impossible(*lines: str, infimum: str = "unknown") -> Finding:
    """There are no weights, by the argument of these lines."""
    return Finding("not representable", lines, infimum)


def undecided(what: str) -> Finding:
    """No argument is known for an architecture, or a part of it."""
    return Finding("undecided", (f"no argument is known for {what}",), "unknown")
