"""Losses between the outputs of all members and the target, one number for each member; to add one, see :class:`Loss`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor

from ..checks import check_one_of, described
from ..cumulants import kstat
from ..errors import InputError, in_one_line
from ..maps import CentralLimit
from ..own_code import check_name

LossFunction: TypeAlias = Callable[[Tensor, Tensor], Tensor]
LOSSES: dict[str, LossFunction] = {}
ROWS = 8  # of the outputs on which a user's own loss is tried


class Loss:
    """A loss of your own: a class with a ``name`` and :meth:`__call__`, known from its definition on by that name.

    Training minimises it for each member, and the validation loss, by which checkpoints are chosen, is the same.

    Raises:
        InputError: for a name that is taken.

    Example:
        >>> class Absolute(Loss):
        ...     '''Mean absolute error.'''
        ...     name = "absolute_example"
        ...     def __call__(self, prediction, target):
        ...         return (prediction - target).abs().mean(dim=-1)
        >>> from renorm.zoo import MLP
        >>> MLP(loss="absolute_example").losses(torch.zeros(4, 2), torch.zeros(4)).shape
        torch.Size([1])
        >>> del LOSSES["absolute_example"]
    """

    name: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in vars(cls):
            return
        known = LOSSES.get(cls.name)
        check_name(cls, type(known) if isinstance(known, Loss) else known)
        LOSSES[cls.name] = cls()

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Loss of each member, shape ``(M,)``, of outputs ``(M, N)`` and targets ``(N,)``."""
        raise NotImplementedError(f"{type(self).__name__} must say what it measures")


def find_loss(name: str) -> LossFunction:
    """The loss of a name; one of your own is tried on a few numbers first.

    Raises:
        InputError: for an unknown name, or a loss that does not give one finite number a member, with a gradient.
    """
    check_one_of("loss", name, LOSSES)
    loss = LOSSES[name]
    if not isinstance(loss, Loss):
        return loss
    try:
        # a copy of a model may be made where gradients are off
        with torch.inference_mode(mode=False), torch.enable_grad():
            prediction = torch.linspace(-1, 1, 2 * ROWS).view(2, ROWS).requires_grad_()
            losses = loss(prediction, torch.linspace(1, 2, ROWS))
    except Exception as error:  # whatever the user's own code raises
        problem = in_one_line(error)
        raise InputError(
            f"loss={name!r} fails with {type(error).__name__}: {problem}", "from (M, N), (N,) to (M,)"
        ) from error
    if not isinstance(losses, Tensor) or losses.shape != (2,):
        raise InputError(f"loss={name!r} gives {described(losses)} for two members", "shape (2,), one number a member")
    if not losses.requires_grad:
        raise InputError(f"loss={name!r} has no gradient", "tensor operations on the outputs")
    return loss


def clt_map(x: Tensor) -> Tensor:
    r"""One step of the central-limit map, :class:`renorm.maps.CentralLimit`.

    .. math:: y = (x_1 + \dots + x_b) / \sqrt b

    Args:
        x: blocks, shape ``(N, b)``.

    Returns:
        Shape ``(N,)``.

    Example:
        >>> clt_map(torch.ones(1, 4))
        tensor([2.])
    """
    return CentralLimit()(x)


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    r"""Mean squared error of each member, :math:`\frac1N \sum_i (f_m(x_i) - y_i)^2`.

    Args:
        prediction: shape ``(M, N)``.
        target: shape ``(N,)``.

    Returns:
        Shape ``(M,)``.
    """
    return (prediction - target).square().mean(dim=-1)


def pair_sum(ordered: Tensor) -> Tensor:
    r"""Sum of :math:`|x_i - x_j|` over unordered pairs of an ordered sample, in O(N).

    .. math:: \sum_{i<j} |x_i - x_j| = \sum_i (2i - N - 1)\, x_{(i)}

    Args:
        ordered: shape ``(..., N)``, increasing along the last axis.

    Returns:
        Shape ``(...)``.

    Example:
        >>> pair_sum(torch.tensor([0.0, 1.0, 3.0]))
        tensor(6.)
    """
    n = ordered.shape[-1]
    weights = torch.arange(1 - n, n, 2, dtype=ordered.dtype, device=ordered.device)
    return ordered @ weights


def energy(prediction: Tensor, target: Tensor) -> Tensor:
    r"""Squared energy distance between the distributions of output and target; no sample is paired with its own target.

    .. math:: 2 E|X - Y| - E|X - X'| - E|Y - Y'|

    Unbiased: an output meets only the targets of other blocks, so that the estimate can be slightly negative.

    Args:
        prediction: shape ``(M, N)``.
        target: shape ``(N,)``, or ``(M, N)`` where every member has its own.

    Returns:
        Shape ``(M,)``.

    Source:
        Szekely and Rizzo, Journal of Statistical Planning and Inference 143 (2013) 1249, eq. 5.
    """
    target = target.to(prediction.dtype).expand_as(prediction)
    # the pairs of the pooled sample are those within x, those within y, and those across
    pooled = torch.cat([prediction, target], dim=-1)
    within_x, within_y, all_pairs = (pair_sum(sample.sort(dim=-1).values) for sample in (prediction, target, pooled))
    paired = (prediction - target).abs().sum(dim=-1)
    across = all_pairs - within_x - within_y - paired
    n = prediction.shape[-1]
    return 2 * (across - within_x - within_y) / (n * (n - 1))


def cumulant(prediction: Tensor, target: Tensor) -> Tensor:
    r"""Mismatch of the first four cumulants of output and target, in units of the target's standard deviation.

    .. math:: \sum_{n=1}^{4} \left( \frac{k_n(f) - k_n(y)}{\sigma_y^n} \right)^2

    Args:
        prediction: shape ``(M, N)``, N >= 4.
        target: shape ``(N,)``, or ``(M, N)`` where every member has its own.

    Returns:
        Shape ``(M,)``.
    """
    k = kstat(prediction, order=4, dim=-1)
    wanted = kstat(target, order=4, dim=-1).view(4, -1)
    scale = wanted[1].sqrt() ** torch.arange(1, 5, device=wanted.device).unsqueeze(-1)
    mismatch: Tensor = ((k - wanted) / scale).square().sum(dim=0)
    return mismatch.to(prediction.dtype)


LOSSES.update(mse=mse, energy=energy, cumulant=cumulant)
