"""The LightningModule that every architecture builds on: many members trained at once, each as if alone."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor
from torch.optim import Optimizer

from .. import __version__
from ..checks import check_at_least, check_one_of, primitive
from ..datamodules.blocks import Blocks, as_blocks, has_blocks
from ..errors import InputError
from ..limits import check_model, check_training
from ..own_code import origin
from ..versions import say_if_newer
from ..zoo import activations
from ..zoo.layers import MemberRandom, StackedLinear
from ..zoo.symmetry.orbits import Orbits
from ..zoo.symmetry.penalty import SymmetryPenalty, check_strength
from ..zoo.symmetry.symmetry import layer_orbits
from .compilation import Losses, compiled_losses, keeps_hidden_values
from .contract import check_architecture, left_out
from .description import describe
from .divergence import Divergence
from .inputs import check_input
from .losses import find_loss
from .members import Members
from .metrics import MemberMean, quantiles
from .optimizers import (
    LRSchedulerCallable,
    OptimizerCallable,
    RestoredKinds,
    check_optimizer,
    clip_gradients,
    schedule_settings,
)
from .recipe import OWN_TARGETS, accepted_arguments, check_same_recipe, known_map, of_today, recipe_of

if TYPE_CHECKING:
    from typing_extensions import Self  # of the standard library from Python 3.11 on

CELLS_IN_CACHE = 2**19  # 2 MiB of float32
OWN_NAMES = ("StackedModel", "MLP", "GNN", "ModuleStack")  # of renorm's models

log = logging.getLogger("renorm")


class StackedModel(LightningModule):
    r"""``members`` networks that learn the CLT map side by side; the base of every architecture.

    Members are grid points times replicas, see :class:`~renorm.training.members.Members`. All see the same batches; the loss is
    the sum over members, so that under an element-wise optimiser each trains as if alone.

    An architecture of your own builds its layers in ``__init__``, most easily by :meth:`linear` and :meth:`make_activation`,
    ends it with :meth:`reset_parameters`, and computes :meth:`outputs`. All else is optional: :meth:`walk` in place of
    ``outputs`` shows the hidden layers, ``affine_layers`` and ``symmetric_subspaces`` open them to theory and to
    symmetry breaking. See ``docs/own_networks.md``.

    Args:
        block_size: number of variables ``b`` in a block, 2 or more.
        activation: name of the activation, see :func:`renorm.zoo.list_activations`.
        activation_args: parameters of the activation, by name, such as ``{"negative_slope": 0.5}``; a list is a grid.
        weights: ``trained``, or ``fixed`` at their initial values.
        symmetry_penalty: how strongly training draws each weight to the subspace of ``penalised_symmetry``: the loss of a
            member has this number times the squared distance added, see
            :class:`~renorm.zoo.symmetry.penalty.SymmetryPenalty`; a list is a grid. Biases are left free.
        penalised_symmetry: one of the names of :meth:`symmetric_subspaces`.
        replicas: members at each grid point, differing by their initial weights.
        members: keep only these members of the stack, by number; all by default.
        seed: seed of the initial weights, 0 or more.
        loss: ``mse`` against the target, ``energy`` or ``cumulant`` against its distribution only, or a
            :class:`~renorm.training.losses.Loss` of your own, by name.
        compile: whether training runs compiled code: ``true``, ``false``, or ``auto``, which compiles where the run is long
            enough and a compiler is there. The numbers are the same to rounding.
        optimizer: from parameters to an optimiser, e.g. ``torch.optim.Adam`` with ``lr``.
        lr_scheduler: from the optimiser to a learning-rate scheduler.
        lr_scheduler_interval: whether the scheduler steps each ``step`` or each ``epoch``.
        **activation_parameters: parameters of the activation as keywords, ``negative_slope=0.5``: the same as in
            ``activation_args``.

    Raises:
        TypeError: for a keyword that is not a parameter of any activation.
        ValueError: for a value out of range, in one line that names it and what is allowed; for a subclass outside renorm
            that has the name of one of its own, by which commands find a model.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__name__ in OWN_NAMES and cls.__module__.partition(".")[0] != "renorm":
            raise InputError(
                f"name={cls.__name__!r} of {cls.__module__}.{cls.__qualname__} is taken by renorm.zoo.{cls.__name__}",
                "another name",
            )

    def __init__(
        self,
        block_size: int = 2,
        activation: str = "leaky_relu",
        activation_args: dict[str, Any] | None = None,
        weights: Literal["trained", "fixed"] = "trained",
        symmetry_penalty: float | list[float] = 0.0,
        penalised_symmetry: str | None = None,
        replicas: int = 1,
        members: list[int] | None = None,
        seed: int = 0,
        loss: str = "mse",
        compile: str | bool = "auto",
        optimizer: OptimizerCallable = lambda params: torch.optim.Adam(params, lr=0.01),
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_scheduler_interval: Literal["step", "epoch"] = "epoch",
        **activation_parameters: Any,
    ) -> None:
        activation_class = activations.find(activation)  # before its parameters, which only it knows
        for name in activation_parameters.keys() - set(activations.keywords()):
            raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument {name!r}")
        super().__init__()
        # hyperparameters are primitives only: checkpoints must load with weights_only=True
        self.save_hyperparameters(ignore=["optimizer", "lr_scheduler", "lr_scheduler_interval"])
        for key, value in self.hparams.items():
            self.hparams[key] = primitive(key, value)
        # use the arguments from here on: a subclass may pass on other values than its hyperparameters
        block_size, replicas, seed = (
            primitive(name, value)
            for name, value in (("block_size", block_size), ("replicas", replicas), ("seed", seed))
        )
        check_at_least("block_size", block_size, 2)
        check_at_least("replicas", replicas, 1)
        check_at_least("seed", seed, 0)
        self.compile_mode = str(compile).lower() if isinstance(compile, bool) else compile
        check_one_of("compile", self.compile_mode, ("auto", "true", "false"))
        check_one_of("weights", weights, ("trained", "fixed"))
        check_one_of("lr_scheduler_interval", lr_scheduler_interval, ("step", "epoch"))
        self.block_size = block_size
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.lr_scheduler_interval = lr_scheduler_interval
        self.loss = find_loss(loss)
        self._training_losses: Losses = self.losses
        self._seed = seed
        self._weights = weights
        self._activation_class = activation_class
        self._activation_parameters = activations.merge_parameters(activation_args, activation_parameters)
        activations.check_parameters(self._activation_class, self._activation_parameters)
        self._penalty_strength = primitive("symmetry_penalty", symmetry_penalty)
        check_strength(self._penalty_strength)
        self._penalised_symmetry = penalised_symmetry
        self.symmetry_penalty: SymmetryPenalty | None = None
        self._members = self._find_members(replicas, primitive("members", members))
        self.val_loss = MemberMean(self.num_members)
        self.divergence = Divergence(self.num_members)
        # losses of the members in the last validation, shape (M,), and the step at which it was
        self.validated: tuple[Tensor, int] | None = None
        self._restored = RestoredKinds()  # of a checkpoint that is being restored
        self._whole_batch: int | None = None  # blocks of all processes together, where each takes a part
        self.learned_map: str | None = None  # text of the map that it was trained on, once it was
        self.recipe: dict[str, Any] | None = None  # set by the command line, which also knows the optimiser

    def __setattr__(self, name: str, value: Any) -> None:
        """Set the name of the running hook directly: Lightning does so some forty times a step, and ``nn.Module`` is slow."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    # ---- who the members are -------------------------------------------------------------------------------------

    def _find_members(self, replicas: int, selected: Any) -> Members:
        parameters = self._activation_parameters
        axes = {
            name: parameters[name] for name in self._activation_class.grid if isinstance(parameters.get(name), list)
        }
        if isinstance(self._penalty_strength, list):
            axes["symmetry_penalty"] = self._penalty_strength
        # before a row is made for each member
        check_model(self.hparams, math.prod(len(values) for values in axes.values()) * replicas)
        return Members.of_grid(axes, replicas, selected)

    @property
    def stack_size(self) -> int:
        """Number of networks before some of them were selected by ``members``."""
        return self._members.stack_size

    @property
    def grid_axes(self) -> list[str]:
        """Names of the parameters that form the grid."""
        return self._members.grid_axes

    @property
    def member_table(self) -> list[dict[str, Any]]:
        """A row for each member: its number ``member``, its value on each axis of the grid, and its ``replica``."""
        return self._members.table

    @property
    def activation_parameters(self) -> dict[str, Any]:
        """Parameters of the activation, by name, with its defaults; a list where they are a grid."""
        return activations.parameters(self._activation_class) | self._activation_parameters

    @property
    def num_members(self) -> int:
        """Number of networks in the stack, ``M``."""
        return len(self.member_table)

    def grid_groups(self) -> dict[str, list[int]]:
        """Positions in the stack of the members at each grid point, by its label; one group ``all`` without a grid.

        Example:
            >>> from renorm.zoo import MLP
            >>> MLP(activation="leaky_relu", negative_slope=[0.5, 0.9], replicas=2).grid_groups()
            {'negative_slope=0.5': [0, 1], 'negative_slope=0.9': [2, 3]}
        """
        return self._members.groups()

    def linear(self, inputs: int, outputs: int, bias: bool = True) -> StackedLinear:
        """An affine layer of every member with free weights, ``(inputs, N)`` or ``(M, inputs, N) -> (M, outputs, N)``."""
        ((weight, offset),) = layer_orbits("free", [inputs, outputs])
        return StackedLinear(self.num_members, weight, offset if bias else None)

    def make_activation(self, units: Tensor) -> activations.Activation:
        """The activation of one layer; ``units`` gives the orbit of each unit, shape ``(units,)``."""
        values = {name: self._members.values(name, shared) for name, shared in self._activation_parameters.items()}
        return self._activation_class(self.num_members, units, **values)

    def reset_parameters(self) -> None:
        """Draw the initial weights of every member from its own generator, layer by layer."""
        random = MemberRandom(self._seed, [member["replica"] for member in self.member_table])
        for layer in self.initialised_layers():
            if isinstance(layer, activations.Activation):
                layer.reset_parameters(random.uniform)
                activations.check_contract(layer)
            else:
                layer.reset_parameters(random)
                layer.requires_grad_(self._weights == "trained")
        self._note_trained()
        if not self._trained:
            raise InputError("weights='fixed' leaves nothing to train", "activations with trained parameters")
        self.symmetry_penalty = self._make_penalty()

    def _make_penalty(self) -> SymmetryPenalty | None:
        strengths = [float(member.get("symmetry_penalty", self._penalty_strength)) for member in self.member_table]
        if not any(strengths):
            return None
        subspaces = self.symmetric_subspaces()
        if self._penalised_symmetry not in subspaces:
            known = ", ".join(subspaces) or "none for this network"
            raise InputError(f"penalised_symmetry={self._penalised_symmetry!r} does not fit", known)
        if self._weights == "fixed":
            raise InputError("weights='fixed' leaves no weights to penalise", "symmetry_penalty=0")
        return SymmetryPenalty(strengths, subspaces[self._penalised_symmetry])

    def _note_trained(self) -> None:
        self._trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}

    def unfreeze(self) -> Self:
        """Allow training again after ``freeze()``; weights and splines that are fixed stay fixed."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name in self._trained)
        return self.train()

    def initialised_layers(self) -> Iterator[Any]:
        """The modules that draw initial values, in the order in which they draw; by default in that of their definition."""
        for kind in (StackedLinear, activations.Activation):
            yield from (module for module in self.modules() if isinstance(module, kind))

    def affine_layers(self) -> list[StackedLinear]:
        r"""The affine layers of a network :math:`W_L \phi(\dots \phi(W_0 x + b_0) \dots) + b_L`, from the input to the output.

        Raises:
            ValueError: for an architecture that does not define them: only a chain of layers has them.
        """
        raise InputError(
            f"model={type(self).__name__} has no affine_layers",
            "architectures that are a chain of affine layers and "
            "activations and define affine_layers, such as renorm.zoo.MLP",
        )

    def dense(self) -> list[tuple[Tensor, Tensor | None]]:
        """Weight ``(M, out, in)`` and bias ``(M, out)`` of every affine layer, ties written out; differentiable."""
        return [(layer.weight(), None if layer.bias is None else layer.bias()) for layer in self.affine_layers()]

    def tied_weights(self) -> list[Tensor]:
        """The weight of every layer as symmetries act on it, ``(M, out, in)``; see :meth:`symmetric_subspaces`."""
        return [layer.weight() for layer in self.affine_layers()]

    def symmetric_subspaces(self) -> dict[str, list[Orbits]]:
        """For each symmetry that the architecture can have, the orbits of each of :meth:`tied_weights`."""
        return {}

    def arguments(self) -> dict[str, Any]:
        """Constructor arguments with which the same members are built again, without what only training needs."""
        return accepted_arguments(type(self), self.hparams)

    def double_copy(self) -> Self:
        """The same members in float64, for exact work; the model itself keeps its precision."""
        twin = type(self)(**self.arguments()).to(next(self.parameters()).device).double()
        twin.load_state_dict(self.state_dict())
        return twin

    # ---- what the members compute --------------------------------------------------------------------------------

    def walk(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Name and value of every layer in turn: ``pre0, act0, pre1, ..., out``; ``out`` has shape ``(M, N)``.

        Hidden layers have shape ``(M, units, N)``, or ``(M, features, nodes, N)``. By default there is only ``out``.
        """
        yield "out", self.outputs(x)

    def trace(self, x: Tensor) -> dict[str, Tensor]:
        """Values of all layers on blocks, see :meth:`forward`: hidden ones ``(M, units, ..., N)``, ``out`` ``(M, N)``."""
        self._check_input(x)
        return dict(self.walk(x))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of all members, ``(N, b) -> (M, N)``, also for one member; or ``(M, N, b)``, each member its own blocks."""
        self._check_input(x)
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or x.device.type != "cpu":
            return self.outputs(x)
        return torch.cat([self.outputs(part) for part in torch.split(x, self._rows_in_cache(), dim=-2)], dim=-1)

    def outputs(self, x: Tensor) -> Tensor:
        """What :meth:`forward` computes, on blocks that were checked; an architecture defines this, or :meth:`walk`.

        Shapes:
            ``(N, b) -> (M, N)``, or ``(M, N, b) -> (M, N)``.
        """
        if type(self).walk is StackedModel.walk:
            raise NotImplementedError(f"{type(self).__name__} defines neither outputs nor walk")
        value = x
        for _, layer in self.walk(x):
            value = layer  # earlier layers are released
        return value

    def _rows_in_cache(self) -> int:
        """Blocks for which a hidden layer's values stay in a processor's cache: many times faster than through memory."""
        units = max((activation.units.numel() for activation in self._activations()), default=1)
        return max(16, CELLS_IN_CACHE // (self.num_members * units))

    def work(self, rows: int) -> int:
        """Values of hidden units that one step computes, by which it is decided whether to compile and how many threads to use.

        Args:
            rows: blocks of the step.
        """
        units = sum(activation.units.numel() for activation in self._activations())
        per_block = units or sum(p.numel() for p in self.parameters()) // self.num_members
        return self.num_members * per_block * rows

    @property
    def fuses(self) -> bool:
        """Whether compiled code is faster: where every activation is arithmetic that a compiler can fuse."""
        activation_modules = self._activations()
        return bool(activation_modules) and all(activation.fuses for activation in activation_modules)

    def _activations(self) -> list[activations.Activation]:
        return [module for module in self.modules() if isinstance(module, activations.Activation)]

    def __repr__(self) -> str:
        return describe(self)

    def _check_input(self, x: Tensor) -> None:
        check_input(x, self.num_members, self.block_size, next(self.parameters()))

    # ---- training ------------------------------------------------------------------------------------------------

    def configure_callbacks(self) -> list[Callback]:
        """What measures a run of a :class:`~renorm.datamodules.CLTDataModule`: the same for a plain Trainer as for ``renorm``.

        Callbacks of these kinds that the Trainer has already are kept as they are; one with ``every_n_epochs=0`` is off.
        """
        from ..callbacks import default_callbacks  # callbacks are made for models, and import them

        return default_callbacks(self.trainer)

    def setup(self, stage: str) -> None:
        """Reject an architecture that breaks the contract and a fit that does not fit into memory; log what cannot be measured.

        Raises:
            ValueError: naming what is wrong, or with the estimate.
        """
        check_architecture(self)
        for line in self.notes() if stage == "fit" and self.trainer.is_global_zero else ():
            log.info(line)
        batch_size = getattr(getattr(self.trainer, "datamodule", None), "batch_size", None)
        device = self.trainer.strategy.root_device
        # a GPU has its own memory, and reports itself when it is full
        if stage == "fit" and isinstance(batch_size, int) and device.type == "cpu":
            check_training(self.hparams, batch_size, *self.step_sizes(batch_size // self.trainer.world_size, device))

    def notes(self) -> list[str]:
        """Lines that are logged before this model is trained."""
        line = left_out(self)
        return [] if line is None else [line]

    def step_sizes(self, rows: int, device: torch.device) -> tuple[int, int]:
        """Bytes of the trained weights, and of the hidden units' values that a step on so many blocks keeps."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        known = bool(self._activations())  # of other layers the sizes are not known, and no estimate may be too large
        hidden = self.work(rows) if known and keeps_hidden_values(self, device) else 0
        size = next(self.parameters()).element_size()
        return sum(parameter.numel() for parameter in trained) * size, hidden * size

    def on_fit_start(self) -> None:
        """Remember which map the data have as their target."""
        data = getattr(self.trainer, "datamodule", None)
        if data is None:
            return
        learned = None if getattr(data, "own_targets", False) else getattr(data, "map", None)
        self.learned_map = OWN_TARGETS if learned is None else str(learned)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Sum over members of each one's mean loss, which trains every member as if alone."""
        blocks = self._with_targets(batch)
        losses = self._member_losses(blocks) * self._share(blocks)
        step = self.trainer.global_step
        # Lightning writes to loggers after these steps; to log at others would show it a stale value
        logs = (step + 1) % max(1, self.trainer.log_every_n_steps) == 0  # type: ignore[attr-defined]
        if logs or losses.device.type == "cpu":
            losses = self.divergence.watch(losses, step, self._agree if self.trainer.world_size > 1 else None)
        if logs:
            self.log_training(losses)
        return losses.sum()

    def log_training(self, losses: Tensor) -> None:
        """Log the losses of a step, of all processes, shape ``(M,)``."""
        whole = self.trainer.strategy.reduce(losses.detach(), reduce_op="mean")
        self._log_members("loss/train", self.divergence.exclude(whole))

    def _agree(self, flags: Tensor) -> Tensor:
        """Flags that are set on at least one process."""
        total = self.trainer.strategy.reduce(flags.float(), reduce_op="sum")
        return torch.as_tensor(total) > 0

    def _with_targets(self, batch: Any) -> Blocks:
        """A batch with its targets; for blocks alone, without a data module, the targets of the map that the model learned."""
        if isinstance(batch, Tensor) and getattr(self._trainer, "datamodule", None) is None:
            return Blocks(batch, known_map(self)(batch))
        return as_blocks(batch)

    def _member_losses(self, blocks: Blocks) -> Tensor:
        if len(blocks.x) == 0:
            nothing: Tensor = self(blocks.x).sum(dim=-1)
            return nothing  # no rows for this process: no loss, but gradients to share
        losses = self._training_losses(blocks.x, blocks.y)
        if self.symmetry_penalty is not None:
            losses = losses + self.symmetry_penalty(self.tied_weights()).to(losses.dtype)
        return losses

    def losses(self, x: Tensor, target: Tensor) -> Tensor:
        """Loss of every member on blocks ``(N, b)`` with targets ``(N,)``, shape ``(M,)``."""
        # outputs come in half precision under autocast; differences are taken in the precision of the data
        return self.loss(self(x).to(x.dtype), target)

    def on_train_start(self) -> None:
        """Compile the losses where that pays; here, because only now the model is on its device."""
        data = getattr(self.trainer, "datamodule", None)
        rows = getattr(data, "batch_size", 0) // self.trainer.world_size
        self._training_losses = compiled_losses(self, self.trainer.estimated_stepping_batches, rows)
        # a single process, and loaders that give each process its own batch, always have whole batches
        shared = self.trainer.world_size > 1 and has_blocks(self.trainer)
        self._whole_batch = getattr(data, "batch_size", None) if shared else None
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        self.divergence.start(parameters, self.trainer.optimizers, self.trainer.global_step)

    def on_train_end(self) -> None:
        """Release compiled code, which cannot be pickled."""
        self.divergence.settle()
        self.divergence.stop()
        self._training_losses = self.losses

    def on_validation_start(self) -> None:
        """Restore weights that are not finite before they are measured."""
        self.divergence.settle()

    def _share(self, blocks: Blocks) -> float:
        """Weight of this process's rows: averaging over processes must give the mean over the whole batch."""
        return 1.0 if self._whole_batch is None else len(blocks.x) * self.trainer.world_size / self._whole_batch

    def _log_members(self, name: str, values: Tensor, prog_bar: bool = True) -> None:
        low, median, high = quantiles(values)
        self.log(name, median, prog_bar=prog_bar, rank_zero_only=True)
        band = {f"{name}_q10": low, f"{name}_q90": high} if self.num_members > 1 else {}
        least = torch.finfo(values.dtype).tiny
        # charts have linear axes, and a loss falls by many decades
        logs = {f"log10/{tag}": value.clamp_min(least).log10() for tag, value in ({name: median} | band).items()}
        self.log_dict(band | logs, rank_zero_only=True)

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Outputs and targets of one batch of one law; the loss of laws that training samples is kept."""
        blocks = self._with_targets(batch)
        prediction = self._judged(blocks.x)
        if self._is_trained_on(blocks.law):
            self.val_loss.update(self.loss(prediction, blocks.y), len(blocks.x))
        return {"prediction": prediction, "target": blocks.y}

    def _is_trained_on(self, law: str) -> bool:
        """Whether a law counts in the validation loss; all do if the data module does not say which."""
        is_trained_on = getattr(getattr(self.trainer, "datamodule", None), "is_trained_on", None)
        return is_trained_on is None or bool(is_trained_on(law))

    def on_validation_epoch_end(self) -> None:
        """Log the validation loss: the median over members, which checkpoints are chosen by."""
        losses = self.val_loss.compute()
        if not self.trainer.sanity_checking:
            # torchmetrics makes a scalar of one member's number
            self.validated = losses.detach().cpu().reshape(-1), self.trainer.global_step
        self._log_members("loss/val", losses)
        diverged = (~losses.isfinite()).sum().float()
        self.log("members/diverged", diverged, rank_zero_only=True)
        self.val_loss.reset()

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Outputs and targets of one batch of one law."""
        blocks = self._with_targets(batch)
        return {"prediction": self._judged(blocks.x), "target": blocks.y}

    def _judged(self, x: Tensor) -> Tensor:
        """Outputs in the precision of the data; NaN for members that have diverged, which no median counts."""
        return self.divergence.exclude(self(x).to(x.dtype))

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Outputs of all members, shape ``(M, N)``; blocks alone are enough."""
        outputs: Tensor = self(batch if isinstance(batch, Tensor) else as_blocks(batch).x)
        return outputs

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the recipe in the checkpoint, as primitives, for ``renorm test`` and resumed fits."""
        checkpoint["renorm"] = {"version": __version__, "recipe": recipe_of(self)}
        checkpoint["renorm"]["optimizer"] = [type(optimizer).__name__ for optimizer in self.trainer.optimizers]
        checkpoint["renorm"]["learned_map"] = self.learned_map
        checkpoint["renorm"]["origin"] = origin()
        self.divergence.settle()  # the checkpoint's tensors are the parameters' own
        checkpoint["renorm"]["diverged"] = {str(member): step for member, step in self.divergence.steps.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Reject a checkpoint with another recipe; members that had diverged stay frozen and are excluded from medians.

        Raises:
            ValueError: where the run is another than the checkpoint's.
        """
        known = checkpoint.get("renorm", {})
        remembered = of_today(known.get("recipe"))
        named = None if remembered is None else remembered["data"].get("map")
        self.learned_map = known.get("learned_map", named)
        say_if_newer("the checkpoint", known.get("version"))
        if self._trainer is not None:  # else the model is loaded by itself, from the checkpoint's own settings
            check_same_recipe(remembered, recipe_of(self), self.trainer)
            schedules = checkpoint.get("lr_schedulers")
            self._restored = RestoredKinds(known.get("optimizer"), None if schedules is None else bool(schedules))
        diverged = known.get("diverged", {})
        self.divergence.steps = {int(member): step for member, step in diverged.items()}

    def configure_optimizers(self) -> Any:
        """The configured optimiser and scheduler, if they keep the members independent.

        Raises:
            ValueError: for an optimiser or scheduler that couples the members of a stack.
        """
        trained = [p for p in self.parameters() if p.requires_grad]
        if not trained:
            raise InputError("model has no parameters that require gradients", "after model.unfreeze()")
        optimizer = self.optimizer(trained)
        self._restored.check(optimizer, self.lr_scheduler is not None)
        self._restored = RestoredKinds()
        check_optimizer(optimizer, self.num_members)
        if self.lr_scheduler is None:
            return optimizer
        schedule = schedule_settings(self.lr_scheduler(optimizer), self.lr_scheduler_interval, self.num_members)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Release the gradients, without the bookkeeping of ``Optimizer.zero_grad``."""
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the norm of each member's own gradient, or by value."""
        if gradient_clip_val:
            clip_gradients(list(self.parameters()), gradient_clip_val, gradient_clip_algorithm == "value")


def check_stack(model: Any) -> None:
    """Reject anything that is not a stack.

    Raises:
        ValueError: naming its type and what is allowed.

    Example:
        >>> check_stack(torch.nn.Linear(2, 1))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        renorm.errors.InputError: model is of type Linear; allowed: a stack, such as renorm.zoo.MLP(...) or ...
    """
    if not isinstance(model, StackedModel):
        raise InputError(
            f"model is of type {type(model).__name__}",
            "a stack, such as renorm.zoo.MLP(...) or renorm.load_pretrained(name)",
        )
