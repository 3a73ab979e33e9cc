"""Check that an architecture keeps the contract of stacks, before its first step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..checks import described
from ..errors import InputError, in_one_line

if TYPE_CHECKING:
    from .stack import StackedModel

ROWS = 3  # blocks of a trial
TOLERANCE = (
    1e-3  # of float32, relative to 1 + |output|: another order of summing is allowed, other members' numbers are not
)
# method that an architecture may define -> what is left out without it
OPTIONAL = {
    "walk": "cumulants of hidden layers",
    "symmetric_subspaces": "symmetry breaking",
    "affine_layers": "theory of the layers' cumulants",
}


def check_architecture(model: StackedModel) -> None:
    """Reject an architecture that breaks the contract on a few blocks.

    Raises:
        ValueError: naming the class, what it does and what is allowed.
    """
    who, members = f"model {type(model).__name__}", model.num_members
    if not hasattr(model, "_trained"):
        raise InputError(f"{who} has no initial weights", "self.reset_parameters() at the end of __init__")
    for name, parameter in model.named_parameters():
        if parameter.ndim == 0 or len(parameter) != members:
            raise InputError(
                f"{who} has the parameter {name} of shape {tuple(parameter.shape)}",
                f"({members}, ...), one row a "
                "member, as those of self.linear(inputs, outputs); renorm.stack makes a stack of any nn.Module",
            )
    x = torch.linspace(-1, 1, ROWS * model.block_size).view(ROWS, -1).to(next(model.parameters()))
    shared, apart = (_tried(model, blocks) for blocks in (x, x.expand(members, -1, -1)))
    if not torch.allclose(shared, apart, TOLERANCE, TOLERANCE, equal_nan=True):
        raise InputError(f"{who} gives blocks (N, b) and (M, N, b) other outputs", "the same for the same blocks")


def _tried(model: StackedModel, x: Tensor) -> Tensor:
    who, wanted = f"model {type(model).__name__}", (model.num_members, ROWS)
    training = model.training
    try:
        with torch.no_grad(), torch.random.fork_rng():
            outputs = model.eval()(x)
    except Exception as error:  # whatever the user's own code raises
        problem = in_one_line(error)
        raise InputError(
            f"{who} fails on blocks of shape {tuple(x.shape)}: {type(error).__name__}: {problem}", f"outputs {wanted}"
        ) from error
    finally:
        model.train(training)
    if not isinstance(outputs, Tensor) or tuple(outputs.shape) != wanted:
        what = described(outputs)
        raise InputError(f"{who} turns blocks of shape {tuple(x.shape)} into {what}", str(wanted))
    return outputs


def left_out(model: StackedModel) -> str | None:
    """One line that names the measurements an architecture lacks a method for; None if it has them all."""
    from .stack import StackedModel

    cls = type(model)
    missing = {name: what for name, what in OPTIONAL.items() if getattr(cls, name) is getattr(StackedModel, name)}
    if not missing:
        return None
    parts = ", ".join(f"{what} (needs {name})" for name, what in missing.items())
    return f"{cls.__name__}: left out {'is' if len(missing) == 1 else 'are'} {parts}"
