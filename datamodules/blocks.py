"""The one DataModule of the study: blocks of i.i.d. variables under training laws and held-out laws."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from ..limits import check_blocks, check_outputs
from .laws import Law, parse
from .sampling import BlockLoader, Split, draw_blocks, shard

DEFAULT_TRAIN_LAWS = ["uniform()"]
DEFAULT_HELD_OUT_LAWS = [
    "gaussian()",
    "laplace(scale=0.7071067811865476)",
    "exponential()",
    "student_t(df=10)",
    "rademacher()",
    "mixture(0.5*gaussian(mean=-0.9, std=0.4358898943540674) + 0.5*gaussian(mean=0.9, std=0.4358898943540674))",
    "gaussian(mean=1, std=3)",
]


class CLTDataModule(LightningDataModule):
    r"""Blocks ``x`` of shape ``(N, b)`` drawn on the fly; the target :math:`\sum_i x_i / \sqrt b` is the model's to compute.

    Nothing is stored: a batch is a function of ``(seed, split, epoch, step)``, and process ``r`` of ``R`` takes its own slice.
    ``batch_size`` is therefore the batch of all processes together, and the same run on more processes sees the same data.

    Args:
        block_size: number of variables ``b`` in a block, 2 or more.
        train_laws: law or laws that training samples, mixed in equal parts in every batch.
        held_out_laws: laws that training never samples; by default gaussian, laplace, exponential, student_t, rademacher, a
            bimodal mixture and a shifted, widened gaussian, less those that are trained on.
        batch_size: blocks in a training batch, over all processes.
        steps_per_epoch: training batches in an epoch.
        val_samples: blocks of each law in a validation; the same ones every time, so that curves are smooth.
        test_samples: blocks of each law in a test.
        eval_batch_size: blocks in a validation or test batch, over all processes.
        seed: seed of the data, 0 or more.

    Raises:
        ValueError: for a value out of range, a law that is both trained on and held out, or one that torch's default
            floating-point type cannot resolve.

    Example:
        >>> data = CLTDataModule(block_size=4, train_laws=["gamma(shape=2)"], batch_size=32)
        >>> data.batch("train", epoch=3, step=7).shape
        torch.Size([32, 4])
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
        self.train_laws = parse_laws("train_laws", train)
        if not self.train_laws:
            raise ValueError("train_laws=[] is empty; allowed: one or more laws")
        if held_out_laws is None:
            held_out = [law for law in parse_laws("held_out_laws", DEFAULT_HELD_OUT_LAWS) if law not in self.train_laws]
        else:
            held_out = parse_laws("held_out_laws", held_out_laws)
        for law in [*self.train_laws, *held_out]:
            law.check_resolved(torch.get_default_dtype())
        for law in held_out:
            if law in self.train_laws:
                raise ValueError(f"held_out_laws={str(law)!r} is trained on; allowed: laws that are not in train_laws")
        self.held_out_laws = held_out
        self.block_size = block_size
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.eval_samples: dict[Split, int] = {"val": val_samples, "test": test_samples, "predict": test_samples}
        self.eval_batch_size = eval_batch_size
        self.seed = seed
        # strings in canonical form: what the checkpoint remembers is what the tags say
        # for checkpoints; loggers get them with a prefix: model and data may have seeds that differ
        self.save_hyperparameters(logger=False)
        self.hparams["train_laws"] = [str(law) for law in self.train_laws]
        self.hparams["held_out_laws"] = [str(law) for law in self.held_out_laws]

    def __repr__(self) -> str:
        """What is drawn, in one line."""
        train, held_out = ([str(law) for law in laws] for laws in (self.train_laws, self.held_out_laws))
        return (
            f"{type(self).__name__}(block_size={self.block_size}, train_laws={train}, held_out_laws={held_out}, "
            f"batch_size={self.batch_size}, steps_per_epoch={self.steps_per_epoch}, seed={self.seed})"
        )

    __str__ = __repr__  # Lightning's asks every loader for a data set, which a stream does not have

    @property
    def laws(self) -> list[Law]:
        """All laws in the order of the validation and test loaders: those trained on, then those held out."""
        return [*self.train_laws, *self.held_out_laws]

    def setup(self, stage: str) -> None:
        """Refuse a model of another block size, or one whose outputs on this data do not fit into memory.

        Raises:
            ValueError: where the block sizes of model and data differ, or memory is too small.
        """
        model = getattr(self.trainer, "lightning_module", None)
        wanted = getattr(model, "block_size", self.block_size)
        if wanted != self.block_size:
            raise ValueError(
                f"data.block_size={self.block_size} differs from model.block_size={wanted}; allowed: the same in both"
            )
        check_outputs(getattr(model, "num_members", 1), self.hparams)

    def batch(
        self, split: Split, epoch: int, step: int, *, law: Law | None = None, rank: int = 0, world_size: int = 1
    ) -> Tensor:
        """Draw any batch again: the part of process ``rank``, of one law (or, by default, of the training laws mixed).

        Raises:
            ValueError: for an unknown split, or a rank that does not exist.
        """
        if split != "train" and split not in self.eval_samples:
            raise ValueError(f"split={split!r} is unknown; allowed: {', '.join(('train', *self.eval_samples))}")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank={rank} is out of range; allowed: 0 to {world_size - 1}")
        rows = self.batch_size if split == "train" else self._eval_rows(split, step)
        chosen = self.train_laws if law is None else [law]
        x = draw_blocks(chosen, rows, self.block_size, seed=self.seed, split=split, epoch=epoch, step=step)
        return x[shard(rows, rank, world_size)]

    def _eval_rows(self, split: Split, step: int) -> int:
        return min(self.eval_batch_size, self.eval_samples[split] - step * self.eval_batch_size)

    def _loader(self, split: Split, law: Law | None) -> BlockLoader:
        trainer = self.trainer
        rank, world_size = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)

        def batch(epoch: int, step: int) -> Tensor:
            return self.batch(split, epoch, step, law=law, rank=rank, world_size=world_size)

        if split == "train":
            return BlockLoader(batch, self.steps_per_epoch, self._training_position)
        steps = -(-self.eval_samples[split] // self.eval_batch_size)
        return BlockLoader(batch, steps, lambda: (0, 0))

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

    @functools.cached_property
    def target_cumulants(self) -> dict[str, Tensor]:
        r"""Exact cumulants of the target for each law, :math:`b^{1-n/2} \kappa_n`, shape ``(4,)``, float64."""
        orders = torch.arange(1, 5, dtype=torch.float64)
        return {str(law): self.block_size ** (1 - orders / 2) * law.cumulants(4) for law in self.laws}


def parse_laws(name: str, texts: Iterable[str] | str) -> list[Law]:
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
        raise ValueError(f'{name}={texts!r} is not a list of laws; allowed: one or more, such as ["gaussian()"]')
    parsed = [parse(text) for text in ([texts] if isinstance(texts, str) else texts)]
    for law in parsed:
        if parsed.count(law) > 1:
            raise ValueError(f"{name}={str(law)!r} is listed twice; allowed: each law once")
    return parsed


def _check_sizes(sizes: dict[str, tuple[int, int]]) -> None:
    for name, (value, low) in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ValueError(f"{name}={value!r} is out of range; allowed: whole numbers >= {low}")
