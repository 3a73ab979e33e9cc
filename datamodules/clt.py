"""The DataModule that draws blocks from laws, with the targets of an RG map."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from ..checks import described
from ..errors import InputError
from ..limits import check_blocks, check_outputs
from ..maps import BlockMap
from ..maps import parse as parse_map
from .block_sources import BlockSource, parse_source
from .blocks import Blocks, law_tags
from .drawn_ahead import DrawnAhead
from .held_out import DEFAULT_HELD_OUT_LAWS, DRAWN, split
from .laws import Law
from .sampling import BlockLoader, Split, interleave, shard, stream
from .source import Source

SOME_ROWS = 4  # drawn to see what comes with the blocks
LEAST_BLOCKS, MOST_BLOCKS = 16, 4096  # of a source, whose range is looked at
DRAWN_AT_ONCE = 1024  # of these
DEFAULT_TRAIN_LAWS = ["uniform()"]


class CLTDataModule(LightningDataModule):
    r"""Blocks ``x`` of shape ``(N, b)`` drawn on the fly, with the target ``y`` of an RG map, as :class:`Blocks`.

    Nothing is stored: a batch is a function of ``(seed, split, epoch, step)``, and process ``r`` of ``R`` takes its own slice.
    ``batch_size`` is therefore the batch of all processes together, and the same run on more processes sees the same data.

    Held-out laws are split in two: :attr:`interpolation_laws`, on which a network has seen values like those of the blocks,
    and :attr:`extrapolation_laws`, on which it has not.

    For blocks that are not i.i.d. draws of a law, override :meth:`draw`; nothing is then taken to be exact.

    Args:
        block_size: number of variables ``b`` in a block, 2 or more.
        train_laws: law or laws that training samples, mixed in equal parts in every batch.
        held_out_laws: laws that training never samples; by default those of
            :data:`~renorm.datamodules.held_out.DEFAULT_HELD_OUT_LAWS` that are not trained on: each skewed or shifted law,
            and its mirror image.
        batch_size: blocks in a training batch, over all processes.
        steps_per_epoch: training batches in an epoch.
        val_samples: blocks of each law in a validation; the same ones every time, so that curves are smooth.
        test_samples: blocks of each law in a test.
        eval_batch_size: blocks in a validation or test batch, over all processes.
        seed: seed of the data, 0 or more.
        map: the map that is learned, see :mod:`renorm.maps`.

    Raises:
        ValueError: for a value out of range, an unknown map or one that does not act on such blocks,
            a law that is both trained on and held out, or one that torch's default
            floating-point type cannot resolve.

    Example:
        >>> data = CLTDataModule(block_size=4, train_laws=["gamma(shape=2)"], batch_size=32)
        >>> batch = data.batch("train", epoch=3, step=7)
        >>> batch.x.shape, batch.y.shape, batch.law
        (torch.Size([32, 4]), torch.Size([32]), 'gamma(shape=2, scale=1)')
        >>> [str(law) for law in data.interpolation_laws]
        ['exponential(rate=1)']
    """

    def __init__(
        self,
        block_size: int = 2,
        train_laws: list[str] | str | None = None,
        held_out_laws: list[str] | str | None = None,
        batch_size: int = 256,
        steps_per_epoch: int = 200,
        val_samples: int = 4096,
        test_samples: int = 16384,
        eval_batch_size: int = 1024,
        seed: int = 0,
        map: str = "central_limit()",
    ) -> None:
        super().__init__()
        train = DEFAULT_TRAIN_LAWS if train_laws is None else train_laws
        _check_sizes(
            {"block_size": (block_size, 2), "batch_size": (batch_size, 4), "steps_per_epoch": (steps_per_epoch, 1)}
            | {"val_samples": (val_samples, 4), "test_samples": (test_samples, 4)}
            | {"eval_batch_size": (eval_batch_size, 1), "seed": (seed, 0)}
        )
        check_blocks(
            {"block_size": block_size, "batch_size": batch_size, "eval_batch_size": eval_batch_size}
            | {"val_samples": val_samples, "test_samples": test_samples}
        )
        self.map: BlockMap = parse_map(map if isinstance(map, str) else str(map))
        self.map.check_block_size(block_size)
        self.train_laws: list[Any] = parse_laws("train_laws", train)
        if not self.train_laws:
            raise InputError("train_laws=[] is empty", "one or more laws")
        if held_out_laws is None:
            held_out = [law for law in parse_laws("held_out_laws", DEFAULT_HELD_OUT_LAWS) if law not in self.train_laws]
        else:
            held_out = parse_laws("held_out_laws", held_out_laws)
        for law in [*self.train_laws, *held_out]:
            law.check(block_size, torch.get_default_dtype())
        for law in self.train_laws:
            if isinstance(law, Law) and law.is_constant:
                raise InputError(f"train_laws={str(law)!r} has zero variance", "laws that vary")
        for law in held_out:
            if any(law.overlaps(trained) for trained in self.train_laws):
                raise InputError(f"held_out_laws={str(law)!r} is trained on", "laws that are not in train_laws")
        self.held_out_laws: list[Any] = held_out
        self.block_size = block_size
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.eval_samples: dict[Split, int] = {"val": val_samples, "test": test_samples, "predict": test_samples}
        self.eval_batch_size = eval_batch_size
        self.most_judged: int | None = None  # blocks of a law that a fit's validation has metrics of; all by default
        self.seed = seed
        self._texts: dict[int, tuple[Source, str]] = {}  # by the law's identity
        # strings in canonical form: what the checkpoint remembers is what the tags say
        # for checkpoints; loggers get them with a prefix: model and data may have seeds that differ
        self.save_hyperparameters(logger=False)
        self.hparams["map"] = str(self.map)
        self.hparams["train_laws"] = [str(law) for law in self.train_laws]
        self.hparams["held_out_laws"] = [str(law) for law in self.held_out_laws]

    def __repr__(self) -> str:
        """What is drawn, in one line."""
        names = law_tags(self)
        train, held_out = ([names[str(law)] for law in laws] for laws in (self.train_laws, self.held_out_laws))
        return (
            f"{type(self).__name__}(map={str(self.map)!r}, block_size={self.block_size}, train_laws={train}, "
            f"held_out_laws={held_out}, "
            f"batch_size={self.batch_size}, steps_per_epoch={self.steps_per_epoch}, seed={self.seed})"
        )

    __str__ = __repr__  # Lightning's asks every loader for a data set, which a stream does not have

    @property
    def laws(self) -> list[Any]:
        """All laws in the order of the validation and test loaders: those trained on, then those held out."""
        return [*self.train_laws, *self.held_out_laws]

    @property
    def interpolation_laws(self) -> list[Any]:
        """Held-out laws within the range of the training laws, see :func:`renorm.datamodules.held_out.split`."""
        return [law for law, within in zip(self.held_out_laws, self._within, strict=True) if within]

    @property
    def extrapolation_laws(self) -> list[Any]:
        """Held-out laws that reach beyond the range of the training laws."""
        return [law for law, within in zip(self.held_out_laws, self._within, strict=True) if not within]

    @functools.cached_property
    def _within(self) -> list[bool]:
        return split(self.train_laws, self.held_out_laws, self._variables, known=self._draws_laws)

    def _variables(self, law: Source) -> Tensor:
        """Variables of a law as :meth:`draw` gives them, whatever the seed of the data; fewer where they may be slow to draw."""
        generator = torch.Generator().manual_seed(0)
        fast = self._draws_laws and isinstance(law, Law)
        blocks = max(LEAST_BLOCKS, min(DRAWN // self.block_size, DRAWN if fast else MOST_BLOCKS))
        parts = [min(DRAWN_AT_ONCE, blocks - start) for start in range(0, blocks, DRAWN_AT_ONCE)]
        return torch.cat([self._drawn(law, rows, generator)[0] for rows in parts])

    def setup(self, stage: str) -> None:
        """Refuse a model of another block size, or one whose outputs on this data do not fit into memory.

        Raises:
            ValueError: where the block sizes of model and data differ, or memory is too small.
        """
        model = getattr(self.trainer, "lightning_module", None)
        wanted = getattr(model, "block_size", self.block_size)
        if wanted != self.block_size:
            raise InputError(
                f"data.block_size={self.block_size} differs from model.block_size={wanted}", "the same in both"
            )
        check_outputs(getattr(model, "num_members", 1), self.hparams)

    # ---- what a user's own data override ---------------------------------------------------------------------------

    def draw(self, law: Source, rows: int, generator: torch.Generator) -> Tensor | tuple[Tensor, Tensor]:
        """Blocks of one law, shape ``(rows, b)``; or blocks and their targets, which are then not the map's.

        Override it for blocks that are not independent draws; ``generator`` must be their only source of randomness.
        """
        return law.blocks(rows, self.block_size, generator)

    @property
    def independent(self) -> bool:
        """Whether blocks are independent draws of laws of one variable, as far as is known: not where ``draw`` is overridden."""
        return self._draws_laws and all(isinstance(law, Law) for law in self.laws)

    @property
    def _draws_laws(self) -> bool:
        """Whether blocks are what :meth:`Source.blocks` gives, and targets the map's: nothing of it is overridden."""
        ours = ("draw", "batch", "probe", "_blocks")
        return all(getattr(getattr(self, name), "__func__", None) is getattr(CLTDataModule, name) for name in ours)

    @functools.cached_property
    def own_targets(self) -> bool:
        """Whether targets of the training laws come with their blocks, and are not the map's."""
        generator = torch.Generator().manual_seed(self.seed)
        return any(not isinstance(self.draw(law, SOME_ROWS, generator), Tensor) for law in self.train_laws)

    def target_cumulants(self, law: str) -> Tensor | None:
        """Exact cumulants of the target under a law, shape ``(4,)``, float64; None where they are not known."""
        found = self._named(law)
        if not self._draws_laws:
            return None
        if isinstance(found, Law):
            return self.map.cumulants(found.cumulants(4), self.block_size)
        return image_cumulants(self.map, found, self.block_size) if isinstance(found, BlockSource) else None

    def variable_cumulants(self, law: str) -> Tensor | None:
        """Exact cumulants of one variable of a block, shape ``(4,)``, float64; None where they are not known."""
        found = self._named(law)
        if not self._draws_laws:
            return None
        if isinstance(found, BlockSource):
            return found.sum_cumulants(torch.ones(1), 4)
        return found.cumulants(4) if isinstance(found, Law) else None

    def existing_cumulants(self, law: str) -> Tensor:
        """Numbers of shape ``(4,)``, NaN where the target has no such cumulant: as far as is known, where its law has none."""
        exact, found = self.target_cumulants(law), self._named(law)
        if exact is None:
            exact = found.cumulants(4) if isinstance(found, Law) else self.variable_cumulants(law)
        return torch.zeros(4, dtype=torch.float64) if exact is None else exact

    # ---- batches ---------------------------------------------------------------------------------------------------

    def is_trained_on(self, law: str) -> bool:
        """Whether training samples a law, by its text."""
        return law in map(str, self.train_laws)

    def _named(self, law: str) -> Source:
        return next((known for known in self.laws if str(known) == law), None) or parse_source(law)

    def batch(
        self, split: Split, epoch: int, step: int, *, law: Source | None = None, rank: int = 0, world_size: int = 1
    ) -> Blocks:
        """Draw any batch again: the part of process ``rank``, of one law (or, by default, of the training laws mixed).

        Raises:
            ValueError: for an unknown split, or a rank that does not exist.
        """
        if split != "train" and split not in self.eval_samples:
            raise InputError(f"split={split!r} is unknown", ", ".join(("train", *self.eval_samples)))
        if not 0 <= rank < world_size:
            raise InputError(f"rank={rank} is out of range", f"0 to {world_size - 1}")
        rows = self.batch_size if split == "train" else self._eval_rows(split, step)
        chosen = self.train_laws if law is None else [law]
        return self._blocks(chosen, rows, split, epoch, step, shard(rows, rank, world_size))

    def probe(self, law: Source, rows: int) -> Blocks:
        """Blocks of one law for diagnostics, the same ones each time."""
        return self._blocks([law], rows, "probe", 0, 0, slice(None))

    def _blocks(self, laws: list[Source], rows: int, split: Split, epoch: int, step: int, part: slice) -> Blocks:
        """One batch; row ``i`` comes from law ``i % len(laws)``."""
        texts = [self.text(law) for law in laws]
        drawn = [
            self._drawn(law, len(range(i, rows, len(laws))), stream(self.seed, split, text, epoch, step))
            for i, (law, text) in enumerate(zip(laws, texts, strict=True))
        ]
        x = interleave([found for found, _ in drawn], rows)[part]
        if all(own is None for _, own in drawn):
            y = self.map(x)
        else:
            y = interleave([self.map(found) if own is None else own for found, own in drawn], rows)[part]
        return Blocks(x, y, " | ".join(texts))

    def text(self, law: Source) -> str:
        """A law's text, written once: at each step that would take as long as drawing."""
        known, text = self._texts.get(id(law), (None, ""))
        if known is not law:
            text = str(law)
            self._texts[id(law)] = law, text
        return text

    def _drawn(self, law: Source, rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """What :meth:`draw` gives, checked: a subclass may have written it."""
        found: Any = self.draw(law, rows, generator)
        pair = found if isinstance(found, list | tuple) and len(found) == 2 else (found, None)
        for value, shape in zip(pair, ((rows, self.block_size), (rows,)), strict=True):
            if value is not None and (not isinstance(value, Tensor) or value.shape != shape):
                raise InputError(f"{type(self).__name__}.draw gave {described(value)}", f"shape {shape}")
        if pair[0] is None:
            raise InputError(f"{type(self).__name__}.draw gave nothing", f"shape {(rows, self.block_size)}")
        return pair[0], pair[1]

    def judged_rows(self, step: int) -> int | None:
        """How many rows of this process's part of a validation batch metrics are of; None for all, see :attr:`most_judged`.

        They are the first rows of the part, so that on any number of processes metrics are of the same blocks.
        """
        if self.most_judged is None:
            return None
        rank, world_size = self._place()
        part = shard(self._eval_rows("val", step), rank, world_size)
        left: int = self.most_judged - step * self.eval_batch_size - part.start
        rows: int = part.stop - part.start
        return min(max(left, 0), rows)

    def _place(self) -> tuple[int, int]:
        """Rank of this process, and how many there are."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _eval_rows(self, split: Split, step: int) -> int:
        return min(self.eval_batch_size, self.eval_samples[split] - step * self.eval_batch_size)

    def _loader(self, split: Split, law: Source | None) -> BlockLoader:
        rank, world_size = self._place()
        # the validation loss is of all blocks of the laws trained on; of other laws there are metrics only
        most = self.most_judged if split == "val" and not self.is_trained_on(str(law)) else None

        def batch(epoch: int, step: int) -> Blocks:
            blocks = self.batch(split, epoch, step, law=law, rank=rank, world_size=world_size)
            return blocks if most is None else blocks.first(self.judged_rows(step))

        if split == "train":
            # one process: another takes a part of a batch
            return BlockLoader(
                batch if world_size > 1 else DrawnAhead(self), self.steps_per_epoch, self._training_position
            )
        samples = self.eval_samples[split] if most is None else min(most, self.eval_samples[split])
        return BlockLoader(batch, -(-samples // self.eval_batch_size), lambda: (0, 0))

    def _training_position(self) -> tuple[int, int]:
        """Epoch and batch that training stands at, also after a resume in the middle of an epoch."""
        if self.trainer is None:
            return 0, 0
        return self.trainer.current_epoch, self.trainer.fit_loop.epoch_loop.batch_progress.current.ready

    def train_dataloader(self) -> BlockLoader:
        """Batches of the training laws, mixed."""
        return self._loader("train", None)

    def val_dataloader(self) -> list[BlockLoader]:
        """One loader for each law, in the order of :attr:`laws`."""
        return [self._loader("val", law) for law in self.laws]

    def test_dataloader(self) -> list[BlockLoader]:
        """One loader for each law, in the order of :attr:`laws`."""
        return [self._loader("test", law) for law in self.laws]

    def predict_dataloader(self) -> list[BlockLoader]:
        """One loader for each law, in the order of :attr:`laws`."""
        return [self._loader("predict", law) for law in self.laws]


def image_cumulants(block_map: BlockMap, source: BlockSource, block_size: int) -> Tensor | None:
    """Exact cumulants of a map's target on dependent variables, shape ``(4,)``: for a linear map, or for all of few blocks."""
    weights = block_map.weights(block_size)
    if weights is not None:
        return source.sum_cumulants(weights, 4)
    states = source.states(block_size)
    if states is None:
        return None
    y, probabilities = block_map(states[0]), states[1]
    mean = probabilities @ y
    second, third, fourth = (probabilities @ (y - mean) ** n for n in (2, 3, 4))
    return torch.stack([mean, second, third, fourth - 3 * second**2])


def parse_laws(name: str, texts: Iterable[str] | str) -> list[Source]:
    """Read a law, or several, each once.

    Args:
        name: of the argument that they were given as.
        texts: law or laws.

    Raises:
        ValueError: naming the argument, for what is not a law or listed twice.

    Example:
        >>> parse_laws("laws", "gaussian")
        [Gaussian(mean=0.0, std=1.0)]
    """
    if not isinstance(texts, Iterable) or isinstance(texts, Mapping | bytes):
        raise InputError(f"{name}={texts!r} is not a list of laws", 'one or more, such as ["gaussian()"]')
    parsed = [parse_source(text) for text in ([texts] if isinstance(texts, str) else texts)]
    for law in parsed:
        if parsed.count(law) > 1:
            raise InputError(f"{name}={str(law)!r} is listed twice", "each law once")
    return parsed


def _check_sizes(sizes: dict[str, tuple[int, int]]) -> None:
    for name, (value, low) in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise InputError(f"{name}={value!r} is out of range", f"whole numbers >= {low}")
