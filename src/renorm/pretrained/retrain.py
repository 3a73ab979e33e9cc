"""``renorm zoo train``: train entries again from their recipes, and compare with the manifest of the package."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..files.whole import check_writable, is_unused, one_writer
from .compare import RETRAINED, retrained_differences
from .manifest import FOLDER, MANIFEST, check_entry, read_manifest
from .recipes import FILE, has_own_recipes, read_recipes, recipe_point
from .train import is_trained, train_entry, versions_of, write_manifest

RECIPES = FILE.name


def retrain(
    names: list[str], out: Path, overwrite: bool = False, show: Callable[[str], None] = lambda step: None
) -> int:
    """Train entries and print whether they agree with the package's; 1 where one does not, else 0.

    Args:
        names: entries; an empty list for all, of which those that ``out`` has whole already are kept.
        out: folder to write to; its own ``recipes.yaml`` is followed where it has one, else the package's. In the package's own
            folder the zoo is made anew: differences are then said, not counted.
        overwrite: train existing entries again, and replace them.
        show: called with what is being trained.

    Raises:
        ValueError: for an unknown name, a folder that cannot be written to, or files that are there already.
    """
    for name in names:
        recipe_point(name, out)  # check all names before training the first
    if not names and is_unused(out, besides=(RECIPES,)):
        check_writable(out, "out")
        with one_writer(out, keep=False):
            if is_unused(out, besides=(RECIPES,)):
                # marks the folder as a zoo, even if the process is killed before the first entry
                write_manifest(out / MANIFEST, {})
    # entries of a folder with recipes of its own have nothing to do with the package's, whatever their names
    package = read_manifest() if (FOLDER / MANIFEST).exists() and not has_own_recipes(out) else {}
    different = 0
    wanted = names or list(read_recipes(out)["models"])
    for number, name in enumerate(wanted, start=1):
        show(f"{number} of {len(wanted)}, {name}")
        if not overwrite and is_trained(name, out) and not names:
            print(f"{name}: kept, {out} has it whole", flush=True)
            continue
        start = time.perf_counter()
        # an interrupted run may have left part of an entry in a folder that is a zoo: train that entry again
        ours = not names and (out / MANIFEST).exists()
        entry = train_entry(name, out, overwrite or ours)
        print(f"{name}: trained in {time.perf_counter() - start:.0f} s", flush=True)
        lines, same = comparison(name, entry, package.get(name))
        for line in lines:
            print(f"{name}: {line}", flush=True)
        different += not same
    in_place = out.resolve() == FOLDER.resolve()
    return 1 if different and not in_place else 0


def comparison(name: str, entry: dict[str, Any], stored: Any) -> tuple[list[str], bool]:
    """Lines that compare an entry with the package's, and whether the two count as the same."""
    try:
        check_entry(name, stored)
    except ValueError:
        return ["the package has no such entry to compare with"], True
    files = [part for part in ("file", "trajectory") if part in entry]
    if all(part in stored and entry[part]["sha256"] == stored[part]["sha256"] for part in files):
        return ["the same bits as the package's"], True
    lines = list(retrained_differences(entry["metrics"], stored["metrics"]))
    if lines:
        return lines, False
    made = {**versions_of(), "cpu": entry["versions"]["cpu"]}
    others = [
        f"{key} {made.get(key)} for {value}" for key, value in stored["versions"].items() if made.get(key) != value
    ]
    why = f" (other: {', '.join(others)})" if others else ""
    return [
        f"other bits, the same numbers: medians within {RETRAINED.relative:g}, or inside the 95% intervals{why}"
    ], True
