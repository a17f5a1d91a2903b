"""The bytes of a record as `inspect` describes them: classes and functions, and a disassembly. Nothing runs."""

from __future__ import annotations

from typing import Any

from store.care.inspect import Inspection
from store.display.html import Html, element, joined
from store.display.text import cut
from store.display.units import size_text
from store.errors import StoreError
from store.mapping.store import Store
from store.rows.record import Record
from store.web.parts.tables import notice

INSPECTED_BYTES = 128 * 1024  # the size of a record up to which a page describes its bytes
MOST_TEXT = 40_000  # characters of a disassembly
MOST_GLOBALS = 100


def content(s: Store[Any], record: Record, said: str | None = None) -> Html:
    """The description of a record's bytes, bounded in size; `said` is a problem that the page has named already."""
    if not isinstance(record.size, int) or record.size > INSPECTED_BYTES:
        limit = size_text(INSPECTED_BYTES)
        return notice("note", f"Records over {limit} are not described here; `store inspect` describes any.")
    try:
        inspection = s.inspect(record.name)
    except (KeyError, StoreError) as exc:
        gone = isinstance(exc, KeyError)
        return notice("note", "The record is gone; load the page again.") if gone else notice("error", str(exc))
    return described(inspection, said)


def described(inspection: Inspection, said: str | None = None) -> Html:
    """An inspection: what its bytes name, and what they do step by step."""
    problem = inspection.problem
    trouble = notice("error", problem) if problem and problem != said else None
    text = inspection.disassembly
    shown = element("pre", element("code", text[:MOST_TEXT]), tabindex=0) if text else None
    rest = (
        element("p", f"… {len(text) - MOST_TEXT:,} more characters", class_="muted")
        if len(text) > MOST_TEXT
        else None
    )
    steps = None if shown is None else element("details", element("summary", "Disassembly"), shown, rest)
    return joined([trouble, _globals(inspection.globals), steps])


def _globals(names: tuple[str, ...]) -> Html:
    """The classes and functions that decoding in full would import."""
    if not names:
        return element("p", "It names no classes and no functions.")
    return joined([element("p", "Decoding it in full uses:"), globals_list(names, MOST_GLOBALS)])


def globals_list(names: tuple[str, ...], most: int) -> Html:
    """The first of some names of classes and functions, and how many more there are."""
    items = [element("li", element("code", cut(name))) for name in names[:most]]
    if len(names) > most:
        items.append(element("li", f"… and {len(names) - most:,} more"))
    return element("ul", *items, class_="globals")
