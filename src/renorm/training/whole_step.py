"""A step of training in as few calls as it takes: losses and gradients in one, the optimiser's update in a few more."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from ..datamodules.blocks import Blocks
from ..zoo.gnn import GNN
from ..zoo.mlp import MLP
from .compilation import CompiledLosses, columns
from .flat_adam import FlatAdam
from .rows import parts_of, row_of
from .stack import StackedModel


class WholeStep:
    """Steps for a trainer that takes lean steps, in fewer calls; the bits are those of its other steps.

    A compiled stack takes them without autograd.

    Args:
        trainer: the trainer.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._model: Any = trainer.lightning_module
        self._losses = self._model._training_losses
        self._optimizer = trainer.optimizers[0]
        self._trained = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        self._gradient = torch.empty(0)
        self._leaves_out = False  # whether some trained parameters take no part in the losses
        self._flat: FlatAdam | None = None
        self._is_ready = False

    @staticmethod
    def obstacle(trainer: Trainer) -> str | None:
        """What keeps a trainer that takes lean steps from taking whole ones; None if nothing does."""
        model: Any = trainer.lightning_module
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = trainer.optimizers[0]
        if not isinstance(model._training_losses, CompiledLosses):
            # others may draw random numbers or change buffers, which the step that stands in for this one would do again
            if type(model) not in (MLP, GNN):
                return "an architecture that is not compiled"
        elif model.symmetry_penalty is not None or type(model)._member_losses is not StackedModel._member_losses:
            return "a penalty is added to the compiled losses"
        if len(trainer.optimizers) > 1 or any(p.device.type != "cpu" for p in trained):
            return "several optimisers, or a device other than a CPU"
        if not all(p.is_contiguous() for p in trained):
            return "parameters that are not contiguous"
        if any(p._backward_hooks or p._post_accumulate_grad_hooks for p in trained):
            return "members that have diverged, or other hooks of gradients"
        if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
            return "hooks of the optimiser"
        return None

    def pause(self) -> None:
        """Note that another step comes between, after which everything is looked at again."""
        self._is_ready = False

    def release(self) -> None:
        """Give parameters and moments memory of their own again."""
        if self._flat is not None and self._flat.is_current:
            self._flat.release()
        self._flat = None

    def __call__(self, batch: Any, logs: bool = False) -> Tensor | None:
        """Take a step.

        Args:
            batch: what the loader gave.
            logs: whether to log the losses.

        Returns:
            The sum of the losses; None where another step must be taken, and nothing was changed.
        """
        blocks = self._model._with_targets(batch)
        # a checkpoint or a validation between two steps may have found that a member has diverged
        if self._model.divergence.steps or not len(blocks.x) or not (self._is_ready or self._get_ready()):
            return None
        computed = self._losses_and_gradient(blocks)
        if computed is None:
            return None
        losses, gradient = computed
        total = losses.sum()
        if not math.isfinite(total.item()):
            return None
        if logs:
            self._model.log_training(losses)
        self._model.divergence.keep(self._trainer.global_step, None if self._flat is None else self._flat.weights)
        self._gradient.copy_(gradient)
        if self._trainer.gradient_clip_val:
            self._model.configure_gradient_clipping(
                self._optimizer, self._trainer.gradient_clip_val, self._trainer.gradient_clip_algorithm
            )
        if self._flat is None:
            self._optimizer.step()
        else:
            self._flat.step(self._gradient)
        return total

    def _losses_and_gradient(self, blocks: Blocks) -> tuple[Tensor, Tensor] | None:
        """The members' losses ``(M,)`` and the gradient of their sum ``(P,)``; None where another step computes them."""
        if isinstance(self._losses, CompiledLosses):
            call = self._losses.one_call(blocks.x, blocks.y)
            return None if call is None else call(columns(blocks.x), blocks.y)
        losses: Tensor = self._model._member_losses(blocks)
        gradients = torch.autograd.grad(losses.sum(), self._trained, allow_unused=True)
        used = [gradient for gradient in gradients if gradient is not None]
        # an optimiser leaves the others alone, which is not the same as a gradient of zeros
        self._leaves_out = len(used) < len(gradients)
        return None if self._leaves_out else (losses.detach(), row_of(used))

    def _get_ready(self) -> bool:
        trained = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        if [id(p) for p in trained] != [id(p) for p in self._trained] or self.obstacle(self._trainer) is not None:
            return False
        if self._leaves_out or self._trainer.optimizers[0] is not self._optimizer:
            return False
        if isinstance(self._losses, CompiledLosses):
            self._losses.notice_changes()
        if self._flat is None or not self._flat.is_current:
            fits = FlatAdam.is_for(self._optimizer, self._trained)
            self._flat = FlatAdam(self._optimizer, self._trained) if fits else None
        # new memory, since a callback may have kept the gradients of the step before
        self._gradient = torch.zeros_like(row_of(self._trained))
        for parameter, part in zip(self._trained, parts_of(self._gradient, self._trained), strict=True):
            parameter.grad = part
        self._is_ready = True
        return True
