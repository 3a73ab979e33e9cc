"""Blocks and their targets: what a batch is, and what callbacks ask of a data module."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from lightning.pytorch import Trainer
from torch import Tensor

from ..errors import InputError
from ..maps import BlockMap


class Blocks(NamedTuple):
    """A batch: blocks, the target of each, and the law that they come from.

    Attributes:
        x: blocks, shape ``(N, b)``.
        y: targets, shape ``(N,)``.
        law: the law's text; for a training batch the texts of all its laws, in the order of the rows, joined by ``" | "``.
    """

    x: Tensor
    y: Tensor
    law: str = ""

    def to(self, *target: Any, **options: Any) -> Blocks:
        """The batch with its tensors moved, as by ``Tensor.to``."""
        return Blocks(self.x.to(*target, **options), self.y.to(*target, **options), self.law)

    def first(self, rows: int | None) -> Blocks:
        """The first rows of the batch; all of them for None."""
        return self if rows is None else Blocks(self.x[:rows], self.y[:rows], self.law)


def as_blocks(batch: Any) -> Blocks:
    """A batch of any loader as blocks: ``Blocks``, or a pair ``(x, y)``.

    Raises:
        InputError: for anything else; a target is never guessed.

    Example:
        >>> as_blocks([torch.zeros(3, 2), torch.zeros(3)]).y.shape
        torch.Size([3])
    """
    if not isinstance(batch, Blocks) and isinstance(batch, list | tuple) and len(batch) in (2, 3):
        batch = Blocks(*batch)
    if isinstance(batch, Blocks) and isinstance(batch.x, Tensor) and isinstance(batch.y, Tensor):
        if batch.y.shape != batch.x.shape[:-1]:  # which would be broadcast against the outputs
            shapes = f"x of shape {tuple(batch.x.shape)} and y of shape {tuple(batch.y.shape)}"
            raise InputError(f"batch has {shapes}", "(N, b) and (N,)")
        return batch
    what = f"a tensor of shape {tuple(batch.shape)}" if isinstance(batch, Tensor) else f"a {type(batch).__name__}"
    raise InputError(f"batch is {what}, without targets", "Blocks(x, y, law), or a pair (x, y)")


@runtime_checkable
class BlockData(Protocol):
    """What the callbacks ask of a data module; :class:`CLTDataModule` and its subclasses have it.

    Laws are anything whose ``str`` names them. What is exact is None unless the data module knows it.
    """

    block_size: int
    batch_size: int
    seed: int
    map: BlockMap | None
    train_laws: list[Any]
    held_out_laws: list[Any]

    @property
    def laws(self) -> list[Any]:
        """All laws in the order of the validation and test loaders."""
        raise NotImplementedError

    @property
    def independent(self) -> bool:
        """Whether the variables of a block are independent draws of its law."""
        raise NotImplementedError

    def probe(self, law: Any, rows: int) -> Blocks:
        """Blocks of one law for diagnostics, the same ones each time."""
        raise NotImplementedError

    def is_trained_on(self, law: str) -> bool:
        """Whether training samples a law, by its text."""
        raise NotImplementedError

    def target_cumulants(self, law: str) -> Tensor | None:
        """Exact cumulants of the target under a law, shape ``(4,)``; None where they are not known."""
        raise NotImplementedError

    def existing_cumulants(self, law: str) -> Tensor:
        """Numbers of shape ``(4,)``, NaN where the target has no such cumulant."""
        raise NotImplementedError


SETS_OF_HELD_OUT = ("interpolation", "extrapolation")
MEMBERS = tuple(name for name in {**BlockData.__annotations__, **vars(BlockData)} if not name.startswith("_"))


def law_sets(data: Any) -> dict[str, list[str]]:
    """The sets of laws over which the worst error is taken, without empty ones, by the first part of its tag.

    Args:
        data: a data module; one of your own need not split its held-out laws into interpolation and extrapolation.

    Example:
        >>> from renorm.datamodules import CLTDataModule
        >>> sets = law_sets(CLTDataModule(train_laws="gaussian()", held_out_laws=["rademacher()", "cauchy()"]))
        >>> [*sets], sets["interpolation"]
        (['trained', 'held_out', 'interpolation', 'extrapolation'], ['rademacher()'])
    """
    attributes = {"trained": "train_laws"} | {name: f"{name}_laws" for name in ("held_out", *SETS_OF_HELD_OUT)}
    sets = {name: [str(law) for law in getattr(data, attribute, [])] for name, attribute in attributes.items()}
    return {name: laws for name, laws in sets.items() if laws}


def law_tags(data: Any, others: Iterable[Any] = ()) -> dict[str, str]:
    """How tags name laws: by their short text, or by the whole one where two laws have the same short text.

    Args:
        data: a data module; laws of your own that have no ``short`` go by their text.
        others: more laws, or texts of laws, that a callback was given.

    Returns:
        The law's text -> its name in tags.

    Example:
        >>> from renorm.datamodules import CLTDataModule
        >>> law_tags(CLTDataModule(train_laws="uniform()", held_out_laws=["gaussian(std=3)"]))
        {'uniform(low=-1.7320508075688772, high=1.7320508075688772)': 'uniform()', 'gaussian(mean=0, std=3)': 'gaussian(std=3)'}
    """
    short = {str(law): short_text(law) for law in others} | {str(law): short_text(law) for law in data.laws}
    names = Counter(short.values())
    return {law: name if names[name] == 1 else law for law, name in short.items()}


def short_text(law: Any) -> str:
    """The short text of a law, or of the law that a text is of; anything else as it is.

    Example:
        >>> short_text("gaussian(mean=1, std=1)"), short_text("spins of a file")
        ('gaussian(mean=1)', 'spins of a file')
    """
    from . import laws

    if isinstance(law, str):
        with contextlib.suppress(InputError):  # the name of something else goes as it is
            law = laws.parse(law)
    return str(getattr(law, "short", law))


def has_blocks(trainer: Trainer) -> bool:
    """Whether a trainer's data module is one that the callbacks can ask."""
    return isinstance(getattr(trainer, "datamodule", None), BlockData)


def blocks_of(trainer: Trainer, who: str) -> BlockData:
    """The data module of a trainer.

    Args:
        trainer: with a data module.
        who: needs it, for the message.

    Raises:
        InputError: where it lacks what the callbacks ask, naming what.
    """
    data = getattr(trainer, "datamodule", None)
    if isinstance(data, BlockData):
        return data
    missing = [name for name in MEMBERS if not hasattr(data, name)]
    what = "no datamodule" if data is None else f"datamodule {type(data).__name__} without {', '.join(missing)}"
    raise InputError(
        f"{who} has {what}", "a CLTDataModule, or a data module with what renorm.datamodules.blocks.BlockData lists"
    )
