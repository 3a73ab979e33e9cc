"""Which errors become one line and an exit code: those of a type, wherever they were raised and whatever wrapped them."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable

import pytest

from renorm.cli import main
from renorm.errors import InputError, RunError, users_fault

ABOUT_INPUT = InputError("seed=-1 is out of range", "whole numbers >= 0")
ABOUT_FILE = PermissionError(13, "Permission denied", "/no/such/file")


def wrapped(error: BaseException) -> BaseException:
    """An error as a library hands it on."""
    try:
        raise TypeError("Parser key 'model' does not validate") from error
    except TypeError as outer:
        return outer


def raises(error: BaseException) -> Callable[[list[str]], int]:
    def run(words: list[str]) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [(ABOUT_INPUT, 2), (wrapped(ABOUT_INPUT), 2), (ABOUT_FILE, 2), (RunError("every member diverged"), 1)],
)
def test_errors_of_the_users(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.import_module("renorm.cli.selftest"), "run", raises(error))
    assert main(["selftest"]) == code
    line = capsys.readouterr().err
    assert line == f"renorm: error: {error.__cause__ or error}\n"


@pytest.mark.parametrize("error", [ValueError("shapes do not match"), KeyError("a"), OSError("no name")])
def test_other_errors_keep_their_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("renorm.cli.selftest"), "run", raises(error))
    with pytest.raises(type(error)):
        main(["selftest"])


def test_debugging_shows_tracebacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENORM_DEBUG", "1")
    monkeypatch.setattr(importlib.import_module("renorm.cli.selftest"), "run", raises(ABOUT_INPUT))
    with pytest.raises(InputError):
        main(["selftest"])


def test_what_was_asked_comes_before_the_file_it_was_asked_of() -> None:
    error = InputError("config='x.yaml' cannot be read")
    error.__cause__ = ABOUT_FILE
    assert users_fault(wrapped(error)) is error


def test_pickled() -> None:
    error = pickle.loads(pickle.dumps(ABOUT_INPUT))
    assert type(error) is InputError
    assert str(error) == str(ABOUT_INPUT)
