"""Train an entry of the zoo from its recipe, and write its weights and its part of the manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from ..datamodules import CLTDataModule
from ..errors import InputError
from ..files.whole import check_writable, one_writer, whole_file
from ..runs.quiet_trainer import quiet_trainer, quieten
from ..sweep.config import TRAINING, Point
from ..sweep.point import build, versions
from ..training.recipe import BEFORE_MAPS
from ..zoo import StackedModel
from .hub import OF_TRAINING
from .judge import judged, one_thread, shortened
from .manifest import MANIFEST, check_entry, read_file, read_manifest
from .recipes import kept_point, read_recipes, recipe_point

# settings that were added after the first entries, with their defaults
YOUNGER = {"symmetry_penalty": 0.0, "map": BEFORE_MAPS}
LICENCE = "MIT"
FORMAT = 1  # of the manifest


@dataclass(frozen=True)
class Trained:
    """A stack that was trained, and its weights after every epoch where the recipe asks for them."""

    model: StackedModel
    data: CLTDataModule
    epochs: list[dict[str, Tensor]]


class KeepWeights(Callback):
    """Keep the weights after every epoch, for those who study the dynamics."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, Tensor]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy all weights."""
        self.epochs.append({key: value.detach().clone() for key, value in pl_module.state_dict().items()})


def train_entry(name: str, out: Path, overwrite: bool = False) -> dict[str, Any]:
    """Train an entry, write ``NAME.safetensors`` and its part of the manifest in ``out``, and return that part.

    Args:
        name: ``arch.tag``, one of the recipes.
        out: folder to write to; made where it is missing. Its own ``recipes.yaml``, where it has one, has the recipe.
        overwrite: replace files of that name.

    Raises:
        ValueError: for an unknown name, a folder that cannot be written to or that another process writes to, or files that
            are there already.
    """
    recipe_point(name, out)  # refuse a bad name before anything is made
    check_writable(out, "out")
    if (out / MANIFEST).exists():
        read_manifest(out)
    with one_writer(out, keep=False):
        return _train_alone(name, out, overwrite)


def _train_alone(name: str, out: Path, overwrite: bool) -> dict[str, Any]:
    """Train and write an entry while holding the folder's lock; only now is it certain which files exist."""
    names = [f"{name}.safetensors"] + [f"{name}.epochs.safetensors"] * (name in read_recipes(out)["trajectories"])
    for path in (out / file for file in names):
        if path.exists() and not overwrite:
            raise InputError(f"out={str(out)!r} has {path.name} already", "another folder, or --overwrite")
    trained = run_recipe(name, out)
    entry = describe(name, trained, out)
    entry["file"] = write_tensors(out / names[0], dict(trained.model.state_dict()))
    if trained.epochs:
        stacked = {key: torch.stack([epoch[key] for epoch in trained.epochs]) for key in trained.epochs[0]}
        entry["trajectory"] = write_tensors(out / names[1], stacked) | {"epochs": len(trained.epochs)}
    check_entry(name, entry)
    add_to_manifest(out, name, entry)
    return entry


def is_trained(name: str, out: Path) -> bool:
    """Whether a folder has all files of an entry, undamaged and trained by the present recipe."""
    if not (out / MANIFEST).exists():
        return False
    entry = read_manifest(out).get(name)
    try:
        check_entry(name, entry)
        for file in ("file", "trajectory"):
            if entry is not None and file in entry:
                read_file(entry[file], out)
    except ValueError:
        return False
    return entry is not None and entry["recipe"] == kept_point(name, entry, out).key


def run_recipe(name: str, folder: Path | None = None) -> Trained:
    """Train by the recipe, on one thread and without a compiler, so that the same machine gives the same bits."""
    quieten()
    keep = KeepWeights()
    with one_thread():
        model, data, steps = build(recipe_point(name, folder))
        callbacks = [keep] if name in read_recipes(folder)["trajectories"] else []
        quiet_trainer(steps, accelerator="cpu", callbacks=callbacks).fit(model, data)
    return Trained(model.eval(), data, keep.epochs)


def describe(name: str, trained: Trained, folder: Path | None = None) -> dict[str, Any]:
    """An entry of the manifest, except for its files."""
    known = facts(name, recipe_point(name, folder), trained.model, trained.data)
    return known | {
        "versions": versions_of() | {"cpu": torch.backends.cpu.get_cpu_capability()},
        "check": stored_outputs(trained.model, trained.data),
        **judged(trained.model, trained.data, known["seed"]),
    }


def facts(name: str, point: Point, model: StackedModel, data: CLTDataModule) -> dict[str, Any]:
    """What is known of an entry before it is trained: the model's and the data's arguments, and how it will be trained."""
    left_out = (*OF_TRAINING, "compile")  # how a run computes is not part of what it computes
    arguments = {key: value for key, value in _as_before(model.hparams).items() if key not in left_out}
    settings = TRAINING | point.settings
    known: dict[str, Any] = {
        "class": point.model,
        "arguments": arguments,
        "data": _as_before(data.hparams),
        "training": {key: settings[key] for key in TRAINING},
        "seed": settings["seed"],
        "command": f"renorm zoo train {name}",
        "recipe": point.key,
        "licence": LICENCE,
    }
    return known


def _as_before(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in the form of the oldest entries: without null, and without newer settings at their defaults."""
    return {key: value for key, value in settings.items() if value is not None and value != YOUNGER.get(key)}


def versions_of() -> dict[str, str]:
    """Versions of the packages that compute the numbers."""
    return {key: str(value) for key, value in versions().items()} | {"numpy": np.__version__}


@torch.no_grad()
def stored_outputs(model: StackedModel, data: CLTDataModule) -> dict[str, Any]:
    """One block of every law and the members' outputs for it, for a check after loading."""
    x = torch.cat([data.batch("test", 0, 0, law=law).x[:1] for law in data.laws])
    found: dict[str, Any] = shortened({"inputs": x.tolist(), "outputs": model(x).tolist()})
    return found


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Write a safetensors file whole or not at all; its name, size and checksum."""
    from safetensors.torch import save

    content = save({key: value.contiguous() for key, value in tensors.items()})
    with whole_file(path) as partial:
        partial.write_bytes(content)
    return {"name": path.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def add_to_manifest(folder: Path, name: str, entry: dict[str, Any]) -> None:
    """Put an entry into a folder's manifest, in the order of the recipes; those without a recipe are dropped."""
    path = folder / MANIFEST
    entries = read_manifest(folder) if path.exists() else {}
    entries[name] = entry
    write_manifest(path, {known: entries[known] for known in read_recipes(folder)["models"] if known in entries})


def write_manifest(path: Path, entries: dict[str, Any]) -> None:
    """Write a manifest whole or not at all, one line an entry: short, and a change is seen where it is."""
    lines = [f"{json.dumps(name)}: {json.dumps(entry, allow_nan=False)}" for name, entry in entries.items()]
    with whole_file(path) as partial:
        partial.write_text(f'{{"format": {FORMAT}, "models": {{\n' + ",\n".join(lines) + "\n}}\n", encoding="utf-8")
