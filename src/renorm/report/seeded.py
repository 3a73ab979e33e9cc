"""Train one architecture on an RG map at several learning rates and seeds side by side, and measure it under several laws."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .. import maps
from ..cumulants import eigenvalues, rg_spectrum
from ..datamodules import CLTDataModule
from ..datamodules.block_sources import parse_source
from ..maps import BlockMap
from ..training.flat_adam import FlatSteps
from ..training.rows import parts_of, row_of
from ..training.stack import StackedModel
from ..zoo.layers import TiedTensor
from ..zoo.registry import create_model

DRAWN = 50  # batches that are drawn at once
ROWS = 1024  # blocks that are evaluated at once
SHARED = (
    "rates",
    "seeds",
    "members",
    "batch",
    "stops",
    "rows",
)  # settings that all conditions of a claim have in common


def train_seeds(settings: Mapping[str, Any]) -> dict[str, Any]:
    r"""Train members of one architecture, each seed with data and initial weights of its own, at every learning rate.

    All are one stack. A grid of the activation, such as slopes, is one more axis; members of it share data and initial weights.

    Args:
        settings: ``model`` (a variant's name) and ``arguments``; ``map``, ``law`` and ``block_size`` of training; ``rates``, of
            Adam; ``seed``, the first of ``seeds``; ``members`` of each seed; ``batch``, its blocks; ``stops``, numbers of steps;
            ``tests``, laws or sources of blocks; ``rows``, how many blocks of each. With ``reflected`` the network sees the first
            variable with its sign changed, which turns its symmetry group into a conjugate one of equal size. With ``mirrored``
            the tests hold the mirror image of every block, too. ``scales``, of initial weights and biases, are one more axis.

    Returns:
        ``errors``: law -> mean squared error over the variance of the target, step x grid x rate x seed x member; with
        ``scales`` step x grid x scale x rate x seed x member.
    """
    model = make_stack(settings)
    shape = (-1, *axes_of(settings))
    tests = {law: fresh_blocks(law, settings) for law in settings["tests"]}
    found: dict[str, list[Any]] = {law: [] for law in tests}
    for _ in train_stack(model, settings):
        for law, (x, y) in tests.items():
            errors = relative_errors(model, seen(x, settings), y)
            found[law].append(errors.nan_to_num(nan=torch.inf).view(shape).tolist())
    return {"errors": found}


def train_spectra(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Train as :func:`train_seeds`, and compare the eigenvalues of what was learned with the exact map's.

    Args:
        settings: those of :func:`train_seeds`; the highest ``order``, and ``nodes``, of quadrature, a variable.

    Returns:
        ``errors``, see :func:`train_seeds`; ``spectrum``: the largest relative error of an eigenvalue, and ``eigenvalues``, order
        by order, at the last stop, with the axes rate x seed x member last.
    """
    model = make_stack(settings)
    block_map = maps.parse(settings["map"])
    tests = {law: fresh_blocks(law, settings) for law in settings["tests"]}
    list(train_stack(model, settings))  # to the last stop
    shape = (len(settings["rates"]), settings["seeds"], settings["members"])
    values, wrong = spectrum_errors(model.double_copy(), block_map, settings["order"], settings["nodes"])
    errors = {law: relative_errors(model, seen(x, settings), y) for law, (x, y) in tests.items()}
    return {
        "errors": {law: error.nan_to_num(nan=torch.inf).view(1, 1, *shape).tolist() for law, error in errors.items()},
        "spectrum": wrong.amax(dim=-1).view(1, 1, *shape).tolist(),
        "eigenvalues": values.T.reshape(-1, *shape).tolist(),
    }


def spectrum_errors(model: StackedModel, block_map: BlockMap, order: int, nodes: int) -> tuple[Tensor, Tensor]:
    """Eigenvalues of every member at the map's fixed point, largest first, and their relative errors, each ``(M, orders)``."""
    found = rg_spectrum(model, order, nodes, block_map.basis)  # type: ignore[arg-type]
    exact = block_map.spectrum(found.shape[1] - 1, model.block_size)
    assert exact is not None
    values = eigenvalues(found).nan_to_num(nan=torch.inf)
    return values, (values / exact.sort(descending=True).values - 1).abs()


def make_stack(settings: Mapping[str, Any]) -> StackedModel:
    """All members, those of a grid point together, then those of a scale, of a learning rate, and of a seed."""
    replicas = math.prod(axes_of(settings))
    arguments = {"block_size": settings["block_size"], "replicas": replicas, "seed": settings["seed"]}
    model = create_model(settings["model"], **arguments | settings["arguments"], compile=False)
    if "scales" in settings:
        scale_weights(model, settings["scales"], replicas)
    return model


def axes_of(settings: Mapping[str, Any]) -> tuple[int, ...]:
    """How many scales, where they are an axis, learning rates, seeds, and members of each there are."""
    scales = [len(settings["scales"])] if "scales" in settings else []
    return (*scales, len(settings["rates"]), settings["seeds"], settings["members"])


@torch.no_grad()
def scale_weights(model: StackedModel, scales: Sequence[float], replicas: int) -> None:
    """Multiply the initial weights and biases of the replicas of each grid point, of an equal share of them by each number."""
    factors = torch.tensor(scales).repeat_interleave(replicas // len(scales)).repeat(model.num_members // replicas)
    for layer in model.modules():
        if isinstance(layer, TiedTensor):
            layer.theta.mul_(factors.unsqueeze(1))


def train_stack(model: StackedModel, settings: Mapping[str, Any]) -> Iterator[int]:
    r"""Train by Adam, and hand over at each stop.

    Adam's step is proportional to its learning rate, and does not otherwise depend on it: every member takes the step
    of the largest rate, times its own share of it.

    Where ``unpaired``, the targets of a step are those of other blocks, for losses that compare distributions: the cumulants of
    one batch of blocks and of its own targets vary together, which tells a network more than the distribution.
    """
    rates = torch.tensor(settings["rates"])
    largest = float(rates.max())
    shares = (rates / largest).repeat_interleave(settings["seeds"] * settings["members"])
    shares = shares.repeat(model.num_members // len(shares))
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    by_number = row_of([shares.view(-1, *[1] * (part.ndim - 1)).expand_as(part) for part in parameters])
    optimizer = torch.optim.Adam(parameters, lr=largest)
    take_step = FlatSteps(optimizer, parameters)
    batches = training_batches(model.num_members, settings)
    step = 0
    for stop in settings["stops"]:
        while step < stop:
            x, y = next(batches)
            if settings.get("unpaired"):
                _, y = next(batches)
            optimizer.zero_grad(set_to_none=True)
            model.loss(model(x), y).sum().backward()  # type: ignore[no-untyped-call]
            before = row_of(parameters)
            take_step()
            with torch.no_grad():
                after = torch.lerp(before, row_of(parameters), by_number)
                for parameter, part in zip(parameters, parts_of(after, parameters), strict=True):
                    parameter.copy_(part)
            step += 1
        yield step


def training_batches(members: int, settings: Mapping[str, Any]) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of all members, blocks ``(M, N, b)`` and targets ``(M, N)``; every seed has a stream of its own."""
    rows, seeds = settings["batch"], settings["seeds"]
    streams = [
        CLTDataModule(
            block_size=settings["block_size"],
            train_laws=settings["law"],
            held_out_laws=[],
            batch_size=rows * DRAWN,
            seed=settings["seed"] * seeds + number,
            map=settings["map"],
        )
        for number in range(seeds)
    ]
    member_seed = torch.arange(seeds).repeat_interleave(settings["members"])
    member_seed = member_seed.repeat(members // len(member_seed))
    epoch = 0
    while True:
        drawn = [stream.batch("train", epoch, 0) for stream in streams]
        x = seen(torch.stack([blocks.x for blocks in drawn]), settings)
        y = torch.stack([blocks.y for blocks in drawn])
        for part in range(0, rows * DRAWN, rows):
            yield x[member_seed, part : part + rows], y[member_seed, part : part + rows]
        epoch += 1


def fresh_blocks(law: str, settings: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Blocks of a law or a source and their targets, the same for all members, shapes ``(N, b)`` and ``(N,)``."""
    data = CLTDataModule(block_size=settings["block_size"], map=settings["map"], seed=settings["seed"])
    x = data.probe(parse_source(law), settings["rows"]).x
    if settings["mirrored"]:
        x = torch.cat([x, -x])
    return x, data.map(x)


def seen(x: Tensor, settings: Mapping[str, Any]) -> Tensor:
    """Blocks as the networks see them: where they are ``reflected``, the first variable has changed its sign."""
    if not settings.get("reflected"):
        return x
    signs = torch.ones(x.shape[-1])
    signs[0] = -1
    return x * signs


@torch.no_grad()
def relative_errors(model: StackedModel, x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error of every member over the variance of the target, shape ``(M,)``, float64."""
    total = torch.zeros(model.num_members, dtype=torch.float64)
    for blocks, targets in zip(torch.split(x, ROWS), torch.split(y, ROWS), strict=True):
        total += (model(blocks).double() - targets.double()).square().sum(dim=-1)
    return total / len(y) / y.double().var(unbiased=False)
