"""Options come out of a command line wherever they stand, in either spelling, and leave the other words as they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renorm.cli.options import take_all, take_flag, take_option

OTHER = st.sampled_from(["--name", "x", "--name=x", "--configs=a", "-cc", "3", "fit"])


@given(
    st.lists(st.one_of(OTHER, st.tuples(st.sampled_from(["-c", "--config"]), st.booleans(), st.sampled_from("abc"))))
)
def test_all_values_are_taken_in_their_order(parts: list[str | tuple[str, bool, str]]) -> None:
    words: list[str] = []
    for part in parts:
        if isinstance(part, str):
            words.append(part)
        else:
            name, equals, value = part
            words += [f"{name}={value}"] if equals else [name, value]
    values, left = take_all(words, "-c", "--config")
    assert values == [part[2] for part in parts if not isinstance(part, str)]
    assert left == [part for part in parts if isinstance(part, str)]


def test_configs_keep_their_order_whichever_way_they_are_named() -> None:
    assert take_all(["--config", "first", "-c", "second"], "-c", "--config") == (["first", "second"], [])


def test_an_option_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--seed has no value"):
        take_option(["fit", "--seed"], "--seed")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--on"], (True, [])),
        (["--on", "true", "x"], (True, ["x"])),
        (["--on", "False"], (False, [])),
        (["--on", "x"], (True, ["x"])),
        (["--on=false", "--on"], (True, [])),
        (["true"], (False, ["true"])),
    ],
)
def test_a_flag_may_have_a_value(words: list[str], found: tuple[bool, list[str]]) -> None:
    assert take_flag(words, "--on") == found


def test_a_flag_is_true_or_false() -> None:
    with pytest.raises(ValueError, match=r"on='perhaps' is not allowed; allowed: true, false"):
        take_flag(["--on=perhaps"], "--on")
