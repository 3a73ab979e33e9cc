"""Charts of TensorBoard's custom-scalars tab: several curves, or one curve between its quantiles."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping

Charts = dict[str, tuple[str, list[str]]]

BRACKETS = str.maketrans("()", "[]")


def chart_tag(tag: str) -> str:
    """Return the tag under which the custom-scalars tab finds a curve.

    TensorBoard takes whatever stands in parentheses there for the name of the run, and draws a curve whose tag has parentheses,
    as the names of laws do, without a colour. Such a curve is logged a second time, under ``overview`` and with brackets.

    Example:
        >>> chart_tag("generalization/student_t(df=10)/relative_mse"), chart_tag("loss/val")
        ('overview/generalization/student_t[df=10]/relative_mse', 'loss/val')
    """
    return f"overview/{tag.translate(BRACKETS)}" if "(" in tag else tag


def log10_tag(tag: str) -> str:
    """Return the tag of a number's logarithm: charts have linear axes, on which ten decades cannot be seen.

    Example:
        >>> log10_tag("generalization/uniform()/relative_mse")
        'log10/generalization/uniform[]/relative_mse'
    """
    return f"log10/{tag.translate(BRACKETS)}"


def logarithms(scalars: Mapping[str, float]) -> dict[str, float]:
    """Return the logarithms to base 10 of numbers, under tags of their own; that of 0 is the least there is.

    Example:
        >>> logarithms({"loss/val": 0.01})
        {'log10/loss/val': -2.0}
    """
    return {log10_tag(tag): math.log10(max(value, sys.float_info.min)) for tag, value in scalars.items() if value >= 0}


def lines(*tags: str, log10: bool = False) -> tuple[str, list[str]]:
    """Return a chart of several curves, or of their logarithms; TensorBoard reads its tags as regular expressions."""
    name = log10_tag if log10 else chart_tag
    return "Multiline", [f"^{re.escape(name(tag))}$" for tag in tags]


def band(tag: str, log10: bool = False) -> tuple[str, list[str]]:
    """Return a chart of one curve, or of its logarithm, between its 10% and 90% quantiles over members."""
    name = log10_tag if log10 else chart_tag
    return "Margin", [name(one) for one in (tag, f"{tag}_q10", f"{tag}_q90")]


def without_bands(layout: Mapping[str, Charts]) -> dict[str, Charts]:
    """Return charts with a line in the place of each band: the numbers of a single network have no quantiles.

    Example:
        >>> without_bands({"1 loss": {"validation": band("loss/val")}})
        {'1 loss': {'validation': ('Multiline', ['^loss/val$'])}}
    """

    def line(kind: str, tags: list[str]) -> tuple[str, list[str]]:
        return ("Multiline", [f"^{re.escape(tags[0])}$"]) if kind == "Margin" else (kind, tags)

    return {category: {title: line(*chart) for title, chart in charts.items()} for category, charts in layout.items()}


def prefixed_charts(layout: Mapping[str, Charts], prefix: str) -> dict[str, Charts]:
    """Return the charts of a diagnostic whose tags have something before them; their categories end with it.

    Example:
        >>> prefixed_charts({"3 cumulants": {"k2": band("cumulants/k2")}}, "val/")["3 cumulants, val"]["k2"][1][0]
        'val/cumulants/k2'
        >>> prefixed_charts({"3 cumulants": {"k2": lines("cumulants/k2")}}, "val/")["3 cumulants, val"]["k2"]
        ('Multiline', ['^val/cumulants/k2$'])
    """

    def moved(tag: str) -> str:
        return f"^{re.escape(prefix)}{tag[1:]}" if tag.startswith("^") else prefix + tag

    return {
        f"{category}, {prefix.rstrip('/')}": {
            title: (kind, [moved(tag) for tag in tags]) for title, (kind, tags) in charts.items()
        }
        for category, charts in layout.items()
    }
