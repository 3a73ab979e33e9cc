"""Progress of long commands where their output goes to a file."""

from __future__ import annotations

import io
import math
import sys
import time

import pytest

from renorm.callbacks import ProgressLines, progress
from renorm.cli.main import said_while_it_lasts
from renorm.datamodules import CLTDataModule
from renorm.progress import lines_about, shown_progress, shown_steps
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.zoo import MLP


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


def test_nothing_is_said_of_what_is_short() -> None:
    stream, clock = io.StringIO(), iter([0.0, 1.0, 1.9, 10.0, 10.5, 13.0])
    tell = lines_about(stream, lambda: next(clock), quiet=2.0)
    for done in (0, 1, 2):
        tell("short", done, 2)
    for done in (0, 1, 2):
        tell("long", done, 2)
    assert stream.getvalue() == "long: 100%\n"


def test_what_has_no_end_says_how_much_is_done() -> None:
    stream = io.StringIO()
    lines_about(stream)("fit", 12, math.inf)
    assert stream.getvalue() == "fit: 12 done\n"


def test_a_long_step_is_named_and_short_ones_are_not() -> None:
    stream = io.StringIO()
    with shown_steps(stream, quiet=0.05, every=0.01) as show:
        for step in ("a", "b"):
            show(step)
        deadline = time.monotonic() + 30
        while stream.getvalue().count("\n") < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    lines = stream.getvalue().splitlines()
    assert len(lines) >= 2
    assert {line.partition(":")[0] for line in lines} <= {"b"}
    assert all(line.endswith(" s") for line in lines)


def test_many_short_steps_are_not_silent() -> None:
    stream = io.StringIO()
    with shown_steps(stream, quiet=0.3, every=0.01) as show:
        deadline = time.monotonic() + 30
        while not stream.getvalue() and time.monotonic() < deadline:
            show("sampling")
            time.sleep(0.02)
    assert stream.getvalue().startswith("sampling: ")


def test_quick_steps_say_nothing() -> None:
    stream = io.StringIO()
    with shown_steps(stream, quiet=60.0) as show:
        show("a")
    assert stream.getvalue() == ""


def test_lines_about_a_run_count_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOOK", 0.0)
    told: list[tuple[str, float, float]] = []
    lines = ProgressLines(lambda *words: told.append(words))
    data = CLTDataModule(steps_per_epoch=3, batch_size=4, val_samples=8, test_samples=8, held_out_laws=["laplace()"])
    trainer = quiet_trainer(6, max_epochs=2, callbacks=[lines])
    model = MLP(width=2)
    trainer.fit(model, data)
    assert told == [("fit", done, 6) for done in (0, 1, 2, 3, 4, 5, 6)]
    told.clear()
    trainer.test(model, data, verbose=False)
    assert told == [("test", done, 2) for done in (0, 1, 2)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "said"), [(Terminal, "loading ...\r\x1b[K"), (io.StringIO, "")])
def test_loading_is_said_on_a_terminal_and_wiped_out(
    stream: type[io.StringIO], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", stream())
    monkeypatch.setenv("TERM", "xterm")
    with said_while_it_lasts("loading ..."):
        pass
    assert sys.stderr.getvalue() == said  # type: ignore[attr-defined]
