"""One page for each command: every option, from the parser that reads it."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from unittest import mock

from renorm.cli.main import COMMANDS, main

NESTED = {"zoo": ("list", "show", "cards", "verify", "train", "export"), "sweep": ("plot",), "plot": ("flow",)}
EXAMPLES_OF = {  # by command, where more is said
    "fit": "../../start/ten_minutes.md",
    "sweep": "../../sweeps.md",
    "zoo": "../../zoo.md",
    "certify": "../../certificates.md",
    "propagate": "../../theory.md",
    "report": "../../findings.md",
    "bench": "../../performance.md",
    "selftest": "../../reliability.md",
}


ENTRY = re.compile(r"^ {2,4}(\S.*?)(?: {2,}(\S.*))?$")


def help_of(words: list[str]) -> str:
    """What ``renorm ... --help`` prints, on a screen wide enough that no sentence is broken.

    Args:
        words: the command, such as ``["zoo", "list"]``.
    """
    with mock.patch.dict(os.environ, COLUMNS="100000"), contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            main([*words, "--help"])
        except SystemExit as done:
            if done.code:
                raise
    return printed.getvalue()


def read_help(text: str) -> tuple[list[str], dict[str, list[tuple[str, str]]]]:
    r"""Sentences of a help text, and its groups of options: how each is written, and what it does.

    Example:
        >>> read_help("usage: renorm x [-h]\n\nall of it\n\noptions:\n  --out OUT  where\n  --long\n             so long")
        (['all of it'], {'options': [('--out OUT', 'where'), ('--long', 'so long')]})
    """
    sentences: list[str] = []
    groups: dict[str, list[tuple[str, str]]] = {}
    group: list[tuple[str, str]] = []
    for line in text.splitlines()[1:]:
        entry = ENTRY.match(line)
        if entry is not None and groups:
            group.append((entry[1], entry[2] or ""))
        elif line.startswith(" ") and group:
            group[-1] = (group[-1][0], f"{group[-1][1]} {line.strip()}".strip())
        elif line.endswith(":") and not line.startswith(" "):
            group = groups.setdefault(line[:-1], [])
        elif line.strip():
            sentences.append(line.strip())
    return sentences, {
        title: kept
        for title, rows in groups.items()
        if (kept := [row for row in rows if "--help" not in row[0].split(", ")])
    }


def command_page(words: list[str]) -> str:
    """The page of a command."""
    sentences, groups = read_help(help_of(words))
    command, inner = words[0], words[1:]
    about, run = COMMANDS[command]
    if run == "fit:run":
        sentences = [
            about,
            *(text for text in sentences if text.startswith("--")),
        ]  # the others are Lightning's, cut off
    first = about if not inner else _inside(command).get(inner[0], "")
    lines = [f"# renorm {' '.join(words)}", ""]
    for text in sentences or [first]:
        lines += [protected(sentence(text)), ""]
    links = [f"[`renorm {command} {name}`]({command}_{name}.md)" for name in NESTED.get(command, ()) if not inner]
    if command in EXAMPLES_OF and not inner:
        links += [f"[examples, and what comes of it]({EXAMPLES_OF[command]})"]
    lines += [f"See also {', '.join(links)}.", ""] if links else []
    for title, rows in groups.items():
        part = re.fullmatch(r"(\w+) \((.*)\)", title)  # of a run, and what it is
        lines += ["", f"## {part[1] if part else sentence(title).rstrip('.')}", ""]
        lines += [protected(sentence(part[2])), ""] if part else []
        for written, text in rows:
            lines += [f"`{written}`", f":   {protected(sentence(text)) or '&nbsp;'}", ""]
    return "\n".join(lines) + "\n"


def _inside(command: str) -> dict[str, str]:
    """What the help of a command says of those inside it."""
    return {written: text for rows in read_help(help_of([command]))[1].values() for written, text in rows}


def sentence(text: str) -> str:
    """A help text with a capital letter and a full stop.

    Example:
        >>> sentence("seed of the sample (default: 0)")
        'Seed of the sample (default: 0).'
    """
    text = text.strip()
    starts = text[:1].upper() + text[1:] if re.match(r"[a-z]+\b(?!\.\w)", text) else text
    return starts if not starts or starts[-1] in ".?!:" else f"{starts}."


def protected(text: str) -> str:
    """Help texts are plain: nothing in them is markup."""
    return re.sub(r"([*_<>$\[\]\\|])", r"\\\1", text).replace("''", "`")


def all_commands() -> list[list[str]]:
    """Every command, each followed by those inside it."""
    return [words for name in COMMANDS for words in ([name], *([name, inner] for inner in NESTED.get(name, ())))]


def command_pages() -> Iterator[tuple[str, str]]:
    """Paths and texts of the pages of all commands, and of their list."""
    rows = [f"| [`renorm {name}`]({name}.md) | {text} |" for name, (text, _) in COMMANDS.items()]
    head = [
        "# Commands",
        "",
        "`renorm COMMAND --help` prints the same.",
        "",
        "| command | what it does |",
        "| --- | --- |",
    ]
    yield "reference/commands/index.md", "\n".join([*head, *rows]) + "\n"
    for words in all_commands():
        yield f"reference/commands/{'_'.join(words)}.md", command_page(words)
