"""Load pretrained members from files, by default those of the package; needs no network access and no config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checks import check_one_of
from ..errors import InputError
from ..limits import check_sizes
from ..own_code import class_path
from ..training.stack import StackedModel
from ..versions import say_if_newer
from ..zoo.architectures import find_architecture, known_names
from .exported import is_exported, read_exported
from .manifest import FOLDER, find_entry, map_of, read_file, read_manifest

MEMBERS = ("best", "all")
LOAD_TOLERANCE = 1e-5  # of the stored outputs, relative to 1 + |output|; rounding in float32 makes up to 1.5e-6
NOT_THE_MODELS = "name={name!r}: the file's tensors are not the model's; allowed: files that come with renorm"
OF_TRAINING = ("members", "optimizer", "lr_scheduler", "lr_scheduler_interval")  # never among an entry's arguments


def load_pretrained(
    name: str, members: str = "best", epoch: int | None = None, *, folder: Path | str = FOLDER
) -> StackedModel:
    """Load trained members into a LightningModule in evaluation mode, without gradients; ``model.unfreeze()`` to train on.

    Args:
        name: ``arch.tag``, e.g. ``mlp_quadratic_free.uniform``; see ``list_models(pretrained=True)``. Or the path of an entry's
            weights, beside their manifest, of a file that ``renorm zoo export --format safetensors`` wrote, or of a folder with
            one.
        members: ``best`` for the member with the lowest validation loss on the training laws, ``all`` for the whole stack.
        epoch: weights after this epoch of training, from 1 on, where the entry has its trajectory; the last by default.
        folder: where manifest and weights are; those of the package by default.

    Returns:
        The model, which maps blocks ``(N, b)`` to ``(members, N)``; its ``learned_map`` is the text of the map that it was
        trained on.

    Raises:
        ValueError: for an unknown name, member or epoch, or for a file that is missing or does not match its checksum.

    Example:
        >>> model = load_pretrained("mlp_quadratic_free.uniform")
        >>> y = model(torch.tensor([[1.0, 1.0]]))  # shape (members, blocks)
        >>> round(y.item(), 3)  # 2 / sqrt(2)
        1.414
    """
    check_one_of("members", members, MEMBERS)
    name, folder = _in_its_zoo(name, folder)
    if _is_file(name, folder):
        return _load_exported(name, members, epoch)
    entry = find_entry(name, folder)
    say_if_newer(f"the pretrained entry {name}", entry["versions"].get("renorm"))
    file = entry["file"] if epoch is None else _trajectory(name, entry, epoch, folder)
    tensors = parse_tensors(name, read_file(file, folder))
    if epoch is not None:
        if any(len(value) < epoch for value in tensors.values() if value.ndim) or not all(
            v.ndim for v in tensors.values()
        ):
            raise InputError(NOT_THE_MODELS.format(name=name))
        tensors = {key: value[epoch - 1] for key, value in tensors.items()}
    chosen = None if members == "all" else [int(entry["best_member"])]
    model = build_entry(name, entry, tensors, chosen)
    fill(name, model, tensors, entry, chosen)
    if epoch is None:
        check_outputs(name, model, entry["check"], chosen)
    model.learned_map = map_of(entry)
    model.freeze()
    return model


def _in_its_zoo(name: str, folder: Path | str) -> tuple[str, Path | str]:
    """Name and folder of an entry. The path of its weights, beside a manifest that has it, stands for both."""
    if not is_exported(name) or Path(name).is_dir():
        return name, folder
    path = Path(name)
    try:
        known = path.stem in read_manifest(path.parent)
    except ValueError:  # an exported file may lie anywhere, also beside the manifest of another program
        known = False
    return (path.stem, path.parent) if known else (name, folder)


def _is_file(name: str, folder: Path | str) -> bool:
    """Whether a name is the path of an exported file. The name of an entry means the entry, even if a folder is called so."""
    return is_exported(name) and str(name) not in read_manifest(folder)


def _load_exported(name: str, members: str, epoch: int | None) -> StackedModel:
    if epoch is not None:
        raise InputError(f"epoch={epoch!r}: {str(name)!r} has no trajectory", "None")
    entry, tensors = read_exported(name)
    say_if_newer(f"the exported model {name}", entry["renorm"])
    written = entry["arguments"].pop("members", None)  # which members of the stack the file holds; None for all
    model = build_entry(name, entry, tensors, written)
    if {key: (value.shape, value.dtype) for key, value in tensors.items()} != {
        key: (value.shape, value.dtype) for key, value in model.state_dict().items()
    }:
        raise InputError(NOT_THE_MODELS.format(name=str(name)))
    if members == "best" and model.num_members > 1:
        best = entry["best_member"]
        if best is None or not 0 <= best < model.num_members:
            raise InputError(f"members='best': {str(name)!r} does not say which that is", "all")
        chosen = [model.member_table[best]["member"]]
        model, tensors = build_entry(name, entry, tensors, chosen), {k: v[[best]] for k, v in tensors.items()}
    model.load_state_dict(tensors)
    model.learned_map = map_of(entry)
    model.freeze()
    return model


def build_entry(
    name: str, entry: dict[str, Any], tensors: dict[str, Tensor], members: list[int] | None = None
) -> StackedModel:
    """The model of an entry before its weights are loaded; its size is first checked against that of the weights.

    Raises:
        ValueError: where the manifest's arguments do not fit the model, or the sizes of the weights.
    """
    cls = _class_of(name, entry)
    arguments = entry["arguments"]
    for key in OF_TRAINING:
        if key in arguments:
            raise InputError(f"manifest: {name!r} has the argument {key}={arguments[key]!r}", "none of this name")
    try:
        check_sizes(arguments, sum(value.numel() for value in tensors.values()))
    except ValueError as error:
        raise InputError(f"manifest: the arguments of {name!r} are not those of its weights ({error})") from None
    try:
        return cls(**arguments, members=members)
    except (TypeError, RuntimeError, MemoryError, OverflowError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"manifest: the arguments of {name!r} do not fit the model ({reason})") from None


def _class_of(name: str, entry: dict[str, Any]) -> type[StackedModel]:
    cls = find_architecture(entry["class"])
    if cls is None:
        raise InputError(f"manifest: {name!r} has class={entry['class']!r}", known_names())
    return cls


def parse_tensors(name: str, content: bytes) -> dict[str, Tensor]:
    """The tensors of a file whose checksum was compared.

    Raises:
        ValueError: where it is not a safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return dict(load(content))
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"name={name!r}: its file is not a whole safetensors file ({error})") from None


def fill(
    name: str, model: StackedModel, tensors: dict[str, Tensor], entry: dict[str, Any], members: list[int] | None
) -> None:
    """Put a whole stack's tensors, or the chosen members' part of them, into a model.

    Raises:
        ValueError: where names, shapes or precision are not the model's.
    """
    expected = model.state_dict()
    stack = len(entry["validation_loss"])
    shapes = {key: ((stack, *value.shape[1:]), value.dtype) for key, value in expected.items()}
    if (
        model.stack_size != stack
        or {key: (tuple(value.shape), value.dtype) for key, value in tensors.items()} != shapes
    ):
        raise InputError(NOT_THE_MODELS.format(name=name))
    model.load_state_dict({key: value if members is None else value[members] for key, value in tensors.items()})


def _trajectory(name: str, entry: dict[str, Any], epoch: int, folder: Path | str) -> dict[str, Any]:
    trajectory: dict[str, Any] | None = entry.get("trajectory")
    if trajectory is None:
        having = [other for other, e in read_manifest(folder).items() if isinstance(e, dict) and "trajectory" in e]
        raise InputError(f"epoch={epoch!r}: {name!r} has no trajectory", ", ".join(having))
    if type(epoch) is not int or not 1 <= epoch <= trajectory["epochs"]:
        raise InputError(f"epoch={epoch!r} is out of range", f"1 to {trajectory['epochs']}")
    return trajectory


def check_outputs(name: str, model: StackedModel, check: dict[str, Any], members: list[int] | None) -> None:
    """Compare with the outputs that were stored when the entry was trained.

    Raises:
        ValueError: where they differ: this machine or these versions compute something else.
    """
    worst = output_difference(model, check, members)
    if not worst <= LOAD_TOLERANCE:
        raise InputError(f"name={name!r} computes outputs {worst:.1e} away from the stored ones", f"{LOAD_TOLERANCE:g}")


@torch.no_grad()
def output_difference(model: StackedModel, check: dict[str, Any], members: list[int] | None = None) -> float:
    """Largest difference from the stored outputs, relative to 1 + |output|; infinite where they do not fit.

    A member that has diverged has no finite output, stored as null; it must have none again.
    """
    stored = _tensor(check["outputs"])
    x = _tensor(check["inputs"]).to(next(model.parameters()).device)
    size = len(stored) if members is None else 1 + max(members)
    if x.ndim != 2 or x.shape[1] != model.block_size or stored.ndim != 2 or len(stored) < size:
        return float("inf")
    expected = stored if members is None else stored[members]
    outputs = model(x).cpu()
    if outputs.shape != expected.shape or not torch.equal(outputs.isfinite(), expected.isfinite()):
        return float("inf")
    difference = (outputs - expected).abs() / (1 + expected.abs())
    return float(difference[expected.isfinite()].max()) if expected.isfinite().any() else 0.0


def _tensor(rows: list[list[float | None]]) -> Tensor:
    if len({len(row) for row in rows}) != 1:
        return torch.zeros(0)
    return torch.tensor([[float("nan") if value is None else value for value in row] for row in rows])


def pretrained_recipe(name: str, folder: Path | str = FOLDER) -> dict[str, Any]:
    """The settings of model and data that an entry was trained with, in the form of a config.

    Args:
        name: as for :func:`load_pretrained`.
        folder: where manifest and weights are; those of the package by default.

    Returns:
        ``model``, and ``data``, which is None for an exported file that does not say its data.

    Raises:
        ValueError: for an unknown name, or a file that is not an exported one.

    Example:
        >>> pretrained_recipe("mlp_quadratic_free.uniform")["model"]["class_path"]
        'renorm.zoo.MLP'
    """
    name, folder = _in_its_zoo(name, folder)
    entry = read_exported(name)[0] if _is_file(name, folder) else find_entry(name, folder)
    cls = _class_of(name, entry)
    path = f"renorm.zoo.{cls.__name__}" if cls.__module__.startswith("renorm.") else class_path(cls)
    return {
        "model": {"class_path": path, "init_args": {"members": None} | entry["arguments"]},
        "data": entry["data"] and {"map": map_of(entry)} | entry["data"],
    }
