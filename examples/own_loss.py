"""A loss and a metric of your own: one class each.

    python examples/own_loss.py fit --model.loss huber --generalization.metrics '["largest_error"]' --name huber

Training minimises the loss, checkpoints are chosen by it, and the metric stands beside the others for every law.
"""

from torch import Tensor
from torch.nn import functional

from renorm.cli import main
from renorm.training import Loss, MemberMetric


class Huber(Loss):
    """Squared for errors below 1, linear above."""

    name = "huber"

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """From outputs (members, N) and targets (N,) to one number a member."""
        return functional.huber_loss(prediction, target.expand_as(prediction), reduction="none").mean(dim=-1)


class LargestError(MemberMetric):
    """The largest error of each member."""

    name = "largest_error"

    def measure(self, prediction: Tensor, target: Tensor) -> Tensor:
        """From all outputs (members, N) and targets (N,) to one number a member."""
        return (prediction - target).abs().amax(dim=-1)


if __name__ == "__main__":
    raise SystemExit(main())
