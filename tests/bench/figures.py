"""What is made of the rounds: medians, spreads, and ratios taken round by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from statistics import median
from typing import NamedTuple


class Spread(NamedTuple):
    """The median of some figures, the least and the largest of them."""

    median: float
    least: float
    largest: float


def spread(figures: Sequence[float]) -> Spread:
    return Spread(median(figures), min(figures), max(figures))


def ratios(figures: Sequence[float], limit: Sequence[float]) -> list[float]:
    """Each round's figure over the limit's of the same round: what slows the machine down slows down both."""
    return [figure / other for figure, other in zip(figures, limit, strict=True)]


def differences(figures: Sequence[float], floor: Sequence[float]) -> list[float]:
    return [figure - other for figure, other in zip(figures, floor, strict=True)]


def percentile(counts: Mapping[int, int], percent: float) -> int:
    """The least of the figures that `percent` of them do not exceed (the nearest rank); `counts` has how often each was met."""
    rank = max(-(-sum(counts.values()) * percent // 100), 1)
    ordered = sorted(counts)
    reached = accumulate(counts[figure] for figure in ordered)
    return next(figure for figure, met in zip(ordered, reached, strict=True) if met >= rank)
