"""``renorm bench``: the performance table of this machine, in Markdown and JSON, with figures."""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from .. import __version__
from ..bench.figures import draw_growth, draw_parts
from ..bench.measure import (
    CONVERGED_STEPS,
    DEFAULT_EPOCH,
    EPOCHS,
    GROWTH,
    LEAST_TRAINING,
    MOST_OVERHEAD,
    MOST_SAMPLING,
    QUICK_GROWTH,
    measure_convergence,
    measure_goals,
    measure_growth,
    measure_others,
    measure_parts,
    share_of_training,
    shares_of,
    slopes,
)
from ..bench.memory import peak_memory
from ..bench.peers import interpreter, measure_jax
from ..bench.threads import QUICK_SIZES, SIZES, markdown_threads, measure_threads
from ..callbacks.results import write_json
from ..checks import check_at_least
from ..console import print_table, print_wrapped
from ..files.whole import check_writable
from ..progress import shown_steps
from .options import OneLineParser, add_wide

MEMBERS = 1024


def run(words: list[str]) -> None:
    """Run ``renorm bench``."""
    parser = OneLineParser(prog="renorm bench", description="costs of training on this machine, side by side")
    parser.add_argument("--out", default="bench", help="folder for bench.md, bench.json and figures (default: bench)")
    parser.add_argument("--quick", action="store_true", help="a rough look in a minute or two")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="of PyTorch (default: its own choice)"
    )
    parser.add_argument(
        "--peers", default=None, help="jax, or jax=PYTHON of an environment that has it: steps in JAX beside"
    )
    add_wide(parser)
    arguments = parser.parse_args(words[1:])
    check_at_least("threads", arguments.threads, 1)
    python = None if arguments.peers is None else interpreter(arguments.peers)
    out = Path(arguments.out)
    check_writable(out, "out")
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    warnings.filterwarnings("ignore")
    with shown_steps() as show:
        content = measure(arguments.quick, python, show)
    write_json(out / "bench.json", content)
    (out / "bench.md").write_text(markdown(content), encoding="utf-8")
    draw_growth(content["growth"], content["slopes"]).savefig(out / "growth.png", dpi=120)
    draw_parts(content["parts"], MEMBERS).savefig(out / "parts.png", dpi=120)
    print_goals(content, arguments.wide)
    print(f"written: {out}")


def print_goals(content: dict[str, Any], wide: bool = False) -> None:
    """Print what is measured against its goals; ``wide`` prints all that is in ``bench.md``."""
    if wide:
        print(markdown(content))
        return
    table = Table("what", "against", box=None, pad_edge=False)
    for name in ("µs", "ratio", "goal", "reached"):
        table.add_column(name, justify="right")
    for row in content["goals"]:
        numbers = f"{row['seconds'] * 1e6:.4g}", f"{row['ratio']:.3g}", str(row["goal"])
        table.add_row(row["what"], row["against"], *numbers, "yes" if row["reached"] else "no")
    print_table(table, ("µs", "against"))
    print_wrapped("µs: time of a step of one member; ratio: of the two times. --wide prints the other tables, too")


def measure(
    quick: bool, jax_python: str | None = None, show: Callable[[str], None] = lambda step: None
) -> dict[str, Any]:
    """All measurements, as numbers; those of JAX where a Python that has it is given.

    Args:
        quick: whether this is a rough look.
        jax_python: path of a Python that has JAX.
        show: called with what is being measured.
    """
    rounds, steps, budget = (1, 240, 0.1) if quick else (3, 400, 0.5)
    long = CONVERGED_STEPS // 20 if quick else CONVERGED_STEPS
    show("steps of fits")
    goals = measure_goals(rounds, steps)
    if not quick:
        goals += measure_others(rounds, steps)
    if jax_python is not None:
        goals += measure_jax(jax_python, rounds, steps, budget)
    show("growth with sizes")
    growth = measure_growth(QUICK_GROWTH if quick else GROWTH, budget)
    show("parts of a fit")
    parts = measure_parts(MEMBERS, steps, budget)
    show("threads")
    by_threads = measure_threads(QUICK_SIZES if quick else SIZES, steps, 1 if quick else 2)
    show("a long fit")
    return {
        "machine": machine(),
        "quick": quick,
        "goals": goals,
        "growth": growth,
        "slopes": slopes(growth),
        "parts": parts,
        "threads": by_threads,
        "late_over_early": {"steps": long, "members": MEMBERS, "ratio": measure_convergence(MEMBERS, long)},
        "peak_memory_gib": peak_memory(),
    }


def machine() -> dict[str, Any]:
    """The machine and the versions of the measurement."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "renorm": __version__,
    }


def processor() -> str:
    """The name of the processor, where the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def markdown(content: dict[str, Any]) -> str:
    """Print the results as tables."""
    own = content["machine"]
    quick = " A quick look: one round of few steps." if content["quick"] else ""
    lines = [
        f"{own['processor']}, {own['cores']} cores, {own['threads']} threads, Python {own['python']}, torch {own['torch']}, "
        f"renorm {own['renorm']}. Batch 256, Adam, float32, compiled; medians of ratios.{quick}",
        "",
        "| what | µs | against | µs | ratio | goal | reached |",
        "| --- | ---: | --- | ---: | ---: | ---: | --- |",
    ]
    for row in content["goals"]:
        lines.append(
            f"| {row['what']} | {row['seconds'] * 1e6:.2f} | {row['against']} | {row['seconds_against'] * 1e6:.2f} "
            f"| {row['ratio']:.3g} | {row['goal']} | {'yes' if row['reached'] else 'no'} |"
        )
    lines += ["", "| axis | value | ms a step | MiB |", "| --- | ---: | ---: | ---: |"]
    for row in content["growth"]:
        lines.append(f"| {row['axis']} | {row['value']} | {row['seconds'] * 1e3:.3f} | {row['bytes'] / 2**20:.3g} |")
    exponents = ", ".join(f"{axis}^{slope:.2f}" for axis, slope in content["slopes"].items())
    late = content["late_over_early"]
    lines += [
        "",
        f"Time grows as {exponents} over the upper half of each range.",
        f"Last tenth of {late['steps']} steps over the first: {late['ratio']:.2f}.",
        f"Peak memory of all this: {content['peak_memory_gib']:.2f} GiB.",
        "",
        *_shares(content["parts"]),
        "",
        "A step of a fit on one thread and on all. Busy means as many other processes that compute as there are threads.",
        "",
        *markdown_threads(content["threads"]),
    ]
    return "\n".join(lines) + "\n"


def _shares(parts: dict[str, float]) -> list[str]:
    goals = f"sampling <= {MOST_SAMPLING:.0%}", f"Lightning and callbacks <= {MOST_OVERHEAD:.0%}"
    lines = [
        f"Where the time of a fit of {MEMBERS} members goes; a validation takes {parts['validation']:.2f} s, its metrics and all "
        f"diagnostics {parts['callbacks']:.2f} s.",
        "",
        f"| validation every | {' | '.join(parts)} | {' | '.join(goals)} |",
        f"| --- | {'---: | ' * len(parts)}--- | --- |",
    ]
    for epoch in EPOCHS:
        share = shares_of(parts, epoch)
        reached = share["sampling"] <= MOST_SAMPLING, share["Lightning"] + share["callbacks"] <= MOST_OVERHEAD
        lines.append(
            f"| {'never' if epoch is None else f'{epoch} steps'} | "
            f"{' | '.join(f'{100 * value:.0f}%' for value in share.values())} | "
            f"{' | '.join('yes' if goal else 'no' for goal in reached)} |"
        )
    trained = share_of_training(parts, DEFAULT_EPOCH)
    lines += [
        "",
        f"Training is {trained:.0%} of an epoch of {DEFAULT_EPOCH} steps with its validation and all diagnostics; goal: "
        f">= {LEAST_TRAINING:.0%}, {'' if trained >= LEAST_TRAINING else 'not '}reached.",
    ]
    return lines
