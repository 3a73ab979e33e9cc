"""Progress of long commands where their output goes to a file."""

from __future__ import annotations

import io

from renorm.cli.progress import lines_about, shown_progress


def test_a_file_gets_lines_and_no_bars() -> None:
    stream = io.StringIO()
    with shown_progress(stream) as tell:
        for done in range(5):
            tell("fits", done, 4)
    assert stream.getvalue() == "fits: 0%\nfits: 100%\n"


def test_a_line_every_ten_seconds_and_for_each_task() -> None:
    stream, clock = io.StringIO(), iter(range(0, 400, 4))
    tell = lines_about(stream, lambda: float(next(clock)))
    for done in range(1, 11):
        tell("a", done, 20)
    tell("b", 1, 2)
    tell("a", 20, 20)
    assert stream.getvalue().splitlines() == [
        "a: 5%",
        "a: 20%, 64 s left",
        "a: 35%, 52 s left",
        "a: 50%, 40 s left",
        "b: 50%",
        "a: 100%",
    ]


def test_a_task_of_no_cost_is_done() -> None:
    stream = io.StringIO()
    lines_about(stream)("nothing", 0, 0)
    assert stream.getvalue() == "nothing: 100%\n"
