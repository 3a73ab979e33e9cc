"""``renorm plot flow``: the flow of distributions under learned maps, beside the map itself and its fixed point."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.figure import Figure

from ..callbacks.figures import verbatim
from ..callbacks.flow_figures import LAST_BLOCKS, draw_correlations, draw_densities, draw_magnetisations
from ..callbacks.rg_flow import is_gaussian, standardised
from ..checks import check_at_least
from ..datamodules import laws
from ..datamodules.block_sources import BlockSource, FileBlocks, parse_source
from ..datamodules.source import Source
from ..errors import InputError
from ..limits import check_samples
from ..maps import BlockMap
from ..progress import shown_steps
from ..runs.checkpoint import find_model
from ..training.recipe import known_map
from ..training.stack import StackedModel
from .options import OneLineParser
from .plot import FORMATS, figure_path

MOST_STEPS = 64
FEWEST_SAMPLES = 100


def run(words: list[str]) -> None:
    """Run ``renorm plot flow``."""
    parser = OneLineParser(
        prog="renorm plot flow",
        description="distributions after 0, 1, 2, 4, ... steps of learned maps, beside those of the map itself and its fixed "
        "point; magnetisations, for the majority of spins; correlations of neighbours, for chains such as ising_chain()",
    )
    parser.add_argument(
        "--model", nargs="+", required=True, help="pretrained entries or checkpoints, 'last' or 'best', of one map"
    )
    parser.add_argument("--law", nargs="+", required=True, help="laws that flows start from, or chains")
    parser.add_argument("--steps", type=int, default=8, help="the last step (default: 8)")
    parser.add_argument("--samples", type=int, default=65536, help="size of the samples (default: 65536)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the samples (default: 0)")
    parser.add_argument("--out", required=True, help=f"figure to write: {', '.join(FORMATS)}")
    arguments = parser.parse_args(words[1:])
    out = figure_path(arguments.out)
    if not 1 <= arguments.steps <= MOST_STEPS:
        raise InputError(f"steps={arguments.steps} is out of range", f"1 to {MOST_STEPS}")
    check_at_least("samples", arguments.samples, FEWEST_SAMPLES)
    check_at_least("seed", arguments.seed, 0)
    starts = [parse_source(text) for text in arguments.law]
    models = {word: find_model(word, Path("runs")) for word in arguments.model}
    with shown_steps() as show:
        show("flow")
        figure = flow_figure(models, starts, arguments.steps, arguments.samples, arguments.seed)
        figure.savefig(out, dpi=110)
    print(f"figure: {out}")


def flow_figure(models: dict[str, StackedModel], starts: list[Source], steps: int, samples: int, seed: int) -> Figure:
    """The figure that fits a map and what flows start from.

    Args:
        models: name -> stack.
        starts: laws, or sources of chains.
        steps: the last step.
        samples: size of the samples.
        seed: of the draws.

    Raises:
        ValueError: for models of different maps, and laws or sources that have no such flow.
    """
    block_map, block_size = common_map(models)
    check_samples(samples * max(model.num_members * block_size for model in models.values()))
    chains = [source for source in starts if isinstance(source, BlockSource)]
    chosen = [law for law in starts if isinstance(law, laws.Law)]
    if chains and chosen:
        raise InputError(f"law={str(chosen[0])!r} beside {str(chains[0])!r}", "laws alone, or chains alone")
    if chains:
        check_chains(chains, block_size, steps, samples)
        figure = draw_correlations(models, block_map, chains, steps, samples, seed)
    elif block_map.values is not None:
        check_values(chosen, block_map)
        figure = draw_magnetisations(models, block_map, chosen, steps, samples, seed)
    else:
        if is_gaussian(block_map, block_size):
            chosen = [standardised(law) for law in chosen]
        figure = draw_densities(models, block_map, chosen, steps, samples, seed)
    figure.suptitle(f"flow under {verbatim(str(block_map))}, blocks of {block_size}", fontsize="medium")
    return figure


def common_map(models: dict[str, StackedModel]) -> tuple[BlockMap, int]:
    """The map and the block size of all models.

    Raises:
        ValueError: where they differ.
    """
    found = {name: (known_map(model), model.block_size) for name, model in models.items()}
    first, *others = found
    for name in others:
        if found[name] != found[first]:
            described = [f"{name} learned {block_map}, blocks of {size}" for name, (block_map, size) in found.items()]
            raise InputError(f"model={name!r} differs: {'; '.join(described)}", "models of one map and one block size")
    return found[first]


def check_chains(chains: list[BlockSource], block_size: int, steps: int, samples: int) -> None:
    """Refuse sources that are not chains, and more steps than the samples are long enough for.

    Raises:
        ValueError: naming the setting.
    """
    for source in chains:
        if isinstance(source, FileBlocks):
            raise InputError(f"law={str(source)!r} has blocks of one length", "laws, or chains such as ising_chain()")
        source.check(block_size, torch.get_default_dtype())
    length = LAST_BLOCKS * block_size**steps
    if length > samples:
        most = next(n for n in range(steps, -1, -1) if LAST_BLOCKS * block_size**n <= samples)
        raise InputError(
            f"steps={steps} needs chains of {length} variables, and samples={samples}",
            f"up to {most} steps, or more samples" if most else "more samples",
        )


def check_values(chosen: list[laws.Law], block_map: BlockMap) -> None:
    """Refuse laws of other values than those that a map is for.

    Raises:
        ValueError: naming the law.
    """
    values = block_map.values or ()
    for law in chosen:
        points = law.atoms()
        if points is None or not {float(value) for value, _ in points} <= set(values):
            raise InputError(
                f"law={str(law)!r} has other values than the variables of {block_map}",
                f"laws on {', '.join(f'{value:g}' for value in values)}, such as {block_map.fixed_point(3)}",
            )
