"""What metrics of stacked samples are made of: the base classes."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from ..checks import described
from ..cumulants.mergeable import MergeableMetric
from ..errors import InputError
from ..own_code import check_name

METRICS = (
    "mse",
    "relative_mse",
    "wasserstein1",
    "energy_distance",
    "k1_error",
    "k2_error",
    "k3_error",
    "k4_error",
)


class PairedSamples(MergeableMetric):
    """Base of metrics that need whole samples: keeps every output and target, in any order that keeps their pairs."""

    full_state_update = False
    higher_is_better = False
    is_differentiable = False

    def __init__(self) -> None:
        super().__init__()
        self.add_state("predictions", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")
        self.predictions: list[Tensor]
        self.targets: list[Tensor]

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add outputs of shape ``(M, N)`` and targets of shape ``(N,)``."""
        self.predictions.append(prediction.detach().T)
        self.targets.append(target.detach())

    def samples(self) -> tuple[Tensor, Tensor]:
        """All outputs, ``(M, N)``, and targets, ``(N,)``."""
        return dim_zero_cat(self.predictions).T, dim_zero_cat(self.targets)


OWN_METRICS: dict[str, type[MemberMetric]] = {}


class MemberMetric(PairedSamples):
    """A metric of your own: a class with a ``name`` and :meth:`measure`, known from its definition on by that name.

    ``Generalization(metrics=[name])`` then has it for every law, beside the others.

    Raises:
        InputError: for a name that is taken.

    Example:
        >>> class Bias(MemberMetric):
        ...     '''Mean of output minus target.'''
        ...     name = "bias_example"
        ...     def measure(self, prediction, target):
        ...         return (prediction - target).mean(dim=-1)
        >>> metric = Bias()
        >>> metric.update(torch.ones(2, 5), torch.zeros(5))
        >>> metric.compute()
        {'bias_example': tensor([1., 1.])}
        >>> del OWN_METRICS["bias_example"]
    """

    name: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in vars(cls):
            return
        if cls.name in METRICS:
            raise InputError(f"name={cls.name!r} of {cls.__qualname__} is taken by another metric", "another name")
        check_name(cls, OWN_METRICS.get(cls.name))
        OWN_METRICS[cls.name] = cls

    @abstractmethod
    def measure(self, prediction: Tensor, target: Tensor) -> Tensor:
        """One number a member, shape ``(M,)``, from all outputs ``(M, N)`` and targets ``(N,)``."""

    def compute(self) -> dict[str, Tensor]:
        """The metric under its name, shape ``(M,)``.

        Raises:
            InputError: where it does not give one number a member.
        """
        prediction, target = self.samples()
        found = self.measure(prediction, target)
        if not isinstance(found, Tensor) or found.shape != prediction.shape[:1]:
            what = described(found)
            raise InputError(
                f"metric {self.name!r} gives {what}", f"shape {tuple(prediction.shape[:1])}, one number a member"
            )
        return {self.name: found}
