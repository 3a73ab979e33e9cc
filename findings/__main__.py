"""``python -m findings``: write ``docs/findings.md`` and ``docs/images/claims.png`` from ``claims.json``."""

from __future__ import annotations

import sys
from pathlib import Path

from renorm.cli.options import OneLineParser
from renorm.cli.report import chosen_claims
from renorm.errors import InputError
from renorm.exit_codes import BAD_INPUT
from renorm.files.whole import whole_file

from .figure import save_figure
from .page import render_draft, render_page
from .records import FOLDER, IMAGES, read_records, take

PAGE = FOLDER.parent / "docs" / "findings.md"


def main(words: list[str] | None = None) -> int:
    """Returns the exit code; one line on stderr where it is not 0."""
    parser = OneLineParser(
        prog="python -m findings", description="write docs/findings.md from the claims of full reports"
    )
    parser.add_argument(
        "--take", action="append", default=[], metavar="REPORT", help="take the claims of this full report first"
    )
    parser.add_argument(
        "--draft",
        metavar="CLAIMS",
        help="print sections, as of C1,C2, with sentences marked that are not so; write nothing",
    )
    try:
        arguments = parser.parse_args(sys.argv[1:] if words is None else words)
        for report in arguments.take:
            print(f"taken: {', '.join(take(Path(report)))}")
        records = read_records()
        if arguments.draft:
            print(render_draft(chosen_claims(arguments.draft), records))
            return 0
        text = render_page(records)
    except InputError as error:
        print(f"findings: {error}", file=sys.stderr)
        return BAD_INPUT
    with whole_file(PAGE) as partial:
        partial.write_text(text, encoding="utf-8")
    save_figure(records)
    waiting = [name for name, record in records.items() if not record.ready]
    print(f"page:    {PAGE}" + (f" (no run yet: {', '.join(waiting)})" if waiting else ""))
    print(f"figures: {sum(path.stat().st_size for path in IMAGES.glob('*.png')) / 1e6:.1f} MB in {IMAGES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
