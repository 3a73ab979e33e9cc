"""``renorm zoo verify``: recompute every number and every checksum of the manifest from the stored weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..sweep.point import build
from .compare import SAME_WEIGHTS, differences
from .hub import LOAD_TOLERANCE, build_entry, fill, output_difference, parse_tensors
from .judge import OF_SOME_MAPS, judged
from .manifest import find_entry, read_file, read_manifest
from .recipes import kept_point, read_recipes, recipe_point
from .train import facts


def verify(names: list[str], folder: Path, show: Callable[[str], None] = lambda step: None) -> int:
    """Print what differs from the manifest, one line each; 1 where anything does, else 0.

    Args:
        names: entries; an empty list for all of them, and for files and recipes that belong to none.
        folder: of manifest and weights.
        show: called with what is being verified.

    Raises:
        ValueError: for an unknown name, or where there is not a manifest.
    """
    known = read_manifest(folder)
    for name in names:
        if name not in known:
            find_entry(name, folder)  # raises
    count = 0
    for number, name in enumerate(names or known, start=1):
        show(f"{number} of {len(names or known)}, {name}")
        lines = list(entry_differences(name, folder))
        count += len(lines)
        for line in lines or ["as the manifest says"]:
            print(f"{name}: {line}", flush=True)
    strays = [] if names else list(folder_differences(folder, list(known)))
    for line in strays:
        print(line)
    count += len(strays)
    print(f"{len(names or known)} entries, {count} differences")
    return 1 if count else 0


def entry_differences(name: str, folder: Path) -> Iterator[str]:
    """One line for each difference between an entry and what its files and its recipe give."""
    try:
        entry = find_entry(name, folder)
        recipe_point(name, folder)  # an entry needs a recipe, so that it can be trained again
        tensors = parse_tensors(name, read_file(entry["file"], folder))
        model = build_entry(name, entry, tensors)
        fill(name, model, tensors, entry, None)
    except ValueError as error:
        yield str(error)
        return
    model.eval()
    point = kept_point(name, entry, folder)
    fresh, data, _ = build(point)
    known = facts(name, point, fresh, data)
    yield from differences(known, entry, SAME_WEIGHTS)
    worst = output_difference(model, entry["check"])
    if not worst <= LOAD_TOLERANCE:
        yield f"check.outputs are {worst:.1e} away from the computed ones, allowed: {LOAD_TOLERANCE:g}"
    yield from _best(judged(model, data, known["seed"], entry["best_member"]), entry)
    if "trajectory" in entry:
        yield from _trajectory(name, entry, tensors, folder)
    elif name in read_recipes(folder)["trajectories"]:
        yield "trajectory is missing in the manifest"


def _best(computed: dict[str, Any], entry: dict[str, Any]) -> Iterator[str]:
    yield from differences(computed, entry, SAME_WEIGHTS)
    for key in OF_SOME_MAPS:
        if key in entry and key not in computed:
            yield f"{key} is in the manifest, and does not exist for this map"
    losses = [float("inf") if loss is None else loss for loss in computed["validation_loss"]]
    best = entry["best_member"]
    if not SAME_WEIGHTS.allows(losses[best], min(losses), ("validation_loss",)):
        yield f"best_member is {losses.index(min(losses))}, the manifest says {best}"


def _trajectory(name: str, entry: dict[str, Any], final: dict[str, Tensor], folder: Path) -> Iterator[str]:
    kept = entry["trajectory"]
    try:
        epochs = parse_tensors(name, read_file(kept, folder))
    except ValueError as error:
        yield str(error)
        return
    if {len(value) for value in epochs.values()} != {kept["epochs"]}:
        yield f"trajectory.epochs is not {kept['epochs']}, as the manifest says"
    elif epochs.keys() != final.keys() or not all(torch.equal(epochs[key][-1], final[key]) for key in final):
        yield "trajectory: weights after the last epoch are not the final ones"


def folder_differences(folder: Path, names: list[str]) -> Iterator[str]:
    """One line for each recipe without an entry and each file of weights without one."""
    for name in read_recipes(folder)["models"]:
        if name not in names:
            yield f"{name}: is missing in the manifest"
    expected = {f"{name}{ending}" for name in names for ending in (".safetensors", ".epochs.safetensors")}
    for path in sorted(folder.glob("*.safetensors")):
        if path.name not in expected:
            yield f"{path.name}: belongs to no entry of the manifest"
