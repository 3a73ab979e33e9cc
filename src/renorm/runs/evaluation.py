"""Judge a model in one line, without a trainer: for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..callbacks.results import least_of, medians_table
from ..checks import check_at_least
from ..console import fitted_text
from ..datamodules import CLTDataModule
from ..datamodules.blocks import law_sets, short_text
from ..datamodules.clt import parse_laws
from ..datamodules.source import Source
from ..errors import InputError
from ..maps import BlockMap
from ..training.metrics import law_metrics, metrics_of, worst_of
from ..training.recipe import known_map
from ..training.stack import StackedModel, check_stack

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, repr=False)
class Evaluation:
    """How well each member of a stack does under each law; shown as a table of medians over members.

    Attributes:
        model: the stack that was judged.
        results: law -> metric -> one number a member, shape ``(M,)``, on the model's device.
        sets: laws that were trained on and held out, the latter also by interpolation and extrapolation, see
            :func:`renorm.datamodules.blocks.law_sets`; empty where nobody said on which laws the model was trained.
    """

    model: StackedModel
    results: dict[str, dict[str, Tensor]]
    sets: dict[str, list[str]] = field(default_factory=dict)

    def __repr__(self) -> str:
        short = {law: short_text(law) for law in self.results}
        table = medians_table(self.model, self.results, self.sets, short)
        return fitted_text(table, least_of(self.results), "to_arrow() has all columns")

    def worst(self, name: str = "held_out") -> dict[str, Tensor]:
        """Metric -> the largest over the laws of a set, for each member, shape ``(M,)``.

        Args:
            name: ``trained``, ``held_out``, ``interpolation`` or ``extrapolation``.

        Raises:
            InputError: for a set that is empty.
        """
        if name not in self.sets:
            raise InputError(f"name={name!r} has no laws", ", ".join(self.sets) or "evaluate(..., trained=...)")
        return worst_of(self.results, self.sets[name])

    def to_arrow(self) -> pa.Table:
        """One row for each law and member: the member's grid point and replica, then its metrics; ``.to_pandas()`` follows."""
        import pyarrow as pa

        rows = [
            {"law": law, **member, **{name: float(values[position]) for name, values in metrics.items()}}
            for law, metrics in self.results.items()
            for position, member in enumerate(self.model.member_table)
        ]
        return pa.Table.from_pylist(rows)


@torch.no_grad()
def evaluate(
    model: StackedModel,
    laws: list[str] | str | None = None,
    samples: int = 16384,
    seed: int = 0,
    map: BlockMap | str | None = None,
    trained: list[str] | str | None = None,
) -> Evaluation:
    """Measure every member's error under chosen laws, on the blocks that ``renorm test`` draws from laws.

    Args:
        model: the stack, on any device; its mode and gradients stay as they are.
        laws: law or laws; by default those that :class:`~renorm.datamodules.CLTDataModule` trains on and holds out.
        samples: blocks of each law, 4 or more.
        seed: of the blocks.
        map: the map that the outputs are held against; by default the one that the model was trained on, or the
            central-limit map.
        trained: law or laws that the model was trained on, among ``laws`` or not; if given, the others are judged as held
            out, within the range of these and beyond it.

    Returns:
        The numbers of every member, which print as a table.

    Raises:
        ValueError: for an unknown law, one that is listed twice, or a number out of range.

    Example:
        >>> from renorm.zoo import MLP
        >>> found = evaluate(MLP(replicas=3), ["gaussian()", "exponential()"], samples=100)
        >>> found.results["exponential(rate=1)"]["mse"].shape
        torch.Size([3])
        >>> found.to_arrow().num_rows
        6
        >>> found = evaluate(MLP(replicas=3), ["rademacher()", "exponential()"], samples=100, trained="uniform()")
        >>> found.sets["interpolation"], found.worst("interpolation")["mse"].shape
        (['rademacher()'], torch.Size([3]))
    """
    check_stack(model)
    chosen = None if laws is None else [str(law) for law in parse_laws("laws", laws)]
    if chosen is not None and not chosen:
        raise InputError("laws=[] is empty", "one or more laws")
    check_at_least("samples", samples, 4)  # here it goes by this name
    chosen_map = str(known_map(model, map))
    known = None if trained is None else [str(law) for law in parse_laws("trained", trained)]
    train, held_out = known, chosen
    if chosen is not None:
        train = chosen[:1] if known is None else known
        held_out = [law for law in chosen if law not in train]
    data = CLTDataModule(model.block_size, train, held_out, test_samples=samples, seed=seed, map=chosen_map)
    judged = [law for law in data.laws if chosen is None or str(law) in chosen]
    results = {str(law): _judge(model, data, law) for law in judged}
    sets = {name: [law for law in laws if law in results] for name, laws in law_sets(data).items()}
    return Evaluation(model, results, {} if known is None else {name: laws for name, laws in sets.items() if laws})


def _judge(model: StackedModel, data: CLTDataModule, law: Source) -> dict[str, Tensor]:
    parameter = next(model.parameters())

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        for step in range(-(-data.eval_samples["test"] // data.eval_batch_size)):
            batch = data.batch("test", 0, step, law=law).to(parameter)
            yield model.divergence.exclude(model(batch.x)), batch.y

    return law_metrics(data.existing_cumulants(str(law)), pairs(), metrics_of(data.map))
