"""Configs, named variants and the pretrained zoo, from the files that renorm reads."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from renorm.cli.zoo import family, known_entries, known_variants
from renorm.pretrained.cards import card
from renorm.pretrained.manifest import FOLDER as SHELF
from renorm.pretrained.manifest import find_entry
from renorm.pretrained.page import anchor, page
from renorm.runs.configs import BASE_CONFIG, CONFIGS
from renorm.zoo.catalogue import read_catalogue

FOLDERS = {  # of configs: title, and how one is named
    "model": ("Models", "renorm fit --config NAME"),
    "data": ("Data", "renorm fit --config mlp_relu_free --config NAME"),
    "experiment": ("Experiments", "renorm fit --config NAME"),
    "sweep": ("Sweeps", "renorm sweep --config NAME"),
    "claims": ("Claims", "renorm report --only NAME"),
}


def config_pages() -> Iterator[tuple[str, str]]:
    """One page a folder of configs: each file as it is, its first comment as the text above it."""
    lines = [
        "# Configs",
        "",
        "Configs are laid over each other in the order of the command line, and flags over all. Every run starts from",
        "",
        "```yaml",
    ]
    yield "reference/configs/index.md", "\n".join([*lines, BASE_CONFIG.read_text().rstrip(), "```"]) + "\n"
    for folder, (title, command) in FOLDERS.items():
        lines = [f"# {title}", "", f"`{command}`"]
        for path in sorted((CONFIGS / folder).glob("*.yaml")):
            comment, content = split_comment(path.read_text())
            lines += ["", f"## {path.stem}", "", comment, "", "```yaml", content, "```"]
        yield f"reference/configs/{folder}.md", "\n".join(lines) + "\n"


def split_comment(text: str) -> tuple[str, str]:
    r"""The comment that a file starts with, and the rest.

    Example:
        >>> split_comment("# Of two\n# lines.\na: 1\n")
        ('Of two lines.', 'a: 1')
    """
    comment = re.match(r"(?:#.*\n)*", text)
    head = comment.group(0) if comment else ""
    words = " ".join(line.lstrip("# ").strip() for line in head.splitlines())
    return re.sub(r"'([\w-]+)'", r"`\1`", words), text[len(head) :].strip()


def variant_page() -> Iterator[tuple[str, str]]:
    """Every variant of ``renorm zoo list``, by family."""
    grouped, facets = defaultdict(list), known_variants()
    for entry in read_catalogue():
        grouped[family(facets[entry["name"]])].append(entry)
    lines = [
        "# Named variants",
        "",
        "`renorm fit --config NAME`, or `renorm.create_model(name)`. Parameters are those that one member trains at its ",
    ]
    lines[-1] += "default width. `renorm zoo list` prints the same."
    for name, entries in grouped.items():
        lines += ["", f"## {name}", "", "| name | parameters | what it is |", "| --- | ---: | --- |"]
        lines += [f"| `{entry['name']}` | {entry['parameters']} | {entry['description']} |" for entry in entries]
    yield "reference/variants.md", "\n".join(lines) + "\n"


def families() -> dict[str, list[str]]:
    """Pretrained entries by what they share, such as the activation."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, facets in known_entries(SHELF).items():
        found[family(facets)].append(name)
    return found


def zoo_pages() -> Iterator[tuple[str, str]]:
    """The pretrained zoo: ``docs/zoo.md`` without its cards, and these on a page a family."""
    text = page().partition("\n## Cards\n")[0] + "\n"
    for folder, names in families().items():
        for name in names:
            text = text.replace(f"(#{anchor(name)})", f"(zoo/{folder}.md#{anchor(name)})")
        cards = [card(name, find_entry(name), level=2) for name in names]
        yield f"zoo/{folder}.md", "\n\n".join([f"# {folder}", *cards]) + "\n"
    yield "zoo.md", text
