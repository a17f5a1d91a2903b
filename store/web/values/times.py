"""Moments and countdowns."""

from __future__ import annotations

from datetime import datetime

from store.display.html import Html, element, text
from store.display.units import age_text, moment_text


def moment(when: datetime, now: float) -> Html:
    """A moment as the time since or until it, with the date in its title: `3 min ago`."""
    return element("time", age_text(when, now), datetime=when.isoformat(), title=moment_text(when))


def countdown(expires: datetime | None, now: float) -> Html:
    """When a record expires: `in 3 min`, "expired" or "never". The script of the pages counts on from there.

    It finds the Unix time in the attribute `data-expires`.
    """
    if expires is None:
        return text("never")
    seconds = expires.timestamp()
    shown = "expired" if seconds <= now else age_text(expires, now)
    return element(
        "time", shown, datetime=expires.isoformat(), title=moment_text(expires), data_expires=f"{seconds:.3f}"
    )
