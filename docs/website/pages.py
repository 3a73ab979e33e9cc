"""All generated pages, and where they stand in the navigation."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from . import commands, python_api, registries, shelf

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PROJECT = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")  # at the root of the repository


def example_pages() -> dict[str, str]:
    """Every script of ``examples/``, to which how-to pages link."""
    found = {}
    for path in sorted(EXAMPLES.glob("*.py")):
        found[f"examples/{path.stem}.md"] = f"# {path.name}\n\n```python\n{path.read_text().rstrip()}\n```\n"
    return found


@cache
def pages() -> dict[str, str | bytes]:
    """Path below ``docs/`` and content of all that is generated."""
    found: dict[str, str | bytes] = dict(example_pages())
    found |= {f"project/{name.lower()}": (ROOT / name).read_text() for name in PROJECT}
    for made in (
        python_api.api_pages(),
        commands.command_pages(),
        registries.registry_pages(),
        shelf.config_pages(),
        shelf.variant_page(),
        shelf.zoo_pages(),
    ):
        found |= dict(made)
    return found


@cache
def sections() -> dict[str, list[Any]]:
    """The parts of the navigation that ``mkdocs.yml`` has by name only."""
    configs = [{title: f"reference/configs/{folder}.md"} for folder, (title, _) in shelf.FOLDERS.items()]
    cards = [f"zoo/{name}.md" for name in shelf.families()]
    return {
        "EXAMPLES": [{Path(path).stem: path} for path in example_pages()],
        "COMMANDS": ["reference/commands/index.md"]
        + [
            {f"renorm {' '.join(words)}": f"reference/commands/{'_'.join(words)}.md"}
            for words in commands.all_commands()
        ],
        "PYTHON": [{package: python_api.page_of(package)} for package in python_api.public_packages()],
        "CONFIGS": ["reference/configs/index.md", *configs],
        "ZOO": ["zoo.md", *({Path(path).stem: path} for path in cards)],
    }


def filled(nav: Any) -> Any:
    """The navigation of ``mkdocs.yml`` with the generated parts in place of their names."""
    if isinstance(nav, list):
        return [filled(part) for part in nav]
    if isinstance(nav, dict):
        return {title: filled(part) for title, part in nav.items()}
    return sections().get(nav, nav)
