"""Read, check and search the manifest of a zoo, without importing PyTorch.

It is input like any other: what is not a manifest is refused in one line, and a file's checksum is compared before anything
in that file is looked at.
"""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

from ..checks import did_you_mean
from ..errors import InputError

FOLDER = Path(__file__).resolve().parents[1] / "zoo" / "pretrained"
MANIFEST = "manifest.json"
NAME = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+")
FILE_NAME = re.compile(r"[a-z0-9_.]+\.safetensors")


class _Each:
    """A mapping from any strings to values of one form."""

    def __init__(self, form: Any) -> None:
        self.form = form


_FILE = {"name": str, "bytes": int, "sha256": str}
_SUMMARY = {"best": None, "median": None, "interval": [None]}
# the form of an entry; None stands for a finite number or null, [form] for a list of elements of that form
_ENTRY: dict[str, Any] = {
    "class": str,
    "arguments": dict,
    "data": dict,
    "training": dict,
    "seed": int,
    "command": str,
    "recipe": str,
    "versions": _Each(str),
    "licence": str,
    "best_member": int,
    "validation_loss": [None],
    "metrics": _Each(_Each(_SUMMARY)),
    "check": {"inputs": [[None]], "outputs": [[None]]},
    "certificate": {"architecture": str, "verdict": str, "infimum": str},
    "file": _FILE,
}
# of entries of the central-limit map, which is the map where data has none
_OF_CENTRAL_LIMIT: dict[str, Any] = {"spectrum": {"eigenvalues": [[None]], "exact": [None]}}
# further keys that entries of any map may have
_OPTIONAL: dict[str, Any] = {
    "spectrum": {"eigenvalues": [[None]]},
    "trajectory": _FILE | {"epochs": int},
}


def pretrained_names(pattern: str | None = None, folder: Path | str = FOLDER) -> list[str]:
    """Names of all entries, ``arch.tag``, or of those that match a shell-style pattern.

    Example:
        >>> pretrained_names("mlp_quadratic_free.u*")
        ['mlp_quadratic_free.uniform']
    """
    names = list(read_manifest(folder))
    return names if pattern is None else fnmatch.filter(names, pattern)


def read_manifest(folder: Path | str = FOLDER) -> dict[str, dict[str, Any]]:
    """All entries by name: checksums, constructor arguments, recipe, metrics.

    Raises:
        ValueError: where the file is missing or is not a manifest.
    """
    if not isinstance(folder, str | Path) or "\0" in str(folder):
        raise InputError(f"folder={folder!r} is not a folder", "the path of one that 'renorm zoo train' wrote")
    path = Path(folder) / MANIFEST
    try:
        return dict(_parsed(path, path.stat().st_mtime_ns))
    except OSError as error:
        raise InputError(f"manifest={str(path)!r} cannot be read ({error.strerror or error})") from None


@functools.lru_cache(maxsize=4)
def _parsed(path: Path, changed: int) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"manifest={str(path)!r} is not valid JSON ({error})") from None
    entries = content.get("models") if isinstance(content, dict) else None
    if not isinstance(entries, dict) or not all(NAME.fullmatch(name) for name in entries):
        raise InputError(f"manifest={str(path)!r} is not a manifest", "one that 'renorm zoo train' wrote")
    return entries


def find_entry(name: str, folder: Path | str = FOLDER) -> dict[str, Any]:
    """One entry of the manifest.

    Raises:
        ValueError: for an unknown name, with the closest ones, or an entry that is not of the form of an entry.

    Example:
        >>> find_entry("mlp_quadratic_free.uniform")["certificate"]["verdict"]
        'representable'
    """
    entries = read_manifest(folder)
    if not isinstance(name, str) or name not in entries:
        raise InputError(unknown(name, entries))
    check_entry(name, entries[name])
    return entries[name]


def map_of(entry: dict[str, Any]) -> str:
    """The text of the map that an entry was trained on.

    Example:
        >>> map_of({"data": {"map": "maximum(xi=0)"}}), map_of({"data": {}})
        ('maximum(xi=0)', 'central_limit()')
    """
    return str((entry["data"] or {}).get("map", "central_limit()"))  # older entries and files have no map


def unknown(name: str, known: Any) -> str:
    """The message for an unknown name, with the known names that are closest."""
    hint = did_you_mean(str(name), known, cutoff=0.5)
    return f"name={name!r} is not a pretrained model; allowed: names of 'renorm zoo list --pretrained'{hint}"


def check_entry(name: str, entry: Any) -> None:
    """Check that an entry has the form of an entry.

    Raises:
        ValueError: naming the first place that is wrong.
    """
    wrong = _misfit(entry, _ENTRY)
    if not wrong:
        optional = {key: form for key, form in _OPTIONAL.items() if key in entry}
        wrong = _misfit(entry, optional if "map" in entry["data"] else optional | _OF_CENTRAL_LIMIT)
    if not wrong and "exact" in entry.get("spectrum", {}):
        wrong = _misfit(entry["spectrum"]["exact"], [None], "spectrum.exact")
    if not wrong and "map" in entry["data"]:
        wrong = _misfit(entry["data"]["map"], str, "data.map")
    if wrong:
        raise InputError(f"manifest: {name!r} is not an entry: {wrong}", "what 'renorm zoo train' wrote")
    if not entry["class"].isidentifier():  # the classes themselves are known only after importing PyTorch
        raise InputError(f"manifest: {name!r} has class={entry['class']!r}", "the name of a class, such as MLP")
    members = len(entry["validation_loss"])
    if not 0 <= entry["best_member"] < members:
        raise InputError(
            f"manifest: {name!r} has best_member={entry['best_member']}", f"0 to {members - 1}, its members"
        )


def _misfit(value: Any, form: Any, place: str = "") -> str:
    """Describe the first place where a value does not have a form; empty where it has."""
    if isinstance(form, dict | _Each):
        if not isinstance(value, dict):
            return f"{place or 'it'} is a {type(value).__name__}, not a mapping"
        keys = value if isinstance(form, _Each) else form
        for key in keys:
            if key not in value:
                return f"{place + '.' if place else ''}{key} is missing"
            inner = form.form if isinstance(form, _Each) else form[key]
            if wrong := _misfit(value[key], inner, f"{place}.{key}" if place else key):
                return wrong
        return ""
    if isinstance(form, list):
        if not isinstance(value, list):
            return f"{place} is a {type(value).__name__}, not a list"
        return next((wrong for item in value if (wrong := _misfit(item, form[0], f"{place}[]"))), "")
    if form is None:
        fits = value is None or (type(value) in (int, float) and math.isfinite(value))
        return "" if fits else f"{place} is a {type(value).__name__}, not a finite number"
    return "" if type(value) is form else f"{place} is a {type(value).__name__}, not a {form.__name__}"


def read_file(file: dict[str, Any], folder: Path | str = FOLDER) -> bytes:
    """Content of a file of weights, after comparing its checksum with the manifest's.

    Raises:
        ValueError: for a file that is missing, cut off or changed.
    """
    name: str = file["name"]
    if not FILE_NAME.fullmatch(name):
        raise InputError(f"manifest: file={name!r} is not the name of a file of weights", "a file beside the manifest")
    path = Path(folder) / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"file={str(path)!r} cannot be read ({error.strerror}); install renorm again") from None
    found = hashlib.sha256(content).hexdigest()
    if found != file["sha256"]:
        what = "was cut off" if len(content) < file["bytes"] else "was changed"
        raise InputError(
            f"file={str(path)!r} {what}: sha256 {found[:12]}..., allowed: {file['sha256'][:12]}...; install renorm again"
        )
    return content
