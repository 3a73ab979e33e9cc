"""Charts of TensorBoard's custom-scalars tab: several curves, or one curve between its quantiles."""

from __future__ import annotations

import re

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
