"""One point of a sweep: build, train and test it, and return the results as columns, one row a member."""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable
from typing import Any

import torch

from .. import __version__
from ..callbacks import Generalization
from ..checks import check_at_least, check_one_of
from ..datamodules import CLTDataModule
from ..datamodules.blocks import law_sets
from ..errors import InputError
from ..freed_memory import keep_freed_memory
from ..own_code import import_own_code
from ..runs.quiet_trainer import quiet_trainer, quieten
from ..training.divergence import AllDivergedError
from ..training.metrics import METRICS, worst_of
from ..zoo import StackedModel
from ..zoo.architectures import architectures
from ..zoo.symmetry.order_parameter import asymmetries
from .config import OPTIMIZERS, TRAINING, Point

Columns = dict[str, list[Any]]


def build(point: Point) -> tuple[StackedModel, CLTDataModule, int]:
    """Model, data and number of steps of a point.

    Raises:
        ValueError: for a setting out of range.
    """
    settings = TRAINING | point.settings
    steps, lr, optimizer = settings["steps"], settings["lr"], settings["optimizer"]
    check_at_least("steps", steps, 1)
    if not isinstance(lr, int | float) or isinstance(lr, bool) or not 0 < lr < float("inf"):
        raise InputError(f"lr={lr!r} is out of range", "positive numbers")
    check_one_of("optimizer", optimizer, OPTIMIZERS)
    of_data = [name for name in inspect.signature(CLTDataModule.__init__).parameters if name != "self"]
    for_data = {name: value for name, value in point.settings.items() if name in of_data}
    only_data = set(of_data) - {"block_size", "seed"}
    for_model = {name: value for name, value in point.settings.items() if name not in {*only_data, *TRAINING}}
    cls = architectures()[point.model]
    try:
        make: Callable[..., Any] = getattr(torch.optim, optimizer)
        model = cls(**for_model, optimizer=lambda params: make(params, lr=lr))
        return model, CLTDataModule(**for_data), steps
    except TypeError as error:
        raise InputError(f"settings do not fit: {error}") from None


def run_point(point: Point) -> Columns:
    """Train and judge one point.

    Returns:
        One row a member: the axes and the grid, ``replica``, ``seed``; ``<law>/<metric>`` for every law, and the largest over the
        laws of each set as ``trained/<metric>``, ``held_out/<metric>``, and of the latter ``interpolation/<metric>`` and
        ``extrapolation/<metric>``; ``asymmetry/<layer>/<symmetry>``; seconds and versions.
    """
    quieten()
    model, data, steps = build(point)
    judge = Generalization(figure_every_n_validations=0)
    trainer = quiet_trainer(steps, callbacks=[judge])
    start = time.perf_counter()
    with contextlib.suppress(AllDivergedError):  # members still get a row, without numbers
        trainer.fit(model, data)
    trained = time.perf_counter()
    trainer.test(model, data, verbose=False)
    tested = time.perf_counter()
    columns: Columns = {}
    for law, metrics in judge.results.items():
        columns |= {f"{law}/{metric}": metrics[metric].tolist() for metric in METRICS}
    results = {
        law: {metric: found[metric].double().cpu() for metric in METRICS} for law, found in judge.results.items()
    }
    for name, laws in law_sets(data).items():
        columns |= {f"{name}/{metric}": worst.tolist() for metric, worst in worst_of(results, laws).items()}
    for layer, by_symmetry in asymmetries(model).items():
        columns |= {f"asymmetry/{layer}/{symmetry}": values.tolist() for symmetry, values in by_symmetry.items()}
    seconds = {"seconds_fit": trained - start, "seconds_test": tested - trained}
    return _identity(point, model) | columns | _repeated(seconds | versions(), model.num_members)


def _identity(point: Point, model: StackedModel) -> Columns:
    table = model.member_table
    grid = {axis: [member[axis] for member in table] for axis in model.grid_axes}
    place = {key: [member[key] for member in table] for key in ("member", "replica")}
    return _repeated({"seed": int(model.hparams["seed"])}, len(table)) | grid | place


def _repeated(values: dict[str, Any], rows: int) -> Columns:
    return {name: [value] * rows for name, value in values.items()}


def versions() -> dict[str, str]:
    """Versions of the packages that compute the numbers."""
    import lightning

    return {"renorm": __version__, "torch": torch.__version__, "lightning": lightning.__version__}


def prepare_worker() -> None:
    """Use one thread, so that the numbers do not depend on the number of workers, and keep freed memory."""
    keep_freed_memory()
    import_own_code()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
