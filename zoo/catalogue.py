"""The variants that come with renorm, as a file: to list them needs no PyTorch, which takes seconds to import.

``python -m renorm.zoo.catalogue`` writes the file again after a variant was added or changed.
"""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path
from typing import TypedDict

FILE = Path(__file__).parent / "catalogue.json"


class Entry(TypedDict):
    """One variant: its name, what sets it apart, the numbers that one member trains at its default width, and one line."""

    name: str
    architecture: str
    activation: str
    symmetry: str
    parameters: int
    description: str


def read_catalogue(pattern: str | None = None) -> list[Entry]:
    """The variants whose names match a shell-style pattern; all by default.

    Example:
        >>> [entry["parameters"] for entry in read_catalogue("mlp_relu_fu*")]
        [4]
    """
    entries: list[Entry] = json.loads(FILE.read_text(encoding="utf-8"))
    return [entry for entry in entries if pattern is None or fnmatch.fnmatchcase(entry["name"], pattern)]


def make_catalogue() -> list[Entry]:
    """The same from the registry itself."""
    from .registry import find_variant, list_models

    variants = [find_variant(name) for name in list_models()]
    return [
        {
            "name": variant.name,
            "architecture": variant.name.partition(f"_{variant.arguments['activation']}_")[0],
            "activation": variant.arguments["activation"],
            "symmetry": variant.arguments["symmetry"],
            "parameters": free_parameters(variant.name),
            "description": variant.description,
        }
        for variant in variants
        if variant.class_path.startswith("renorm.")
    ]


def free_parameters(name: str) -> int:
    """Trained parameters of one member at default settings; 0 where a variant trains nothing."""
    from . import gnn
    from .registry import create_model, find_variant

    variant = find_variant(name)
    if variant.class_path.endswith(".GNN"):
        return gnn.free_parameters(**variant.arguments)
    model = create_model(name)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


if __name__ == "__main__":
    FILE.write_text(json.dumps(make_catalogue(), indent=0) + "\n", encoding="utf-8")
