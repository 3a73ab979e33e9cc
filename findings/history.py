"""Since which commit a claim has had its rule, thresholds and settings: they were written before the full run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

from renorm.errors import InputError
from renorm.report.claim import parse_claim, read_claim

ROOT = Path(__file__).parents[1]
DIGITS = 10  # of a hash


def rule_commit(name: str) -> str | None:
    """The first commit from which on a claim has had its present rule, thresholds and settings, without a change since.

    Returns:
        The first digits of its hash; None where the present ones are not committed, or where the history is not at hand.
    """
    found: str | None = None
    for commit in _commits(f"configs/claims/{name}.yaml"):
        if digest_at(commit, name) != read_claim(name).digest:
            break
        found = commit[:DIGITS]
    return found


def digest_at(commit: str, name: str) -> str | None:
    """The digest of a claim at a commit; None where it was no claim of today's form."""
    text = _git("show", f"{commit}:configs/claims/{name}.yaml")
    try:
        return parse_claim(yaml.safe_load(text), name).digest if text else None
    except InputError:
        return None


def _commits(path: str) -> list[str]:
    """Commits that changed a file, newest first."""
    return _git("log", "--format=%H", "--", path).split()


def _git(*words: str) -> str:
    """What git says; empty where it fails."""
    try:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
