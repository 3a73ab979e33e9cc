"""Report which members have diverged and when, once each, and list them beside the checkpoints."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from ..files.whole import whole_file
from ..training.stack import StackedModel
from .tables import table_folder

DIVERGED_FILE = "diverged.json"
MOST_STEPS = 5  # named in one line


class DivergedMembers(Callback):
    """After each epoch, and when training fails, report the members that diverged since the last report.

    One line is printed; ``checkpoints/diverged.json`` lists all diverged members, each with its grid point and the number of
    updates of its weights. See :class:`renorm.training.divergence.Divergence` for what diverging means.
    """

    def __init__(self) -> None:
        self._reported: set[int] = set()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Skip members that diverged before the run was resumed: they have been reported."""
        if isinstance(pl_module, StackedModel):
            self._reported = set(pl_module.divergence.steps)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report members that diverged in this epoch."""
        self._report(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Report before the run fails, for example because no member is left."""
        self._report(trainer, pl_module)

    def _report(self, trainer: Trainer, model: LightningModule) -> None:
        if not isinstance(model, StackedModel) or not trainer.is_global_zero:
            return
        steps = model.divergence.steps
        new = {member: step for member, step in steps.items() if member not in self._reported}
        if not new:
            return
        self._reported |= new.keys()
        line = f"diverged: {describe(new)}; {len(steps)} of {model.num_members}, frozen and left out of medians"
        folder = table_folder(trainer, "checkpoints")
        if folder is not None:
            rows = [{"updates": steps[m]} | model.member_table[m] | {"position": m} for m in sorted(steps)]
            write(folder / DIVERGED_FILE, rows)
            line += f": {folder / DIVERGED_FILE}"
        print(line, file=sys.stderr)


def describe(steps: dict[int, int]) -> str:
    """List members by the step at which they diverged, in one short line.

    Example:
        >>> describe({0: 7, 3: 7, 1: 9})
        'members 0, 3 at step 7; member 1 at step 9'
    """
    ordered = sorted(steps.items(), key=lambda item: (item[1], item[0]))
    parts = []
    for step, group in itertools.groupby(ordered, key=lambda item: item[1]):
        members = [str(member) for member, _ in group]
        shown = ", ".join(members[:MOST_STEPS]) + (
            f" and {len(members) - MOST_STEPS} more" if members[MOST_STEPS:] else ""
        )
        parts.append(f"member{'s' if members[1:] else ''} {shown} at step {step}")
    later = len(parts) - MOST_STEPS
    return "; ".join(parts[:MOST_STEPS]) + (f"; others at {later} later steps" if later > 0 else "")


def write(path: Path, rows: list[dict[str, object]]) -> None:
    """Write the members as a JSON list, one per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n ".join(json.dumps(row) for row in rows)
    with whole_file(path) as partial:
        partial.write_text(f"[{lines}]\n", encoding="utf-8")
