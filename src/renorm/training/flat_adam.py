"""Adam's update of all parameters as one row of numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from .rows import parts_of, row_of

# settings with which Adam's update is PyTorch's plain one, number by number
PLAIN = ("amsgrad", "capturable", "differentiable", "foreach", "fused", "maximize")
MOMENTS = ("exp_avg", "exp_avg_sq")


class FlatAdam:
    """Adam or AdamW on all parameters at once, which takes a few calls for all of them and not for each.

    Parameters and moments become views of three rows of numbers, so that whoever looks at them, or saves them, sees them as
    they are. The update is PyTorch's own, number by number, and has the same bits.

    Args:
        optimizer: the optimiser, after its first step.
        trained: all parameters that it trains.

    Attributes:
        weights: all parameters, one after the other.
    """

    def __init__(self, optimizer: Optimizer, trained: list[nn.Parameter]) -> None:
        self._optimizer, self._trained = optimizer, trained
        states = [optimizer.state[parameter] for parameter in trained]
        self._steps = row_of([state["step"] for state in states])
        self.weights = row_of(trained)
        self._moments = [row_of([state[name] for state in states]) for name in MOMENTS]
        for parameter, part in zip(trained, parts_of(self.weights, trained), strict=True):
            parameter.data = part
        for name, moment in zip(MOMENTS, self._moments, strict=True):
            for state, part in zip(states, parts_of(moment, trained), strict=True):
                state[name] = part
        steps = self._steps.unbind()
        for state, step in zip(states, steps, strict=True):
            state["step"] = step
        self._step = steps[0]
        self._places = self._where()
        self._root = torch.empty_like(self.weights)

    @staticmethod
    def is_for(optimizer: Optimizer, trained: list[nn.Parameter]) -> bool:
        """Whether an optimiser is Adam in its plain form, with the same settings for all parameters, and has taken a step."""
        group: dict[str, Any] = optimizer.param_groups[0]
        return (
            type(optimizer) in (Adam, AdamW)
            and len(optimizer.param_groups) == 1
            and not any(group.get(name) for name in PLAIN)
            and [id(parameter) for parameter in group["params"]] == [id(parameter) for parameter in trained]
            and all(isinstance(value, float | int) for value in (group["lr"], *group["betas"]))
            and all(optimizer.state.get(parameter, {}).keys() == {"step", *MOMENTS} for parameter in trained)
            and len({float(optimizer.state[parameter]["step"]) for parameter in trained}) == 1
            and {parameter.device.type for parameter in trained} == {"cpu"}
            and len({parameter.dtype for parameter in trained}) == 1
        )

    @property
    def is_current(self) -> bool:
        """Whether parameters and moments are still the views that they were made, of an optimiser with the settings that fit.

        A resume brings new ones, and so may a callback.
        """
        return self.is_for(self._optimizer, self._trained) and self._where() == self._places

    def _where(self) -> list[int]:
        states = [self._optimizer.state[parameter] for parameter in self._trained]
        moments = [state[name].data_ptr() for state in states for name in (*MOMENTS, "step")]
        return [p.data_ptr() for p in self._trained] + moments

    def step(self, gradient: Tensor) -> None:
        """Update parameters and moments: PyTorch's update in PyTorch's order, without the checks around it.

        Args:
            gradient: of all parameters, one after the other.
        """
        group, weights, (mean, square) = self._optimizer.param_groups[0], self.weights, self._moments
        (beta1, beta2), rate, decay = group["betas"], group["lr"], group["weight_decay"]
        self._steps += 1
        count = self._step.item()  # others may have taken steps, too
        with torch.no_grad():
            if decay and group.get("decoupled_weight_decay", False):
                weights.mul_(1 - rate * decay)
            elif decay:
                gradient = gradient.add(weights, alpha=decay)
            mean.lerp_(gradient, 1 - beta1)
            square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            root = torch.sqrt(square, out=self._root).div_((1 - beta2**count) ** 0.5).add_(group["eps"])
            weights.addcdiv_(mean, root, value=-(rate / (1 - beta1**count)))

    def release(self) -> None:
        """Give every parameter and moment memory of its own again."""
        for parameter in self._trained:
            parameter.data = parameter.data.clone()
            state = self._optimizer.state[parameter]
            state.update({name: state[name].clone() for name in ("step", *MOMENTS)})


class FlatSteps:
    """Steps of an optimiser, by :class:`FlatAdam` where that has the same bits.

    Args:
        optimizer: of one group of parameters.
        trained: all parameters that it trains; each gets a gradient.

    Example:
        >>> weight = nn.Parameter(torch.zeros(2))
        >>> step = FlatSteps(Adam([weight], lr=0.1), [weight])
        >>> step(torch.ones(2))
        >>> step(torch.ones(2))
        >>> [round(value, 6) for value in weight.tolist()]
        [-0.2, -0.2]
    """

    def __init__(self, optimizer: Optimizer, trained: list[nn.Parameter]) -> None:
        self._optimizer, self._trained = optimizer, trained
        self._flat: FlatAdam | None = None

    def __call__(self, gradient: Tensor | None = None) -> None:
        """Take a step.

        Args:
            gradient: of all parameters, one after the other; by default those that the parameters hold.
        """
        if self._flat is not None:
            held = [parameter.grad for parameter in self._trained if parameter.grad is not None]
            self._flat.step(row_of(held) if gradient is None else gradient)
            return
        if gradient is not None:
            for parameter, part in zip(self._trained, parts_of(gradient, self._trained), strict=True):
                parameter.grad = part
        self._optimizer.step()
        if FlatAdam.is_for(self._optimizer, self._trained):
            self._flat = FlatAdam(self._optimizer, self._trained)
