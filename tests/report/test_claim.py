"""Every claim is written down whole: statement, protocol, rule, thresholds, and experiments that exist."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from renorm import create_model
from renorm.cli.sweep import check_points
from renorm.report.claim import FOLDER, ORDER, claim_ids, laid_over, parse_claim, read_claim
from renorm.report.claims import c7, find_judge
from renorm.sweep.config import parse_sweep

from .tiny import NAMES


def content(name: str = "C1") -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return found


def test_every_file_is_a_claim_and_every_claim_has_a_judge() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {*claim_ids()} <= {*ORDER}
    assert {*NAMES} <= {*claim_ids()}
    for name in claim_ids():
        assert callable(find_judge(name))


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", claim_ids())
def test_claims_are_valid_and_so_are_their_sweeps(name: str, quick: bool) -> None:
    claim = read_claim(name, quick)
    for sweep in claim.sweeps.values():
        parsed = parse_sweep(dict(sweep))
        check_points(parsed)
        if not quick:
            assert all(point.settings["replicas"] >= 64 for point in parsed.points)
        assert all(point.settings["compile"] is False for point in parsed.points)  # the same numbers on every machine


@pytest.mark.parametrize("name", claim_ids())
def test_a_preview_is_smaller_and_another_experiment(name: str) -> None:
    full, quick = read_claim(name), read_claim(name, quick=True)
    assert full.digest != quick.digest
    assert (full.rule, full.thresholds, full.protocol) == (quick.rule, quick.thresholds, quick.protocol)


def test_a_rule_may_have_a_verdict_for_what_depends_on_an_axis() -> None:
    own = content()
    own["rule"] = own["rule"] | {"depends": "The verdict changes along an axis."}
    assert [*parse_claim(own, "C1").rule][-1] == "depends"
    with pytest.raises(ValueError, match="has verdicts"):
        parse_claim(own | {"rule": {"depends": "Always."}}, "C1")


@pytest.mark.parametrize("name", NAMES)
def test_the_rule_names_its_thresholds(name: str) -> None:
    claim = read_claim(name)
    text = " ".join(claim.rule.values())
    for threshold, value in claim.thresholds.items():
        shown = {f"{value:g}", f"{value:.0%}", "half" if value == 0.5 else ""}
        assert f"({threshold})" in text or any(word and word in text for word in shown), threshold


def test_claims_share_their_fits() -> None:
    """What their networks are trained with is the same, so that a network that two of them name is trained once."""
    for names, more in (
        (("C1", "C2", "C3", "C9", "B1"), ("stops", "rows")),
        (("C5", "B1"), ("curves", "width", "slopes")),
    ):
        own = [read_claim(name).settings for name in names]
        for key in ("rates", "scales", "seeds", "members", "batch", "laws", *more):
            assert all(one[key] == own[0][key] for one in own), key


def test_graph_networks_are_no_larger_than_their_perceptron() -> None:
    blocks, networks = c7.networks_of(read_claim("C7").settings["blocks"])

    def parameters(name: str, more: int = 0) -> int:
        own = networks[name]
        arguments = own["arguments"] | {"width": own["arguments"]["width"] + more, "block_size": own["block_size"]}
        return sum(p.numel() for p in create_model(own["model"], **arguments).parameters())

    assert [len(group) for group in blocks.values()] == [8, 8, 7]
    for group in blocks.values():
        most = parameters(group["MLP"])
        for layer, name in group.items():
            if not layer.startswith("MLP"):
                assert parameters(name) <= most < parameters(name, 1), name


BAD: list[tuple[dict[str, Any], str]] = [
    ({"verdict": "yes"}, "allowed: exactly"),
    ({"id": "C2"}, "id='C2'"),
    ({"statement": ""}, "statement=''"),
    ({"protocol": ["one line"]}, "1 lines of protocol"),
    ({"rule": {"yes": "always"}}, "verdicts"),
    ({"thresholds": {"small": "1e-3"}}, "thresholds.small='1e-3'"),
    ({"quick": {"sweps": {}}}, "quick.sweps"),
]


@pytest.mark.parametrize(("change", "words"), BAD)
def test_what_is_no_claim_is_refused(change: dict[str, Any], words: str) -> None:
    parse_claim(content(), "C1")
    with pytest.raises(ValueError, match="allowed") as error:
        parse_claim(content() | change, "C1")
    assert words in str(error.value)


def test_unknown_claims_are_refused() -> None:
    with pytest.raises(ValueError, match="claim 'C99' is unknown; allowed: C1"):
        read_claim("C99")


def test_laying_over_replaces_lists_and_descends_into_mappings() -> None:
    below = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    assert laid_over(below, {"a": {"c": [9]}}) == {"a": {"b": 1, "c": [9]}, "d": 3}
    assert below["a"] == {"b": 1, "c": [1, 2]}
