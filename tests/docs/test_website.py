"""The site, without building it: pages, names, options, formulas and links; 'make docs' builds it strictly."""

from __future__ import annotations

import doctest
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from latex2mathml.converter import convert
from website import commands, markup, pages, python_api, registries, shelf, tutorials

from renorm.datamodules import laws
from renorm.datamodules.block_sources import BlockSource

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WRITTEN = sorted(DOCS.rglob("*.md"))
FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\\$])\$(?! )([^$\n]+?)(?<! )\$(?!\d)", re.DOTALL)


def places(nav: Any) -> Iterator[str]:
    """All paths of a navigation."""
    if isinstance(nav, str):
        yield nav
    else:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from places(part)


@pytest.fixture(scope="module")
def navigation() -> list[str]:
    return list(places(pages.filled(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])))


def test_every_page_is_in_the_navigation_once(navigation: list[str]) -> None:
    written = {str(page.relative_to(DOCS)) for page in WRITTEN}
    notebooks = {f"tutorials/{script.stem}.md" for script in tutorials.SCRIPTS}
    api = {python_api.page_of(package) for package in python_api.public_packages()}
    scripts = set(pages.example_pages())
    asked = {f"reference/commands/{'_'.join(words)}.md" for words in commands.all_commands()}
    cards = {f"zoo/{name}.md" for name in shelf.families()}
    assert written | notebooks | api | scripts | asked | cards <= set(navigation)
    assert len(navigation) == len(set(navigation))
    generated = {"reference/commands/index.md", *(path for path, _ in shelf.config_pages())}
    rest = set(navigation) - written - notebooks - api - scripts - asked - cards - generated
    lists = {f"reference/{name}.md" for name in ("laws", "maps", "activations", "symmetries", "graphs", "variants")}
    assert rest == lists | {f"project/{name.lower()}" for name in pages.PROJECT}


def test_every_public_name_has_one_entry() -> None:
    entries = [line[4:] for _, text in python_api.api_pages() for line in text.splitlines() if line.startswith("::: ")]
    assert len(entries) == len(set(entries)) > 100
    for package in python_api.public_packages():
        for name in python_api.public_names(package):
            assert f"{python_api.home(package, name)}.{name}" in entries, name


def documented() -> dict[str, str]:
    """Docstrings of all public classes and functions, by name, and of the methods that are renorm's own."""
    found = {}
    for package in python_api.public_packages():
        for name, thing in python_api.public_names(package).items():
            if inspect.isclass(thing) or inspect.isfunction(thing):
                found[f"{package}.{name}"] = thing.__doc__ or ""
            for key, method in vars(thing).items() if inspect.isclass(thing) else ():
                if inspect.isfunction(method) and not key.startswith("_"):
                    found[f"{package}.{name}.{key}"] = method.__doc__ or ""
    return found


def test_every_public_class_function_and_method_has_a_docstring() -> None:
    assert len(documented()) > 300
    assert [name for name, text in documented().items() if not text.strip()] == []


def test_formulas_of_docstrings_and_pages_are_latex() -> None:
    texts = {name: markup.from_docstring(inspect.cleandoc(text)) for name, text in documented().items()}
    assert not [name for name, text in texts.items() if ":math:" in text or ".. math::" in text]
    texts |= {page.name: markup.from_github(page.read_text()) for page in WRITTEN}
    number = 0
    for name, text in texts.items():
        for displayed, inline in FORMULA.findall(re.sub(r"```.*?```|``.+?``|`[^`\n]*`", "", text, flags=re.DOTALL)):
            number += 1
            assert "<math" in convert(displayed or inline), name
    assert number > 300


def test_links_between_written_pages_exist(navigation: list[str]) -> None:
    for page in WRITTEN:
        for target in re.findall(r"\]\(([\w/.-]+\.md)(?:#[\w-]+)?\)", page.read_text()):
            path = (page.parent / target).resolve()
            assert path.exists() or str(path.relative_to(DOCS)) in navigation, (page.name, target)


@pytest.mark.parametrize("words", [["plot"], ["zoo", "list"], ["sweep"]])
def test_a_commands_page_has_every_option(words: list[str]) -> None:
    help_text, page = commands.help_of(words), commands.command_page(words)
    options = set(re.findall(r"(?<![\w-])--\w+", help_text)) - {"--help"}
    assert len(options) >= 2
    for option in options:
        assert re.search(rf"^`(-\w \w+, )?{option}\b", page, re.MULTILINE), option


def test_the_page_of_fit_has_a_heading_for_each_part_of_a_run() -> None:
    page = commands.command_page(["fit"])
    assert "\b" not in page
    headings = re.findall(r"^## (.*)", page, re.MULTILINE)
    assert headings[:4] == ["Options", "trainer", "model", "data"]
    assert {"cumulants", "symmetry_breaking", "rg_flow", "theory_gap"} <= set(headings)


def test_every_law_is_listed_with_its_cumulants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registries, "picture_of", lambda law: str(law).encode())  # drawn by 'make docs'
    made = dict(registries.law_pages())
    text = str(made["reference/laws.md"])
    for name in laws.names():
        assert f"\n## {name}\n" in text
        assert name == "empirical" or f"reference/images/law_{name}.svg" in made
    assert "| [gamma](#gamma) | `gamma(shape=2, scale=1)` | 2 | 2 | 4 | 12 |" in text


def test_the_page_of_data_names_every_law_and_source() -> None:
    page = (ROOT / "docs" / "own_data.md").read_text()
    named = set(re.findall(r"\w+", page.partition("## Held-out laws")[0]))
    assert named >= {*laws.names(), *BlockSource.registry}


def test_cards_are_split_and_linked() -> None:
    made = dict(shelf.zoo_pages())
    anchors = re.findall(r"\]\((zoo/\w+\.md)#([\w]+)\)", made["zoo.md"])
    assert len(anchors) == sum(len(names) for names in shelf.families().values()) > 100
    for path, anchor in anchors:
        headings = {line[3:].replace(".", "") for line in made[path].splitlines() if line.startswith("## ")}
        assert anchor in headings


@pytest.mark.parametrize("module", [commands, markup, shelf, tutorials])
def test_examples_of_the_generator(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
