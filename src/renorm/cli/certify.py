"""``renorm certify``: can these weights, under this symmetry and activation, represent the map for every law?"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

from ..certificates.certificate import certify_grid
from ..console import print_wrapped
from ..errors import InputError
from ..files.untrusted import read_yaml
from ..progress import shown_steps
from ..runs.checkpoint import find_model
from ..runs.configs import BASE_CONFIG, find_config
from ..training.stack import StackedModel
from .imports import imports_restricted
from .options import ALLOW_IMPORTS, OneLineParser, add_checkpoint, runs_of, take_flag
from .settings_parser import Parser, building, in_one_line


def run(words: list[str]) -> None:
    """Run ``renorm certify``."""
    everything, words = take_flag(words, ALLOW_IMPORTS)
    parser = OneLineParser(
        prog="renorm certify",
        description="can this architecture represent the map for every law? 'representable' with weights, "
        "'not representable' with the reason, or 'undecided'",
        epilog="settings of the model are changed as in 'renorm fit': --model.width 1",
    )
    parser.add_argument("--config", "-c", action="append", help="a config or a model's name, as for 'renorm fit'")
    add_checkpoint(parser)
    parser.add_argument("--map", help="the map; by default that of the config's data, or the one trained on")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(ALLOW_IMPORTS, action="store_true", help="let configs import any class, as in 'renorm fit'")
    arguments, flags = parser.parse_known_args(words[1:])
    if (arguments.config is None) == (arguments.ckpt_path is None):
        raise InputError("config and ckpt_path: one is needed", "--config NAME, or --ckpt_path FILE")
    runs, map = runs_of(arguments.name, arguments.ckpt_path), arguments.map
    if arguments.ckpt_path is None:
        with imports_restricted(everything):
            model = read_model(arguments.config, flags)
        map = map or map_of(arguments.config)
    elif flags:
        raise InputError(f"{flags[0]} contradicts --ckpt_path", "with --config")
    else:
        model = find_model(arguments.ckpt_path, runs)
    with shown_steps() as show:
        show("certify")
        certificates = certify_grid(model, map)
    if arguments.json:
        print(json.dumps({label: certificate.to_dict() for label, certificate in certificates.items()}, indent=1))
        return
    for certificate in certificates.values():
        print_wrapped(str(certificate))


def read_model(configs: list[str], flags: list[str]) -> StackedModel:
    """The model that ``renorm fit`` builds from the same configs and flags.

    Args:
        configs: paths or names, later ones over earlier ones.
        flags: ``--model.NAME VALUE`` and the like, over all configs.

    Raises:
        ValueError: where no config has a model, or its settings do not fit.

    Example:
        >>> read_model(["mlp_relu_free"], ["--model.width", "1", "--model.bias=false"])
        MLP(block_size=2, activation='relu', width=1, depth=1, symmetry='free', bias=False): 1 member of 3 parameters
    """
    sections = [section for config in configs if (section := _section("model", find_config(config))) is not None]
    if not sections:
        raise InputError(f"config={configs!r} has no section 'model'", "configs of a model or an experiment")
    parser = Parser()
    parser.add_argument("--config", action=ActionConfigFile)
    parser.add_lightning_class_args(StackedModel, "model", subclass_mode=True)  # as LightningCLI does
    texts = [json.dumps({"model": section}) for section in (_section("model", str(BASE_CONFIG)), *sections)]
    try:
        settings = parser.parse_args([*(f"--config={text}" for text in texts), *flags])
    except (ValueError, RecursionError) as error:
        raise in_one_line(error) from None
    with building(), warnings.catch_warnings():
        # the name that all supported versions of jsonargparse have
        warnings.simplefilter("ignore", DeprecationWarning)
        model: StackedModel = parser.instantiate_classes(settings).model
    return model


def map_of(configs: list[str]) -> str | None:
    """The map of the data of configs, later ones over earlier ones; None if they name none.

    Example:
        >>> map_of(["maximum"]), map_of(["mlp_relu_free"])
        ('maximum()', None)
    """
    sections = [_section("data", find_config(config)) for config in configs]
    maps = [section["map"] for section in sections if isinstance(section, dict) and section.get("map")]
    return str(maps[-1]) if maps else None


def _section(name: str, config: str) -> Any:
    """A section of a config, a registered model's text or a file's path; None where it has none."""
    content = json.loads(config) if config.startswith("{") else read_yaml(Path(config), f"config={config!r}")
    return content.get(name)
