"""Generators for many seeds: NumPy's own, bit for bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from renorm import seeds
from renorm.seeds import generators, seed_words
from renorm.zoo.layers import MemberRandom

SEEDS = st.one_of(st.integers(0, 100), st.integers(0, 2**200))
NUMBERS = st.lists(st.one_of(st.integers(0, 1000), st.integers(0, 2**32 - 1)), min_size=1, max_size=5)


@given(SEEDS, NUMBERS)
def test_seed_words_are_those_of_a_seed_sequence(seed: int, numbers: list[int]) -> None:
    found = seed_words(seed, np.array(numbers))
    for words, number in zip(found, numbers, strict=True):
        assert words.tolist() == np.random.SeedSequence([seed, number]).generate_state(4, np.uint64).tolist()


@given(st.lists(SEEDS, min_size=1, max_size=5), NUMBERS)
def test_several_seeds_are_one_sequence(parts: list[int], numbers: list[int]) -> None:
    found = seed_words(parts, np.array(numbers))
    for words, number in zip(found, numbers, strict=True):
        assert words.tolist() == np.random.SeedSequence([*parts, number]).generate_state(4, np.uint64).tolist()


@given(SEEDS, st.lists(st.integers(0, 2**40), min_size=1, max_size=5))
def test_generators_draw_what_default_rng_draws(seed: int, numbers: list[int]) -> None:
    for generator, number in zip(generators(seed, np.array(numbers)), numbers, strict=True):
        assert generator.random(3).tolist() == np.random.default_rng([seed, number]).random(3).tolist()


def test_members_draw_layer_by_layer_from_their_own_generators() -> None:
    random = MemberRandom(5, [2, 0, 2])
    first, second = random.uniform((2, 3)), random.uniform((4,))
    for member, replica in enumerate([2, 0, 2]):
        own = np.random.default_rng([5, replica])
        assert first[member].numpy().tolist() == own.random((2, 3)).tolist()
        assert second[member].numpy().tolist() == own.random(4).tolist()


def test_no_generator_of_very_many_is_made_from_a_seed_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object) -> None:
        raise AssertionError("a SeedSequence takes 50 microseconds a member")

    monkeypatch.setattr(seeds.np.random, "default_rng", slow)
    assert MemberRandom(0, list(range(100))).uniform((1,)).shape == (100, 1)
