"""Stacks of any network: ``torch.nn``, PyG, or your own module, many members at once."""

from __future__ import annotations

import copy
import sys
import typing
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from ..checks import check_at_least, described
from ..errors import InputError
from ..own_code import imported
from ..training.optimizers import LRSchedulerCallable, OptimizerCallable
from ..training.stack import StackedModel

Make = Callable[[], nn.Module]

ROWS = 4  # blocks of a trial
TOLERANCE = 1e-4  # of float32, relative to 1 + |output|: vmap sums in another order
SCRIPT = "__main__"


def stack(make: Make | str, members: int, block_size: int = 2, seed: int = 0, **training: Any) -> ModuleStack:
    """Stack networks of any kind: ``members`` of them, which differ by their initial weights and train as if alone.

    The members are computed at once by :func:`torch.func.vmap`, or one after the other where vmap cannot, as with control
    flow that depends on the data, and some layers of PyG. The stack trains, is measured and saved as any other of renorm.

    Args:
        make: builds one network, which maps blocks ``(N, b)`` to ``(N,)`` or ``(N, 1)``, each block by itself. A function or
            a class with a name, or its import path, is also found when a checkpoint is loaded.
        members: how many networks.
        block_size: number of variables ``b`` in a block.
        seed: of the initial weights: member ``m`` is the same in a stack of any size.
        **training: ``loss``, ``optimizer``, and other arguments of :class:`ModuleStack`.

    Returns:
        The stack, which maps ``(N, b)``, or ``(M, N, b)`` with each member's own blocks, to ``(M, N)``.

    Raises:
        ValueError: for a network that breaks this contract, in one line.

    Example:
        >>> model = stack(lambda: nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)), members=16)
        >>> model(torch.zeros(5, 2)).shape, model.network[0].weight.shape
        (torch.Size([16, 5]), torch.Size([16, 8, 2]))
    """
    check_at_least("members", members, 1)  # the model calls them replicas
    check_at_least("block_size", block_size, 2)
    return ModuleStack(make, block_size=block_size, replicas=members, seed=seed, **training)


class ModuleStack(StackedModel):
    """A stack of networks that a function builds, see :func:`renorm.stack`.

    Args:
        make: builds one network; or its import path, of a module that is imported already: a class of ``nn.Module``, or a
            function that is annotated to return one.
        block_size: number of variables ``b`` in a block, 2 or more.
        replicas: number of networks.
        members: keep only these of them, by number; all by default.
        seed: seed of the initial weights, 0 or more.
        loss: see :class:`renorm.zoo.StackedModel`, as for all that follows.
        compile: ``true``, ``false`` or ``auto``, which does not compile what it does not know.
        optimizer: from parameters to an optimiser.
        lr_scheduler: from the optimiser to a learning-rate scheduler.
        lr_scheduler_interval: ``step`` or ``epoch``.

    Attributes:
        network: the network, with each parameter and buffer of all members stacked, ``(M, ...)``.
        vectorized: whether vmap computes all members at once.

    Shapes:
        ``(N, b) -> (M, N)``, or ``(M, N, b) -> (M, N)``.

    Raises:
        ValueError: for a network that breaks the contract, in one line.
    """

    def __init__(
        self,
        make: str | Make,
        block_size: int = 2,
        replicas: int = 1,
        members: list[int] | None = None,
        seed: int = 0,
        loss: str = "mse",
        compile: str | bool = "auto",
        optimizer: OptimizerCallable = lambda params: torch.optim.Adam(params, lr=0.01),
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_scheduler_interval: Literal["step", "epoch"] = "epoch",
    ) -> None:
        builder = find_maker(make) if isinstance(make, str) else make
        make = make if isinstance(make, str) else path_of(make)  # the hyperparameter
        super().__init__(
            block_size,
            replicas=replicas,
            members=members,
            seed=seed,
            loss=loss,
            compile=compile,
            optimizer=optimizer,
            lr_scheduler=lr_scheduler,
            lr_scheduler_interval=lr_scheduler_interval,
        )
        for name in self.hparams.keys() - super().arguments().keys():
            del self.hparams[name]  # the base's, of activations and the like
        self._make = builder
        networks = [_built(builder, number) for number in self._seeds()]
        if len(set(map(id, networks))) < len(networks):
            raise InputError(f"make={make!r} returns the same network each time", "a function that makes a new one")
        self.draws_random, problem = _trial(networks[0], self.block_size)
        if problem:
            raise InputError(f"make={make!r} {problem}")
        self.network = _stacked(networks, make)
        self.vectorized = self._agrees()
        self._note_trained()
        if not self._trained:
            raise InputError(f"make={make!r} builds a network without trained parameters", "one with some")

    def _seeds(self) -> list[int]:
        """A seed for each member, none twice in a stack: PyTorch's generators on the CPU take 32 bits of it."""
        first = int(np.random.SeedSequence(self._seed).generate_state(1)[0])
        return [(first + int(member["replica"])) % 2**32 for member in self.member_table]

    def reset_parameters(self) -> None:
        """Put back the initial weights."""
        networks = [_built(self._make, number) for number in self._seeds()]
        self.network.load_state_dict(_stacked(networks, str(self.hparams["make"])).state_dict())

    def arguments(self) -> dict[str, Any]:
        """Constructor arguments, with the function itself, which need not have an import path."""
        return super().arguments() | {"make": self._make}

    # ---- what the members compute --------------------------------------------------------------------------------

    def outputs(self, x: Tensor) -> Tensor:
        """Outputs of all members."""
        return self._at_once(x) if self.vectorized else self._one_by_one(x)

    def _at_once(self, x: Tensor) -> Tensor:
        compute = vmap(self._member, in_dims=(0, None if x.ndim == 2 else 0), randomness="different")
        found: Tensor = compute(self._state(), x)
        return found

    def _one_by_one(self, x: Tensor) -> Tensor:
        state = self._state()
        each = ({name: tensor[m] for name, tensor in state.items()} for m in range(self.num_members))
        return torch.stack([self._member(own, x if x.ndim == 2 else x[m]) for m, own in enumerate(each)])

    def _state(self) -> dict[str, Tensor]:
        return dict(_tensors(self.network))

    def _member(self, state: dict[str, Tensor], x: Tensor) -> Tensor:
        y: Tensor = functional_call(self.network, state, (x,))
        return y.squeeze(-1) if y.ndim == 2 else y

    def _agrees(self) -> bool:
        """Whether vmap can compute the members and their gradients, and finds what they give one by one."""
        x = _blocks(self.block_size).to(next(self.network.parameters()))
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        training = self.network.training
        self.network.eval()  # without random numbers, which no two runs share
        try:
            with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.enable_grad():
                warnings.simplefilter("ignore")  # of operations that vmap itself computes in a loop
                expected = self._one_by_one(x)
                found = self._at_once(x)
                torch.autograd.grad(found.sum(), trained, allow_unused=True)
                self.network.train()
                self._at_once(x)
        except Exception:  # control flow, operations without a rule, in-place changes: each fails in a way of its own
            return False
        finally:
            self.network.train(training)
        return torch.allclose(found, expected, TOLERANCE, TOLERANCE, equal_nan=True)

    def notes(self) -> list[str]:
        """What is left out, and how the members are computed where that is not as usual."""
        found = super().notes()
        if not self.vectorized:
            found.append("ModuleStack: vmap cannot compute this network, members are computed one after the other")
        if self.draws_random:
            found.append(
                "ModuleStack: the network draws random numbers in training, such as dropout's: they come from PyTorch's "
                "global generator, so that a run is repeated only after torch.manual_seed and with the same members"
            )
        return found


# ---- the function that builds a network ------------------------------------------------------------------------------


def path_of(make: Make) -> str:
    """The import path of a function or class, or for others, such as a lambda, what they are called.

    Example:
        >>> path_of(nn.Identity), path_of(lambda: nn.Identity())
        ('torch.nn.modules.linear.Identity', 'renorm.zoo.module_stack.<lambda>')
    """
    if not callable(make):
        raise InputError(f"make={make!r} is a {type(make).__name__}", "a function that builds an nn.Module")
    module, name = getattr(make, "__module__", None), getattr(make, "__qualname__", type(make).__name__)
    return f"{module}.{name}"


def find_maker(path: str) -> Make:
    """The function of an import path. Nothing is imported for it: a checkpoint may come from anyone.

    Args:
        path: ``module.name`` of a module that is imported. A name of a script that was run is also looked for in the
            modules that ``--import`` names.

    Raises:
        ValueError: where it is not there, or is neither a class of ``nn.Module`` nor a function annotated to return one.

    Example:
        >>> find_maker("torch.nn.Identity")
        <class 'torch.nn.modules.linear.Identity'>
    """
    module, _, name = path.rpartition(".")
    places = [module, *(Path(own).stem if own.endswith(".py") else own for own in imported())]
    for place in places if module == SCRIPT else places[:1]:
        found: Any = getattr(sys.modules.get(place), name, None)
        if found is not None:
            break
    else:
        raise InputError(
            f"make={path!r} is not a function of a module that is imported",
            "--import with its file or module, or, "
            "in Python, ModuleStack.load_from_checkpoint(path, make=the function itself)",
        )
    if not _gives_module(found):
        raise InputError(
            f"make={path!r} is not known to build a network", "a class of nn.Module, or a function '-> nn.Module'"
        )
    maker: Make = found
    return maker


def _gives_module(found: Any) -> bool:
    if not isinstance(found, type):
        try:
            found = typing.get_type_hints(found).get("return")
        except (TypeError, NameError):  # no function, or annotations that cannot be read
            return False
    return isinstance(found, type) and issubclass(found, nn.Module)


def _built(make: Make, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            network = make()
        except Exception as error:  # whatever the user's own code raises
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"make={path_of(make)!r} fails ({type(error).__name__}: {reason})", "a function without arguments"
            ) from error
    if not isinstance(network, nn.Module):
        raise InputError(f"make={path_of(make)!r} builds a {type(network).__name__}", "an nn.Module")
    return network


# ---- one network for all members -------------------------------------------------------------------------------------


def _tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from network.named_parameters()
    yield from network.named_buffers()


def _stacked(networks: list[nn.Module], make: str) -> nn.Module:
    """The first network with the tensors of all in place of its own; a parameter that two layers share stays shared."""
    try:
        parameters, buffers = stack_module_state(networks)
    except (RuntimeError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"make={make!r} builds networks of several kinds ({reason})", "one kind") from None
    network = copy.deepcopy(networks[0]).train()
    named = dict(network.named_parameters()), dict(network.named_buffers())
    stacked: dict[int, Tensor] = {
        id(named[0][name]): nn.Parameter(p.detach(), p.requires_grad) for name, p in parameters.items()
    }
    stacked |= {id(named[1][name]): b for name, b in buffers.items()}
    for module in network.modules():
        for own in (module._parameters, module._buffers):
            own.update({name: stacked[id(tensor)] for name, tensor in own.items() if tensor is not None})  # type: ignore[misc]
    return network


def _blocks(block_size: int) -> Tensor:
    return torch.linspace(-1.0, 1.0, ROWS * block_size).view(ROWS, block_size).sin()


def _trial(network: nn.Module, block_size: int) -> tuple[bool, str | None]:
    """Whether a network draws random numbers in training, and what it does that no member of a stack may do."""
    network = copy.deepcopy(network)
    parameter = next(network.parameters(), None)
    if parameter is None:
        return False, "builds a network without parameters; allowed: one with some"
    x = _blocks(block_size).to(parameter.dtype)
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            y = network.eval()(x)
            first = network(x[:1])
            state = torch.random.get_rng_state()
            network.train()(x)
            draws = not torch.equal(state, torch.random.get_rng_state())
    except Exception as error:  # whatever the user's own code raises
        reason = " ".join(str(error).split())[:200]
        return False, (
            f"builds a network that fails on shape {tuple(x.shape)} ({type(error).__name__}: {reason}); "
            "allowed: one that maps blocks (N, b) to (N,) or (N, 1)"
        )
    if not isinstance(y, Tensor) or y.shape not in ((ROWS,), (ROWS, 1)):
        what = described(y)
        return draws, f"turns shape {tuple(x.shape)} into {what}; allowed: ({ROWS},) or ({ROWS}, 1)"
    if first.numel() != 1 or not torch.allclose(first.flatten(), y.flatten()[:1], TOLERANCE, TOLERANCE, equal_nan=True):
        return draws, "mixes the blocks of a batch; allowed: networks that map each block by itself"
    for name, buffer in network.named_buffers():
        if not torch.equal(buffer, before[name]):
            return draws, f"changes its buffer {name} in training, as BatchNorm does; allowed: LayerNorm or GroupNorm"
    return draws, None
