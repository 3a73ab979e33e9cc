"""The text of a law: round trips, canonical form, and one clear line for every mistake."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renorm.datamodules import laws
from renorm.datamodules.laws.base import REGISTRY
from renorm.datamodules.laws.exact import Number

real = st.floats(-1e30, 1e30)
small = st.floats(-1e6, 1e6)
scale = st.one_of(st.floats(1e-30, 1e30), st.integers(1, 1000).map(float))
ordered = st.lists(small, min_size=3, max_size=3, unique=True).map(sorted)

SIMPLE: st.SearchStrategy[laws.Law] = st.one_of(
    st.builds(laws.Gaussian, real, scale),
    ordered.map(lambda p: laws.Uniform(p[0], p[2])),
    st.builds(laws.Laplace, real, scale),
    st.builds(laws.Logistic, real, scale),
    st.builds(laws.Gumbel, real, scale),
    st.builds(laws.Cauchy, real, scale),
    st.builds(laws.Exponential, scale),
    st.builds(laws.Gamma, scale, scale),
    st.builds(laws.Beta, scale, scale),
    st.builds(laws.StudentT, scale),
    st.builds(laws.Lognormal, st.floats(-60, 60), st.floats(1e-30, 10)),
    st.just(laws.Rademacher()),
    st.builds(laws.Bernoulli, st.floats(0, 1)),
    st.builds(laws.Poisson, st.floats(1e-30, 1e15)),
    ordered.map(lambda p: laws.Triangular(*p)),
    st.builds(laws.GEV, st.floats(-10, 10), real, scale),
    st.builds(laws.Pareto, scale, scale),
    st.builds(laws.Stable, st.floats(1e-30, 2), st.floats(-1, 1)),
)


def standardisable(law: laws.Law) -> bool:
    variance = law.cumulants(2)[1]
    return not bool(variance.isnan()) and bool(variance != 0)


LAWS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.lists(st.tuples(scale, inner), min_size=1, max_size=3).map(lambda parts: laws.Mixture(tuple(parts))),
        inner.filter(standardisable).map(laws.Standardised),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(LAWS)
def test_text_round_trips(law: laws.Law) -> None:
    again = laws.parse(str(law))
    assert again == law
    assert hash(again) == hash(law)
    assert str(again) == str(law)
    assert pickle.loads(pickle.dumps(law)) == law


@settings(max_examples=100, deadline=None)
@given(LAWS, st.data())
def test_space_between_tokens_has_no_effect(law: laws.Law, data: st.DataObject) -> None:
    text = str(law)
    for symbol in "(),=*":
        text = text.replace(symbol, data.draw(st.sampled_from([symbol, f" {symbol}", f"{symbol}\n\t", f" {symbol} "])))
    assert laws.parse(f" {text} ") == law


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="gausin(),=*+. 0123e-'\"\\\n", max_size=30))
def test_any_text_is_a_law_or_a_law_error(text: str) -> None:
    try:
        law = laws.parse(text)
    except laws.LawError as error:
        message = str(error)
    else:
        message = str(law)
        assert laws.parse(message) == law
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("gaussian", "gaussian(mean=0, std=1)"),
        ("gaussian()", "gaussian(mean=0, std=1)"),
        ("gaussian(1, 3)", "gaussian(mean=1, std=3)"),
        ("gaussian(1, std=3.0)", "gaussian(mean=1, std=3)"),
        ("gaussian(std=+.5e1, mean=-1.)", "gaussian(mean=-1, std=5)"),
        ("gaussian(mean=-0.0)", "gaussian(mean=0, std=1)"),
        ("gaussian(mean=0.1, std=1e-7)", "gaussian(mean=0.1, std=1e-07)"),
        ("gaussian(mean=1e22)", "gaussian(mean=1e+22, std=1)"),
        ("\n uniform ( ) ", "uniform(low=-1.7320508075688772, high=1.7320508075688772)"),
        ("laplace", "laplace(loc=0, scale=1)"),
        ("logistic", "logistic(loc=0, scale=1)"),
        ("gumbel", "gumbel(loc=0, scale=1)"),
        ("gev", "gev(xi=0, loc=0, scale=1)"),
        ("pareto", "pareto(shape=3, scale=1)"),
        ("cauchy", "cauchy(loc=0, scale=1)"),
        ("exponential", "exponential(rate=1)"),
        ("gamma", "gamma(shape=2, scale=1)"),
        ("beta", "beta(a=2, b=2)"),
        ("student_t", "student_t(df=10)"),
        ("lognormal", "lognormal(mean=0, std=0.5)"),
        ("rademacher", "rademacher()"),
        ("bernoulli", "bernoulli(p=0.5)"),
        ("poisson", "poisson(rate=1)"),
        ("triangular", "triangular(low=-1, mode=0, high=1)"),
        ("stable", "stable(alpha=1.5, beta=0)"),
        (
            "mixture(.5*gaussian(-1,.5)+.5*gaussian(1,.5))",
            "mixture(0.5*gaussian(mean=-1, std=0.5) + 0.5*gaussian(mean=1, std=0.5))",
        ),
        ("mixture(components=2*laplace)", "mixture(2*laplace(loc=0, scale=1))"),
        ("standardised(law=gamma)", "standardised(gamma(shape=2, scale=1))"),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    assert str(laws.parse(text)) == canonical
    assert str(laws.parse(canonical)) == canonical


BAD = [
    ("", "name of a law"),
    ("3", "name of a law"),
    ("gausian()", "law 'gausian' is unknown (did you mean 'gaussian'?); allowed: bernoulli, beta, "),
    ("Gaussian()", "did you mean 'gaussian'?"),
    ("zzz", "law 'zzz' is unknown; allowed: "),
    ("gaussian(mu=1)", "gaussian: parameter 'mu' is unknown"),
    ("gaussian(sdt=1)", "did you mean 'std'?); allowed: mean, std"),
    ("rademacher(p=1)", "rademacher: parameter 'p' is unknown; allowed: none"),
    ("gaussian(mean=0", "ends too early, at position 15; allowed: ',' or ')'"),
    ("gaussian(mean=0))", "has ')' at position 16; allowed: the end of the law"),
    ("gaussian() gaussian()", "allowed: the end of the law"),
    ("gaussian(mean=)", "allowed: a number"),
    ("gaussian(1,)", "allowed: a number"),
    ("gaussian(mean=1,)", "allowed: keyword=value"),
    ("gaussian(,)", "allowed: a number"),
    ("gaussian(mean=one)", "allowed: a number"),
    ("gaussian(mean=1_000)", "allowed: a number"),
    ("gaussian(mean=1 2)", "allowed: ',' or ')'"),
    ("gaussian(mean=1+1)", "allowed: ',' or ')'"),
    ("gaussian(mean=__import__('os'))", "allowed: a number"),
    ("gaussian(mean=1\n;)", "allowed: ',' or ')'"),
    ("gaussian(1, 2, 3)", "gaussian: more than 2 arguments; allowed: gaussian(mean, std)"),
    ("rademacher(1)", "rademacher: more than 0 arguments; allowed: rademacher()"),
    ("gaussian(mean=1, mean=2)", "gaussian: mean=2.0 is given twice"),
    ("gaussian(1, mean=2)", "gaussian: mean=2.0 is given twice"),
    ("gaussian(std=1, 2)", "allowed: keyword=value after the first keyword"),
    ("gaussian(std=0)", "gaussian: std=0.0 is out of range; allowed: 1e-30 to 1e+30"),
    ("gaussian(std=-1)", "gaussian: std=-1.0 is out of range"),
    ("gaussian(std=nan)", "gaussian: std=nan is out of range"),
    ("gaussian(mean=inf)", "gaussian: mean=inf is out of range"),
    ("gaussian(mean=-1e999)", "gaussian: mean=-inf is out of range"),
    ("uniform(low=1, high=1)", "uniform: low=1.0 is not below high=1.0; allowed: low < high"),
    ("uniform(low=5)", "uniform: low=5.0 is not below"),
    ("laplace(scale=0)", "laplace: scale=0.0"),
    ("logistic(scale=0)", "logistic: scale=0.0"),
    ("gumbel(scale=-2)", "gumbel: scale=-2.0"),
    ("cauchy(scale=0)", "cauchy: scale=0.0"),
    ("exponential(rate=0)", "exponential: rate=0.0"),
    ("gamma(shape=-1)", "gamma: shape=-1.0"),
    ("beta(a=0)", "beta: a=0.0"),
    ("student_t(df=0)", "student_t: df=0.0"),
    ("lognormal(std=11)", "lognormal: std=11.0 is out of range; allowed: 1e-30 to 10"),
    ("lognormal(mean=61)", "lognormal: mean=61.0 is out of range; allowed: -60 to 60"),
    ("bernoulli(p=1.1)", "bernoulli: p=1.1 is out of range; allowed: 0 to 1"),
    ("bernoulli(p=-0.1)", "bernoulli: p=-0.1"),
    ("poisson(rate=-1)", "poisson: rate=-1.0"),
    ("poisson(rate=1e16)", "poisson: rate=1e+16"),
    ("triangular(low=1, high=0)", "triangular: low=1.0 is not below high=0.0"),
    ("triangular(mode=2)", "triangular: mode=2.0 is out of range; allowed: -1 to 1"),
    ("stable(alpha=0)", "stable: alpha=0.0"),
    ("stable(alpha=2.1)", "stable: alpha=2.1"),
    ("stable(beta=-1.5)", "stable: beta=-1.5 is out of range; allowed: -1 to 1"),
    ("mixture", "mixture: components is missing; allowed: mixture(components)"),
    ("mixture()", "mixture: components is missing"),
    ("mixture(gaussian())", "weight*law"),
    ("mixture(0.5 gaussian())", "weight*law"),
    ("mixture(0*gaussian() + 1*laplace())", "mixture: weight=0.0 is out of range"),
    ("mixture(-1*gaussian())", "mixture: weight=-1.0 is out of range"),
    ("mixture(nan*gaussian())", "mixture: weight=nan is out of range"),
    ("mixture(1*gaussian() +)", "weight*law"),
    ("mixture(1*gaussian(), 1*laplace())", "mixture: more than 1 arguments"),
    ("mixture(1*nope())", "law 'nope' is unknown"),
    ("standardised()", "standardised: law is missing"),
    ("standardised(3)", "name of a law"),
    ("standardised(cauchy())", "has no finite variance"),
    ("standardised(bernoulli(p=1))", "has zero variance"),
    ("empirical()", "empirical: path is missing; allowed: empirical(path, column, delimiter, decimal, header)"),
    ("standardised(" * 60 + "gamma()" + ")" * 60, "nested 51 deep"),
]


@pytest.mark.parametrize(("text", "fragment"), BAD, ids=[repr(text)[:40] for text, _ in BAD])
def test_bad_text_is_one_clear_line(text: str, fragment: str) -> None:
    with pytest.raises(laws.LawError) as caught:
        laws.parse(text)
    message = str(caught.value)
    assert fragment in message
    assert "; allowed: " in message
    assert len(message.splitlines()) == 1
    assert isinstance(caught.value, ValueError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == message


@pytest.mark.parametrize("text", [None, 3, b"gaussian()", ["gaussian()"]])
def test_only_strings_are_parsed(text: Any) -> None:
    with pytest.raises(laws.LawError, match="is not a string"):
        laws.parse(text)


@pytest.mark.parametrize("value", ["1", None, True, 1j, torch.tensor(1.0)])
def test_parameters_are_numbers(value: Any) -> None:
    with pytest.raises(laws.LawError, match=r"gaussian: std=.* is not a number"):
        laws.Gaussian(std=value)


@pytest.mark.parametrize("components", [(), (("a", laws.Gaussian()),), ((1, "gaussian()"),)])
def test_components_are_weights_and_laws(components: Any) -> None:
    with pytest.raises(laws.LawError, match="mixture: "):
        laws.Mixture(components)


def test_standardised_takes_a_law() -> None:
    with pytest.raises(laws.LawError, match="is not a law"):
        laws.Standardised("gamma()")  # type: ignore[arg-type]


def test_laws_are_immutable() -> None:
    with pytest.raises(FrozenInstanceError):
        laws.Gaussian().std = 2.0  # type: ignore[misc]


def test_weights_are_relative() -> None:
    law = laws.parse("mixture(1*rademacher() + 2*gaussian())")
    assert isinstance(law, laws.Mixture)
    assert [str(w) for w in law.weights] == ["1/3", "2/3"]


@pytest.fixture
def registry() -> Iterator[None]:
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


@pytest.mark.usefixtures("registry")
def test_one_class_adds_a_law() -> None:
    @dataclass(frozen=True)
    class Point(laws.Law):
        name = "point"
        at: float = 2.0

        def draw(self, x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
            return x.fill_(self.at)

        def exact_cumulants(self, order: int) -> list[Number]:
            return [int(self.at), *[0] * 7][:order]

    law = laws.parse("point")
    assert isinstance(law, Point)
    assert "point" in laws.names()
    assert str(law) == "point(at=2)"
    assert law.sample(2).tolist() == [2, 2]
    assert laws.parse("mixture(1*point(at=3) + 1*point(at=5))").cumulants(3).tolist() == [4, 1, 0]


@pytest.mark.usefixtures("registry")
def test_a_name_belongs_to_one_law() -> None:
    with pytest.raises(laws.LawError, match=r"name='gaussian' of .*Impostor is taken by Gaussian"):

        class Impostor(laws.Law):
            name = "gaussian"

    assert REGISTRY["gaussian"] is laws.Gaussian


def test_names_are_those_of_the_registry() -> None:
    assert laws.names() == sorted(REGISTRY)
    assert {"gaussian", "mixture", "empirical", "standardised"} <= set(laws.names())
    assert Path(laws.__file__ or "").parent.name == "laws"
