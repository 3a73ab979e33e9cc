"""Hooks of MkDocs: generated pages, links that leave the documentation, and formulas."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from website import markup, pages, tutorials

ROOT = Path(__file__).parent.parent
FILES = re.compile(r"\[([^\]]+)\]\((\.\./[^)#\s]+|[\w/]+\.py)\)")  # links upwards, and to scripts
SHOWN = re.compile(r"^\[examples/(\w+\.py)\]\([^)]*\)$", re.MULTILINE)
OF_SITE = re.compile(r"<!-- site: (.*?) -->")  # what leads to pages that the repository does not have
FROM_ELSEWHERE = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=["']?https?://[^>]*>""")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the generated parts of the navigation where ``mkdocs.yml`` has their names."""
    config.nav = pages.filled(config.nav)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is generated; a page of the same name gives way to it."""
    for path, content in {**pages.pages(), **tutorials.pages()}.items():
        if (old := files.get_file_from_path(path)) is not None:
            files.remove(old)
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Read GitHub's formulas, show examples, and let links to files of the repository lead to their pages."""
    here = f"docs/{page.file.src_uri}"

    def link(match: re.Match[str]) -> str:
        text, target = match.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
        if path.startswith("docs/"):
            # a tutorial's page is made of its script
            return f"[{text}]({target.removesuffix('.py')}.md)" if target.endswith(".py") else match.group(0)
        if not (ROOT / path).exists():
            raise ValueError(f"{here}: {path} does not exist")
        shown = {"README.md": "docs/index.md"}.get(path, f"docs/{path.removesuffix('.py')}.md")
        if files.get_file_from_path(shown.removeprefix("docs/")) is None:
            return text  # a file that the site does not have
        return f"[{text}]({posixpath.relpath(shown, posixpath.dirname(here))})"

    return FILES.sub(link, markup.from_github(SHOWN.sub(example, OF_SITE.sub(r"\1", markdown))))


def example(match: re.Match[str]) -> str:
    """The script that a line of nothing but a link leads to: readers of the repository follow the link, the site shows it."""
    return f"```python\n{(ROOT / 'examples' / match.group(1)).read_text(encoding='utf-8').rstrip()}\n```"


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Refuse a page that loads anything from another place: pages are read without a network, too."""
    if found := FROM_ELSEWHERE.search(output):
        raise ValueError(f"docs/{page.file.src_uri}: {found.group()} is loaded from elsewhere")
    return output


LINK = re.compile(r"""<(?:a|img)\b[^>]*?\b(?:href|src)=["']?([^"'#?>\s]+)""")


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse links to files that the site does not have: MkDocs itself looks at those between its sources only."""
    site = Path(config.site_dir)
    for page in site.rglob("*.html"):
        for target in set(LINK.findall(page.read_text(encoding="utf-8"))):
            if not re.match(r"[a-z]+:|/", target) and not (page.parent / unquote(target)).exists():
                raise ValueError(f"{page.relative_to(site)} leads to {target}, which does not exist")


def on_page_content(html: str, **kwargs: Any) -> str:
    """Formulas as MathML."""
    return markup.with_mathml(html)
