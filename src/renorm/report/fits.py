"""Train a stack without a trainer, measure it during training, and compute its errors by quadrature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..datamodules import CLTDataModule, laws
from ..datamodules.drawn_ahead import DrawnAhead
from ..datamodules.laws.quadrature import block_rule
from ..training.compilation import CompiledLosses, columns, compiled_losses
from ..training.flat_adam import FlatSteps
from ..training.losses import clt_map
from ..training.stack import StackedModel
from ..zoo.registry import create_model

CHUNK = 2**21  # members x blocks x units that are evaluated at once
NEGLIGIBLE = 1e-11  # contribution of a block to the second moment below which it is left out


def make_model(name: str, optimizer: str = "Adam", lr: float = 0.01, **arguments: Any) -> StackedModel:
    """A variant of the zoo that trains with an optimiser of PyTorch.

    Args:
        name: see :func:`renorm.list_models`.
        optimizer: class of ``torch.optim``.
        lr: its learning rate.
        **arguments: constructor arguments that replace the variant's own.

    Raises:
        ValueError: for an unknown name or a bad argument.

    Example:
        >>> make_model("mlp_relu_free", "SGD", lr=0.1, replicas=3).num_members
        3
    """
    make: Callable[..., Any] = getattr(torch.optim, optimizer)
    return create_model(name, **arguments, optimizer=lambda parameters: make(parameters, lr=lr))


def train(model: StackedModel, data: CLTDataModule, stops: Sequence[int], batch: Tensor | None = None) -> Iterator[int]:
    """Train, and hand over at each of some numbers of steps; the same path as under Lightning's trainer.

    Args:
        model: the stack, with its optimiser; a learning rate that is scheduled is not followed.
        data: where the batches come from.
        stops: numbers of steps, increasing, from 0 on.
        batch: the one batch of a full-batch descent, shape ``(N, b)``, in place of the data's.

    Yields:
        The number of steps taken, at each stop.

    Example:
        >>> model = make_model("mlp_linear_free")
        >>> [step for step in train(model, CLTDataModule(), [0, 10])]
        [0, 10]
    """
    optimizer = model.configure_optimizers()
    take_step = FlatSteps(optimizer, [parameter for parameter in model.parameters() if parameter.requires_grad])
    rows = data.batch_size if batch is None else len(batch)
    losses = compiled_losses(model, stops[-1], rows)
    draw = DrawnAhead(data)
    step = 0
    for stop in stops:
        while step < stop:
            x = draw(*divmod(step, data.steps_per_epoch)).x if batch is None else batch
            y = clt_map(x)
            call = losses.one_call(x, y) if isinstance(losses, CompiledLosses) else None
            if call is not None:
                take_step(call(columns(x), y)[1])
            else:
                optimizer.zero_grad(set_to_none=True)
                losses(x, y).sum().backward()  # type: ignore[no-untyped-call]
                take_step()
            step += 1
        yield step


@torch.no_grad()
def relative_errors(model: StackedModel, chosen: Iterable[laws.Law]) -> dict[str, Tensor]:
    r"""Error of every member under laws, :math:`E (f - y)^2 / \mathrm{Var}\,y`, integrated.

    Args:
        model: the stack.
        chosen: laws with a variance.

    Returns:
        Law -> shape ``(M,)``, float64.

    Example:
        >>> found = relative_errors(make_model("mlp_linear_free"), [laws.parse("rademacher()")])
        >>> [(law, len(errors)) for law, errors in found.items()]
        [('rademacher()', 1)]
    """
    found = {}
    for law in chosen:
        x, weight = _without_corners(*block_rule(law, model.block_size))
        residual = residuals(model, x)
        found[str(law)] = residual.square() @ weight / law.cumulants(2)[1]
    return found


def _without_corners(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Leave out the blocks in the corners of a product of rules, most of them, whose squares weigh nothing."""
    kept = weight * (1 + x.square().sum(dim=1)) > NEGLIGIBLE
    return x[kept], weight[kept]


@torch.no_grad()
def residuals(model: StackedModel, x: Tensor) -> Tensor:
    """Difference between every member's output and the target on blocks ``(N, b)``, shape ``(M, N)``, float64."""
    parameter = next(model.parameters())
    rows = max(1, CHUNK // (model.num_members * 8))
    parts = [model(part.to(parameter)).double() - clt_map(part) for part in torch.split(x.double(), rows)]
    return torch.cat(parts, dim=1)


def errors_of(model: StackedModel, data: CLTDataModule) -> dict[str, Any]:
    """Errors of every member under all laws of the data, and the worst of those held out, as lists.

    A member that has diverged has an error of infinity.

    Example:
        >>> sorted(errors_of(make_model("mlp_linear_free"), CLTDataModule(held_out_laws=["gaussian()"])))
        ['held_out', 'laws', 'trained']
    """
    found = {law: errors.nan_to_num(nan=torch.inf) for law, errors in relative_errors(model, data.laws).items()}
    trained = torch.stack([found[str(law)] for law in data.train_laws]).amax(dim=0)
    held_out = torch.stack([found[str(law)] for law in data.held_out_laws]).amax(dim=0)
    return {
        "trained": trained.tolist(),
        "held_out": held_out.tolist(),
        "laws": {law: errors.tolist() for law, errors in found.items()},
    }


def fit(settings: Mapping[str, Any], look: Callable[[StackedModel, CLTDataModule, int], Any]) -> list[Any]:
    """Build and train a stack from settings, and measure it at every stop.

    Args:
        settings: ``model`` (a variant's name), ``arguments`` (of the model), ``data`` (of the data module), ``optimizer``,
            ``lr``, ``stops``.
        look: from the model, the data and the number of steps to what is to be kept.

    Example:
        >>> settings = {"model": "mlp_linear_free", "stops": [0, 5]}
        >>> fit(settings, lambda model, data, step: (step, model.num_members))
        [(0, 1), (5, 1)]
    """
    arguments = dict(settings.get("arguments", {}))
    model = make_model(settings["model"], settings.get("optimizer", "Adam"), settings.get("lr", 0.01), **arguments)
    data = CLTDataModule(block_size=model.block_size, **settings.get("data", {}))
    return [look(model, data, step) for step in train(model, data, settings["stops"])]
