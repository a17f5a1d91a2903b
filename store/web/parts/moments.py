"""Times as pages show them beside `store.web.values.times`: of Unix seconds, and exact ones."""

from __future__ import annotations

from datetime import UTC, datetime

from store.display.html import Html, element
from store.display.units import moment_text
from store.web.values import moment


def moment_at(seconds: float, now: float) -> Html:
    """Unix seconds as their distance from now."""
    return moment(datetime.fromtimestamp(seconds, UTC), now)


def exactly(when: datetime, now: float) -> Html:
    """A time in UTC, and its distance from now."""
    return element("span", moment_text(when), " ", element("span", "(", moment(when, now), ")", class_="muted"))
