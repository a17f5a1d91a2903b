"""The part of a form that says how long a record lives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from store.display.html import Html, element
from store.display.units import age_text, seconds_of
from store.mapping.store import Store
from store.opened.sentinels import UNSET, Unset
from store.rows.record import Record
from store.web.forms.controls import described, trouble

KEEP, NEVER, FOR = "keep", "never", "for"


def controls(record: Record | None, now: float, given: Mapping[str, str], problem: str | None = None) -> Html:
    """The choice: as it is, never, or after a time. `given`: the fields of an earlier choice."""
    options = [(NEVER, "never"), (FOR, "after")]
    if record is not None and record.expires is not None:
        options.insert(0, (KEEP, f"as it is: {age_text(record.expires, now)}"))
    values = [value for value, _ in options]
    chosen = given.get("lifetime", "")
    chosen = chosen if chosen in values else values[0]
    marks = [
        element(
            "label", element("input", type="radio", name="lifetime", value=value, checked=value == chosen), " ", text
        )
        for value, text in options
    ]
    after = element(
        "input",
        name="ttl",
        value=given.get("ttl", ""),
        placeholder="seconds, or 30m, 2h, 7d",
        aria_label="Expires after",
        **described("lifetime", problem),
    )
    refused = None if problem is None else trouble(problem, id="lifetime-problem")
    return element("fieldset", element("legend", "Expires"), *marks, after, refused, class_="lifetime")


def seconds(fields: Mapping[str, str]) -> float | Unset | None:
    """The seconds to live; None is for ever, UNSET as it is. Raises: ValueError: it is no time."""
    chosen, text = fields.get("lifetime", KEEP), fields.get("ttl", "").strip()
    if chosen == FOR and not text:
        raise ValueError("Type a time: a number of seconds, or such as 30m, 2h, 7d")
    if chosen == FOR:
        return seconds_of(text)
    if chosen not in (KEEP, NEVER):
        raise ValueError(f"There is no lifetime {chosen!r}: {KEEP}, {NEVER} or {FOR}")
    if text:
        raise ValueError(f"A time of {text!r} was typed: choose “after” to use it, or empty it")
    return None if chosen == NEVER else UNSET


def kept(s: Store[Any], record: Record | None) -> float | Unset | None:
    """The seconds that a record has left, so that a new value expires when the old one would."""
    if record is None:
        return UNSET
    if record.expires is None:
        return None
    return max(record.expires.timestamp() - s.opened.clock(), 0.001)
