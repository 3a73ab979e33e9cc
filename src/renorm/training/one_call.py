"""Losses of all members and the gradient of their sum, in one call of compiled code.

A step that calls a forward pass, PyTorch's engine and a backward pass costs about half a millisecond before anything is computed.
Here both passes are one graph, and compiled code is called with the tensors themselves: the same loops over the same numbers,
so that losses and gradients have the same bits.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torchmetrics import Metric

from .rows import parts_of

if TYPE_CHECKING:
    from .stack import StackedModel

PASSING = ("_current_fx_name",)  # what Lightning notes on a model at every hook

log = logging.getLogger("renorm")


class NotOneCallError(Exception):
    """Why losses and gradients cannot be computed in one call."""


class OneCall:
    """From blocks ``(N, b)`` and targets ``(N,)`` to the members' losses ``(M,)`` and the gradient of their sum, ``(P,)``.

    The gradient is that of all trained parameters, one after the other. Buffers and parameters are read where they are: their
    values may change, but not which they are.

    Args:
        model: the stack.
        x: blocks, of the shape that all later ones have.
        target: targets.
        options: for Inductor.

    Raises:
        NotOneCallError: where the model does anything but compute on its parameters, its buffers and the blocks.
    """

    def __init__(self, model: StackedModel, x: Tensor, target: Tensor, options: dict[str, Any]) -> None:
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        graph, inputs = _captured(model, x, target)
        places = {id(tensor): place for place, tensor in enumerate(inputs)}
        known = {id(tensor) for tensor in (x, target, *model.parameters(), *model.buffers())}
        if not places.keys() <= known:
            raise NotOneCallError("it reads tensors that are not among its parameters and buffers")
        if any(id(tensor) not in places for tensor in (x, target, *self.trained)):
            raise NotOneCallError("it leaves blocks, targets or trained parameters out")
        self._inputs: list[Any] = [tensor.detach() for tensor in inputs]
        self._x, self._target = places[id(x)], places[id(target)]
        whole = _with_gradient(graph, [places[id(parameter)] for parameter in self.trained])
        with torch.no_grad():
            traced = make_fx(whole, tracing_mode="fake")(*self._inputs)
            _check_is_arithmetic(traced)
            self._function = _compiled(traced, self._inputs, options)
        for place, tensor in enumerate(inputs):
            if isinstance(tensor, nn.Parameter):
                self._inputs[place] = tensor  # whose memory may become another
        self._inputs[self._x] = self._inputs[self._target] = None

    def __call__(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Compute both, without a graph for autograd."""
        inputs = list(self._inputs)
        inputs[self._x], inputs[self._target] = x, target
        with torch.no_grad():
            losses, gradient = self._function(inputs)
        return losses, gradient

    def losses(self, x: Tensor, target: Tensor) -> Tensor:
        """The losses, with the gradient for autograd."""
        losses: Tensor = _Losses.apply(self, x, target, *self.trained)  # type: ignore[no-untyped-call]
        return losses


class _Losses(torch.autograd.Function):
    """Losses whose gradient is computed along with them."""

    @staticmethod
    def forward(ctx: Any, call: OneCall, x: Tensor, target: Tensor, *trained: Tensor) -> Tensor:
        losses, gradient = call(x, target)
        ctx.parts = parts_of(gradient, call.trained)
        return losses

    @staticmethod
    def backward(ctx: Any, *factors: Tensor) -> Any:
        (factor,) = factors
        return None, None, None, *(part * factor.view(-1, *[1] * (part.ndim - 1)) for part in ctx.parts)


def _captured(model: StackedModel, x: Tensor, target: Tensor) -> tuple[GraphModule, list[Tensor]]:
    """The graph of the losses, and the tensors that it is called with; nothing is computed."""
    graphs: list[tuple[GraphModule, list[Tensor]]] = []

    class CapturedError(Exception):
        pass

    def keep(graph: GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        graphs.append((graph, list(inputs)))

        def stop(*_: Any) -> Any:
            raise CapturedError

        return stop

    with contextlib.suppress(CapturedError):
        torch.compile(model.losses, backend=keep, dynamic=False, fullgraph=True)(x, target)
    if not graphs:
        raise NotOneCallError("it computes nothing")
    return graphs[0]


def _with_gradient(graph: GraphModule, trained: list[int]) -> Callable[..., tuple[Tensor, Tensor]]:
    def whole(*inputs: Tensor) -> tuple[Tensor, Tensor]:
        own = list(inputs)
        for place in trained:
            own[place] = own[place].detach().requires_grad_()
        with torch.enable_grad():
            (losses,) = graph(*own)
            gradients = torch.autograd.grad(losses.sum(), [own[place] for place in trained])
        return losses.detach(), torch.cat([gradient.reshape(-1) for gradient in gradients])

    return whole


def _compiled(
    graph: GraphModule, inputs: list[Any], options: dict[str, Any]
) -> Callable[[list[Any]], Sequence[Tensor]]:
    """Inductor's code for a graph, which takes a list and empties it.

    It is called past the wrappers for outputs that are views, or take part in autograd, as these do not: they take as long
    as a small stack's losses.
    """
    from torch._inductor.compile_fx import compile_fx, compile_fx_inner  # a second to import, which few runs need

    found: list[Any] = []

    def inner(*arguments: Any, **settings: Any) -> Any:
        found.append(compile_fx_inner(*arguments, **settings))
        return found[-1]

    function = compile_fx(graph, inputs, inner_compile=inner, config_patches=options)
    code = getattr(found[0], "current_callable", None) if len(found) == 1 else None
    if code is None or not _same(code(list(inputs)), function(*inputs)):  # type: ignore[operator]
        return lambda values: function(*values)  # type: ignore[operator]
    return code  # type: ignore[no-any-return]


def _same(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    return len(some) == len(others) and all(
        one.shape == other.shape and torch.equal(one.nan_to_num(), other.nan_to_num())
        for one, other in zip(some, others, strict=True)
    )


def _check_is_arithmetic(traced: GraphModule) -> None:
    """Refuse random numbers and changes in place, which may not be taken out of their order."""
    for node in traced.graph.nodes:
        operator = node.target
        if isinstance(operator, torch._ops.OpOverload) and (
            torch.Tag.nondeterministic_seeded in operator.tags or operator._schema.is_mutable
        ):
            raise NotOneCallError(f"it calls {operator}")


def settings_of(model: nn.Module) -> list[Any]:
    """What the code of a model was compiled for: numbers and words that it reads, and which tensors it has.

    Example:
        >>> layer = nn.LeakyReLU(0.1)
        >>> before = settings_of(layer)
        >>> layer.negative_slope = 0.2
        >>> settings_of(layer) == before
        False
    """
    found: list[Any] = []
    for module in model.modules():
        if isinstance(module, Metric):  # which counts its updates, and is not trained
            continue
        plain = [
            (name, value)
            for name, value in vars(module).items()
            if isinstance(value, bool | int | float | str) and name not in PASSING
        ]
        tensors = [(id(p), p is not None and p.requires_grad) for p in module._parameters.values()]
        hooks = len(module._forward_hooks), len(module._forward_pre_hooks), len(module._backward_hooks)
        found.append((id(module), plain, tensors, [id(buffer) for buffer in module._buffers.values()], hooks))
    return found
