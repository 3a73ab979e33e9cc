"""``renorm propagate``: what theory predicts for every layer's cumulants, beside what a sample shows."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.table import Table
from torch import Tensor

from ..checks import check_at_least, check_one_of
from ..console import print_table, print_wrapped
from ..cumulants import Propagation, merge, power_sums, propagate
from ..cumulants.propagation.network import read_network
from ..cumulants.propagation.propagate import METHODS
from ..datamodules import laws
from ..datamodules.sampling import draw_blocks
from ..errors import InputError
from ..progress import shown_steps
from ..runs import checkpoint
from ..training.stack import StackedModel
from ..zoo.registry import create_model
from .options import OneLineParser, add_checkpoint, add_wide, runs_of

ORDER = 4
CHUNK = 2**16  # blocks that are drawn at a time
MEANINGS = {  # of headings of the table
    "error": "standard error of measured, too small for k3 and k4 in typical samples of heavy-tailed laws",
    "gap": "predicted - measured",
}


class Measured(NamedTuple):
    """Estimates for one layer, shape ``(4, M, units)`` each."""

    k: Tensor
    stderr: Tensor


def run(words: list[str]) -> None:
    """Run ``renorm propagate``."""
    parser = OneLineParser(
        prog="renorm propagate",
        description="predicted and measured cumulants of every layer, means over units; gap = predicted - measured",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    add_checkpoint(parser, source)
    source.add_argument(
        "--model", help="a variant of 'renorm zoo list' with its initial weights, or a pretrained entry"
    )
    parser.add_argument("--law", action="append", required=True, help="law of the input; may be given several times")
    parser.add_argument("--methods", nargs="+", help=f"of {', '.join(METHODS)}; by default all that apply")
    parser.add_argument("--closure", type=int, default=4, help="cumulants that edgeworth keeps (default: 4)")
    parser.add_argument("--closed_at", default="auto", help="where: 'layers', 'input' or 'auto' (default: auto)")
    parser.add_argument("--member", type=int, default=0, help="which network of the stack (default: 0)")
    parser.add_argument("--samples", type=int, default=1_000_000, help="blocks of the sample (default: 1000000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample (default: 0)")
    parser.add_argument("--json", metavar="FILE", help="write every number, unit by unit, to this file")
    add_wide(parser)
    arguments = parser.parse_args(words[1:])
    check_arguments(arguments)
    chosen = [laws.parse(text) for text in arguments.law]
    for law in chosen:
        law.check_resolved(torch.get_default_dtype())
    model, weights = find_model(arguments)
    model.requires_grad_(False)
    if not 0 <= arguments.member < model.num_members:
        raise InputError(f"member={arguments.member} is out of range", f"0 to {model.num_members - 1}")
    print(f"weights {weights}")
    results = [compared(model, law, arguments) for law in chosen]
    if arguments.json is not None:
        Path(arguments.json).write_text(json.dumps(results, indent=1), encoding="utf-8")


def check_arguments(arguments: argparse.Namespace) -> None:
    """Raise a ValueError for values out of range, before anything is read."""
    if not 2 * ORDER <= arguments.samples <= 10**9:
        raise InputError(f"samples={arguments.samples} is out of range", f"{2 * ORDER} to {10**9}")
    check_at_least("seed", arguments.seed, 0)
    for method in arguments.methods or []:
        check_one_of("methods", method, METHODS)
    if arguments.json is not None and not Path(arguments.json).resolve().parent.is_dir():
        raise InputError(f"json={arguments.json!r} is in no folder that exists", "a file in a folder that exists")


def find_model(arguments: argparse.Namespace) -> tuple[StackedModel, str]:
    """The model of a checkpoint or of the zoo, and where its weights come from."""
    runs = runs_of(arguments.name, arguments.ckpt_path)
    if arguments.model is not None and "." not in arguments.model:
        model = create_model(arguments.model)
        return model, f"{arguments.model}, untrained, seed {model.hparams['seed']}"
    word = arguments.model or arguments.ckpt_path
    source = f"{word}, pretrained" if checkpoint.is_pretrained(word) else str(checkpoint.find_checkpoint(word, runs))
    return checkpoint.find_model(word, runs), source


def predictions_of(
    model: StackedModel, law: laws.Law, arguments: argparse.Namespace, show: Callable[[str], None]
) -> list[Propagation]:
    """Predictions of the chosen methods; by default of all methods that apply to the model and the law."""
    closures = ["gaussian", "edgeworth"]
    if read_network(model).nodes > 1:
        closures.insert(0, "independent_nodes")
    predictions = []
    for method in arguments.methods or [*closures, "exact", "quadrature"]:
        show(method)
        at = arguments.closed_at if method in ("gaussian", "edgeworth") else "auto"
        options: dict[str, Any] = {"closure": arguments.closure, "closed_at": at, "members": [arguments.member]}
        try:
            prediction = propagate(model, law, ORDER, method=method, **options)
            prediction.marginals("out")  # worked out when they are asked for
        except ValueError:
            if arguments.methods or method in closures:
                raise
            continue  # other activations, larger blocks, laws that are neither discrete nor continuous
        predictions.append(prediction)
    return predictions


def compared(model: StackedModel, law: laws.Law, arguments: argparse.Namespace) -> dict[str, Any]:
    """Print the table of one law; returns all its numbers."""
    with shown_steps() as show_step:

        def show(step: str) -> None:
            show_step(f"{law.short}, {step}")

        predictions = predictions_of(model, law, arguments, show)
        found = measured(model, law, arguments.member, arguments.samples, arguments.seed, show)
    print_law(law, predictions, found, arguments.wide)
    return {
        "law": str(law),
        "member": arguments.member,
        "samples": arguments.samples,
        "measured": {layer: {"k": m.k[:, 0].tolist(), "stderr": m.stderr[:, 0].tolist()} for layer, m in found.items()},
        "predicted": {
            str(p.method): {"closure": p.closure, "layers": {layer: p.marginals(layer)[:, 0].tolist() for layer in p}}
            for p in predictions
        },
    }


def measured(
    model: StackedModel, law: laws.Law, member: int, samples: int, seed: int, show: Callable[[str], None]
) -> dict[str, Measured]:
    """Unbiased estimates of one member's cumulants, from a sample that is drawn in pieces."""
    network = read_network(model).part([member])
    sums: dict[str, Any] = {}
    for step, start in enumerate(range(0, samples, CHUNK)):
        show(f"sample, {start} of {samples} blocks")
        rows = min(CHUNK, samples - start)
        x = draw_blocks([law], rows, model.block_size, seed=seed, split="probe", epoch=0, step=step).double()
        for name, values in zip(network.names(), network.walk(x.T.unsqueeze(0)), strict=True):
            part = power_sums(values, 2 * ORDER, dim=2)
            sums[name] = merge(sums[name], part) if name in sums else part
    return {name: Measured(total.kstat(ORDER), total.kstat_stderr(ORDER)) for name, total in sums.items()}


def print_law(law: laws.Law, predictions: list[Propagation], found: dict[str, Measured], wide: bool) -> None:
    """Print means over the units of every layer, one row an order; a narrow table has fewer digits and no gaps."""
    digits = 6 if wide else 4
    table = Table("layer", "order", "measured", "error", box=None, pad_edge=False)
    names = [f"{p.method}" + ("" if p.closure is None else f" {p.closure}") for p in predictions]
    for name in names:
        table.add_column(name.replace("_", "\n"), justify="right")
        table.add_column("gap", justify="right")
    for layer, estimate in found.items():
        for n in range(ORDER):
            measured_mean, error = float(estimate.k[n].mean()), float(estimate.stderr[n].mean())
            row = [layer, f"k{n + 1}", f"{measured_mean:.{digits}g}", f"{error:.1g}"]
            for prediction in predictions:
                predicted = prediction.marginals(layer)[n]
                gap = float((predicted - estimate.k[n]).mean())
                row += [f"{float(predicted.mean()):.{digits}g}", f"{gap:+.1e}"]
            table.add_row(*row)
    print_wrapped(f"law {law.short}")
    printed = print_table(table, ["gap", "quadrature" if "exact" in names else "error", "error"], wide)
    shown = {str(column.header) for column in printed.columns}
    meanings = [f"{heading}: {meaning}" for heading, meaning in MEANINGS.items() if heading in shown]
    print_wrapped(". ".join(["Means over units", "; ".join(meanings)]))
