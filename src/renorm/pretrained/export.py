"""``renorm zoo export``: write an entry for other programs, and check that the file computes the same outputs."""

from __future__ import annotations

import importlib
import io
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import __version__
from ..checks import check_one_of
from ..errors import InputError
from ..files.whole import whole_file
from ..zoo import StackedModel
from .hub import build_entry, load_pretrained
from .manifest import FOLDER, find_entry

Compute = Callable[[Tensor], Tensor]
INPUT, OUTPUT = "x", "y"
BATCHES = (1, 256)  # the number of blocks is free in every format
TOLERANCE = 1e-5  # of outputs, relative to 1 + |output|; rounding in float32 makes up to 1.5e-6
NEEDED = ("onnx", "onnxscript", "onnxruntime")  # the extra `export`


def export(
    name: str, kind: str, out: Path, members: str = "best", overwrite: bool = False, folder: Path = FOLDER
) -> float:
    """Write an entry to a file, read it back and compare its outputs with the model's.

    Args:
        name: ``arch.tag``.
        kind: ``safetensors``, ``torch_export`` or ``onnx``.
        out: file to write.
        members: ``best`` or ``all``.
        overwrite: replace the file where it exists.
        folder: of manifest and weights; the package's by default.

    Returns:
        Largest difference of outputs, relative to ``1 + |output|``.

    Raises:
        ValueError: for an unknown name or format, a file that exists, a missing extra, or outputs that differ.
    """
    check_one_of("format", kind, WRITERS)
    if kind == "onnx":
        check_extra()
    check_out(out, overwrite)
    entry, model = find_entry(name, folder), load_pretrained(name, members, folder=folder)
    content, read_back = WRITERS[kind](name, entry, model)
    worst = largest_difference(model, read_back(content))
    if not worst <= TOLERANCE:
        raise InputError(f"format={kind!r} of {name!r} computes outputs {worst:.1e} away", f"{TOLERANCE:g}")
    write_whole(out, content)
    members = f"{model.num_members} member" + "s" * (model.num_members > 1)
    print(f"{out}: {len(content)} bytes, {members}; outputs differ by at most {worst:.1e} of 1 + |y|")
    return worst


def check_out(out: Path, overwrite: bool) -> None:
    """Refuse a file that exists, or one that cannot be written, before anything is computed.

    Raises:
        ValueError: naming the file.
    """
    if out.is_dir() or not out.resolve().parent.is_dir():
        raise InputError(f"out={str(out)!r} is not a file in a folder that exists", "a new file")
    if out.exists() and not overwrite:
        raise InputError(f"out={str(out)!r} exists", "another file, or --overwrite")
    if not os.access(out.resolve().parent, os.W_OK):
        raise InputError(f"out={str(out)!r} cannot be written", "a file in a folder of one's own")


def check_extra() -> None:
    """Check that the packages of the extra ``export`` can be imported.

    Raises:
        ValueError: where a package of it cannot be imported.
    """
    for package in NEEDED:
        try:
            importlib.import_module(package)
        except ImportError:
            raise InputError(f"format='onnx' needs {package}; allowed after: pip install 'renorm[export]'") from None


def write_whole(out: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with whole_file(out) as partial:
        partial.write_bytes(content)


@torch.no_grad()
def largest_difference(model: StackedModel, other: Compute) -> float:
    """Largest difference of outputs on random blocks of three scales, relative to ``1 + |output|``."""
    generator = torch.Generator().manual_seed(0)
    device = next(model.parameters()).device
    worst = 0.0
    for rows in BATCHES:
        for scale in (0.1, 1.0, 3.0):
            x = (scale * torch.randn(rows, model.block_size, generator=generator)).to(device)
            expected, computed = model(x), other(x)
            if computed.shape != expected.shape:
                return float("inf")
            worst = max(worst, float(((computed - expected).abs() / (1 + expected.abs())).max()))
    return worst


# ---- the formats -----------------------------------------------------------------------------------------------------


def write_safetensors(
    name: str, entry: dict[str, Any], model: StackedModel
) -> tuple[bytes, Callable[[bytes], Compute]]:
    """Weights by name, with the model's arguments as metadata."""
    from safetensors.torch import load, save

    hparams = {key: value for key, value in model.hparams.items() if value is not None}
    metadata = {"renorm": __version__, "name": name, "class": entry["class"], "licence": entry["licence"]}
    # position of the best member in the file
    best = entry["best_member"] if model.num_members == len(entry["validation_loss"]) else 0
    metadata |= {"arguments": json.dumps(hparams), "data": json.dumps(entry["data"]), "best_member": json.dumps(best)}
    content = save({key: value.contiguous() for key, value in model.state_dict().items()}, metadata=metadata)

    def read_back(content: bytes) -> Compute:
        size = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + size])["__metadata__"]
        arguments = json.loads(metadata["arguments"])
        members = arguments.pop("members", None)
        tensors = load(content)
        rebuilt = build_entry(name, {"class": metadata["class"], "arguments": arguments}, tensors, members)
        rebuilt.load_state_dict(tensors)
        return rebuilt.eval()

    return content, read_back


def program(model: StackedModel) -> Any:
    """The model as a graph of PyTorch's operations, for any number of blocks."""
    example = torch.zeros(BATCHES[-1], model.block_size)
    blocks = torch.export.Dim("blocks", min=1)
    return torch.export.export(model, (example,), dynamic_shapes=({0: blocks},))


def write_torch_export(
    name: str, entry: dict[str, Any], model: StackedModel
) -> tuple[bytes, Callable[[bytes], Compute]]:
    """A program for ``torch.export.load``, which needs no renorm."""
    with quiet():
        buffer = io.BytesIO()
        torch.export.save(program(model), buffer)

    def read_back(content: bytes) -> Compute:
        with quiet():
            computes: Compute = torch.export.load(io.BytesIO(content)).module()
        return computes

    return buffer.getvalue(), read_back


def write_onnx(name: str, entry: dict[str, Any], model: StackedModel) -> tuple[bytes, Callable[[bytes], Compute]]:
    """A graph for ONNX runtimes, input ``x`` of shape ``(blocks, b)`` and output ``y`` of shape ``(members, blocks)``."""
    with quiet():
        made = torch.onnx.export(program(model), dynamo=True, verbose=False, input_names=[INPUT], output_names=[OUTPUT])
        assert made is not None
        content = made.model_proto.SerializeToString()

    def read_back(content: bytes) -> Compute:
        import onnxruntime

        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        return lambda x: torch.from_numpy(session.run([OUTPUT], {INPUT: x.numpy()})[0])

    return content, read_back


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the messages that PyTorch's exporters write for their own developers."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


Writer = Callable[[str, dict[str, Any], StackedModel], tuple[bytes, Callable[[bytes], Compute]]]
WRITERS: dict[str, Writer] = {
    "safetensors": write_safetensors,
    "torch_export": write_torch_export,
    "onnx": write_onnx,
}
