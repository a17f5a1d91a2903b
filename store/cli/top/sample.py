"""Samples of a store, and the rates between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from store.care.survey import Survey, survey
from store.engines.activity import Activity
from store.engines.contract import Usage
from store.opened.namespace import Namespace
from store.system.clock import steady_clock

WINDOW_SECONDS = 3.0  # of rates: programs add to their totals once a second only, and not all at the same moment
LEAST_SECONDS = 1.0  # over less, what they add of a whole second would be a rate too high, or none
SURVEY_SECONDS = 1.0
SURVEY_SHARE = 10  # a survey is made again after ten times as long as it took


@dataclass(frozen=True, slots=True)
class Rates:
    """Operations in each second, and the seconds of waiting in it; None: the engine does not know that figure."""

    reads: float | None = None
    hits: float | None = None
    writes: float | None = None
    lock_waits: float | None = None
    lock_wait_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A store at one moment."""

    now: float
    """Unix seconds, by the clock of the store."""
    survey: Survey
    usage: Usage
    activity: Activity
    rates: Rates


class Sampler:
    """Takes samples of an open store. `steady`: the clock of rates."""

    def __init__(self, ns: Namespace, namespace: str | None, steady: Callable[[], float] = steady_clock) -> None:
        self._ns = ns
        self._namespace = namespace
        self._steady = steady
        self._survey: Survey | None = None
        self._survey_due = 0.0
        self._seen: deque[tuple[float, Activity]] = deque()
        counters = ns.engine.activity
        if counters is not None:
            counters.begin()
            self._note(counters.figures())

    def sample(self) -> Sample:
        """The store now, with rates over the last seconds. Raises: StoreError."""
        ns = self._ns
        ns.look(ns.clock())
        found = self._surveyed()
        counters = ns.engine.activity
        activity = Activity() if counters is None else counters.figures()
        rates = self._note(activity)
        return Sample(ns.clock(), found, ns.engine.usage(), activity, rates)

    def _surveyed(self) -> Survey:
        """A survey of now, or of some seconds ago if it takes long."""
        begun = self._steady()
        if self._survey is None or begun >= self._survey_due:
            self._survey = survey(self._ns, namespace=self._namespace, seconds=SURVEY_SECONDS)
            ended = self._steady()
            self._survey_due = ended + (ended - begun) * SURVEY_SHARE
        return self._survey

    def _note(self, activity: Activity) -> Rates:
        """The rates since the oldest sample of the window, which gets this one; at first none is known."""
        now, seen = self._steady(), self._seen
        seen.append((now, activity))
        while len(seen) > 2 and now - seen[1][0] >= WINDOW_SECONDS:
            seen.popleft()
        seconds = now - seen[0][0]
        return Rates() if seconds < LEAST_SECONDS else rates_between(seen[0][1], activity, seconds)


def rates_between(before: Activity, after: Activity, seconds: float) -> Rates:
    """The growth of each total in a second; None where either is unknown, or the totals were begun anew."""

    def rate(name: str) -> float | None:
        then, now = getattr(before, name), getattr(after, name)
        return None if then is None or now is None or now < then else (now - then) / seconds

    names: dict[str, Any] = {name: rate(name) for name in Rates.__slots__}
    return Rates(**names)
