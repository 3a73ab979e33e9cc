"""Charts of TensorBoard's custom-scalars tab: several curves, or one curve between its quantiles."""

from __future__ import annotations

import re
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


def lines(*tags: str) -> tuple[str, list[str]]:
    """Return a chart of several curves; TensorBoard reads its tags as regular expressions."""
    return "Multiline", [f"^{re.escape(chart_tag(tag))}$" for tag in tags]


def band(tag: str) -> tuple[str, list[str]]:
    """Return a chart of one curve between its 10% and 90% quantiles over members."""
    return "Margin", [chart_tag(name) for name in (tag, f"{tag}_q10", f"{tag}_q90")]


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
