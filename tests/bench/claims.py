"""Figures of speed that the pages quote: each must be found in report.md, as the report writes it.

A page that says "a cached read takes 1.8 µs" or "0.95 × raw `sqlite3`" is found here; a time limit in seconds is no claim.
"""

from __future__ import annotations

import re

_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_CLAIM = re.compile(
    rf"(?<![\w.,])(?P<number>{_NUMBER})"
    r"(?: (?P<unit>ns|µs|ms)\b"
    r"|(?: ×| times (?:as|faster|slower|the)\b)"
    r"|(?: (?:reads|writes|sets|gets|operations|records))?(?:/s\b| (?:a|per) second\b))"
)
_FIGURE = re.compile(rf"(?<![\w.,])({_NUMBER})(?: (ns|µs|ms|s)\b)?")


def claims(page: str) -> list[str]:
    """The figures of speed on a page: a time with its unit, or the bare number of a ratio or a rate."""
    return [" ".join(filter(None, (found["number"], found["unit"]))) for found in _CLAIM.finditer(page)]


def figures(report: str) -> set[str]:
    """Every figure of a report, in the same form."""
    return {" ".join(filter(None, found.groups())) for found in _FIGURE.finditer(report)}
