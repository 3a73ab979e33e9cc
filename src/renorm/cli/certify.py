"""``renorm certify``: can these weights, under this symmetry and activation, represent the map for every law?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..certificates.certificate import build_model, certify_grid
from ..errors import InputError
from ..files.untrusted import parse_yaml, read_yaml
from ..runs.checkpoint import find_model
from ..runs.configs import find_config
from ..training.stack import StackedModel
from .options import OneLineParser

PREFIX = "--model."


def run(words: list[str]) -> None:
    """Run ``renorm certify``."""
    parser = OneLineParser(
        prog="renorm certify",
        description="can this architecture represent the map for every law? 'representable' with weights, "
        "'not representable' with the reason, or 'undecided'",
        epilog="settings of the model are changed as in 'renorm fit': --model.width 1",
    )
    parser.add_argument("--config", "-c", action="append", help="a config or a model's name, as for 'renorm fit'")
    parser.add_argument("--ckpt_path", help="a checkpoint, 'last' or 'best', or a pretrained entry's name")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments, rest = parser.parse_known_args(words[1:])
    if (arguments.config is None) == (arguments.ckpt_path is None):
        raise InputError("config and ckpt_path: one is needed", "--config NAME, or --ckpt_path FILE")
    overrides = model_overrides(rest)
    if arguments.ckpt_path is not None:
        if overrides:
            raise InputError(f"model.{next(iter(overrides))} contradicts --ckpt_path", "with --config")
        model = find_model(arguments.ckpt_path, Path("runs"))
    else:
        model = model_of([find_config(name) for name in arguments.config], overrides)
    found = certify_grid(model)
    if arguments.json:
        print(json.dumps({label: certificate.to_dict() for label, certificate in found.items()}, indent=1))
        return
    for certificate in found.values():
        print(certificate)


def model_overrides(words: list[str]) -> dict[str, Any]:
    """Settings from ``--model.width 1`` or ``--model.width=1``.

    Raises:
        ValueError: for any other word, or a setting without a value.

    Example:
        >>> model_overrides(["--model.width", "1", "--model.bias=false"])
        {'width': 1, 'bias': False}
    """
    found: dict[str, Any] = {}
    position = 0
    while position < len(words):
        name, equals, value = words[position].partition("=")
        if not name.startswith(PREFIX) or name == PREFIX:
            raise InputError(f"{words[position]!r} is unknown", "--config, --ckpt_path, --json, --model.NAME VALUE")
        if not equals:
            position += 1
            if position == len(words):
                raise InputError(f"{name} has no value", f"{name} VALUE")
            value = words[position]
        position += 1
        found[name.removeprefix(PREFIX).removeprefix("init_args.")] = parse_yaml(value, f"{name}={value[:200]!r}")
    return found


def model_of(configs: list[str], overrides: dict[str, Any]) -> StackedModel:
    """A model from configs, later ones over earlier ones, and overrides over all.

    Raises:
        ValueError: where no config has a model, or its settings do not fit.
    """
    section: dict[str, Any] = {}
    for config in configs:
        # a registered model's config is text, any other the path of a file that was read once already
        content = json.loads(config) if config.startswith("{") else read_yaml(Path(config), f"config={config!r}")
        model = content.get("model")
        if model is None:
            continue
        if not isinstance(model, dict) or not isinstance(model.get("init_args") or {}, dict):
            raise InputError(f"config={config!r} has no model that can be read", "model: {class_path, init_args}")
        # as on the command line, another class starts from its own settings
        same = "class_path" not in model or model["class_path"] == section.get("class_path", model["class_path"])
        settings = {**(section.get("init_args") or {} if same else {}), **(model.get("init_args") or {})}
        section = {**section, **model, "init_args": settings}
    if not section:
        raise InputError(f"config={configs!r} has no section 'model'", "configs of a model or an experiment")
    section["init_args"] = {**section["init_args"], **overrides}
    return build_model(section)
