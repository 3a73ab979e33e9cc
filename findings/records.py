"""``claims.json``: the claims of the full runs with verdicts, numbers, settings and figures, one record a claim."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from renorm.errors import InputError
from renorm.files.whole import whole_file
from renorm.report.claim import claim_ids, read_claim

from .formats import at
from .history import rule_commit

FOLDER = Path(__file__).parent
FILE = FOLDER / "claims.json"
IMAGES = FOLDER.parent / "docs" / "images" / "claims"
COLOURS = 256  # of an image's palette


class PendingError(Exception):
    """The full run of a claim by its present rule is not in yet."""


class Record:
    """What the page may say of one claim.

    Args:
        name: the claim's id.
        content: of ``claims.json``; None where its run is not in yet.
    """

    def __init__(self, name: str, content: Mapping[str, Any] | None) -> None:
        self.name = name
        self._content = content

    @property
    def ready(self) -> bool:
        """Whether the claim has been judged by its present rule."""
        return self._content is not None

    def get(self, *path: str) -> Any:
        """An entry of the record.

        Raises:
            PendingError: where there is no record.
            InputError: for a path that does not exist.
        """
        if self._content is None:
            raise PendingError(self.name)
        try:
            return at(self._content, *path)
        except InputError as error:
            raise InputError(f"claim {self.name}: {error}") from None

    def has(self, key: str) -> bool:
        """Whether the record says something under a key."""
        return bool(self._content and self._content.get(key))

    def n(self, *path: str) -> Any:
        """Of the numbers of the run."""
        return self.get("numbers", *path)

    def s(self, *path: str) -> Any:
        """Of the settings of its experiments."""
        return self.get("settings", *path)

    def t(self, *path: str) -> Any:
        """Of the thresholds of its rule."""
        return self.get("thresholds", *path)

    def figure(self, name: str) -> str:
        """A figure of the run, as Markdown."""
        if f"{self.name}_{name}.png" not in self.get("figures"):
            raise InputError(f"claim {self.name}: figure {name!r} does not exist", ", ".join(self.get("figures")))
        return f"![{self.get('title')}](images/claims/{self.name}_{name}.png)"


def read_records(file: Path = FILE) -> dict[str, Record]:
    """A record of every claim, in the order of the report.

    Raises:
        InputError: for a file that is not such a file, or a claim whose rule, thresholds or settings have changed since its run.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"claims": []}
        known = {one["id"]: one for one in content["claims"]}
    except (ValueError, KeyError, TypeError):
        raise InputError(f"claims={str(file)!r} cannot be read", "a claims.json") from None
    for one in known.values():
        check_rule(one)
    return {name: Record(name, known.get(name)) for name in claim_ids()}


def check_rule(one: Mapping[str, Any]) -> None:
    """Check that a claim was judged by the rule, thresholds and settings that it has now.

    Raises:
        InputError: where it was not.
    """
    claim = read_claim(one["id"])
    if one["config"] != claim.digest:
        raise InputError(
            f"claim {claim.id} was judged by another rule or other settings", f"those of config {claim.digest}"
        )


def take(report: Path, file: Path = FILE, images: Path = IMAGES) -> list[str]:
    """Take the claims and figures of a full report, in place of older ones of the same claims; returns their ids.

    Raises:
        InputError: for a folder that is not a full report, or a claim that was judged by another rule, or not at all.
    """
    source = report / "claims.json"
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
        found = {one["id"]: one for one in content["claims"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"take={str(report)!r} is not a finished report", "the folder of `renorm report`") from None
    if content["preview"]:
        raise InputError(f"take={str(report)!r} is a preview", "a full report")
    for name, one in found.items():
        check_rule(one)
        if "error" in one:
            raise InputError(f"take={str(report)!r}: claim {name} is undecided", "claims that were judged")
    known = json.loads(file.read_text(encoding="utf-8"))["claims"] if file.exists() else []
    records = {one["id"]: one for one in known}
    for name, one in found.items():
        records[name] = _record(one, content, take_figures(name, report / "figures", images))
    lines = (json.dumps(records[name], ensure_ascii=False, allow_nan=False) for name in claim_ids() if name in records)
    with whole_file(file) as partial:  # a claim a line, for differences that can be read
        partial.write_text('{"claims": [\n' + ",\n".join(lines) + "\n]}\n", encoding="utf-8")
    return list(found)


def _record(one: Mapping[str, Any], content: Mapping[str, Any], figures: list[str]) -> dict[str, Any]:
    added = {"renorm": content["renorm"], "seed": content["seed"], "settings": read_claim(one["id"]).settings}
    return {**one, **added, "rule_commit": rule_commit(one["id"]), "figures": figures}


def take_figures(name: str, source: Path, images: Path) -> list[str]:
    """Copy the figures of a claim with few colours, and delete older ones; returns the names of the files."""
    images.mkdir(parents=True, exist_ok=True)
    for old in images.glob(f"{name}_*.png"):
        old.unlink()
    found = sorted(source.glob(f"{name}_*.png"))
    for path in found:
        shutil.copyfile(path, images / path.name)
        with_few_colours(images / path.name)
    return [path.name for path in found]


def with_few_colours(file: Path) -> None:
    """Make an image a third as large: lines and points need no more than a palette."""
    with Image.open(file) as image:
        small = image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(file, optimize=True)
