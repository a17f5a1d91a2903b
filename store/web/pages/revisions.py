"""The revisions of a record that were seen while the application ran, and the latest ones of all records."""

from __future__ import annotations

from store.display.html import Child, Html, element, joined
from store.display.text import cut
from store.web.history import Seen
from store.web.parts.moments import moment_at
from store.web.parts.naming import namespace_link, record_link
from store.web.parts.tables import listing, number, section, size
from store.web.site import Site
from store.web.values import countdown, moment

MOST_RECENT = 10
_KEPT = "A store keeps one state of each record. These were seen since the pages were started."


def revisions(site: Site, namespace: str, name: str) -> Html:
    """The states of a record that are known, the latest first; nothing where none is."""
    states = site.history.of(namespace, name)
    if not states:
        return joined([])
    rows = [_state(seen, site.clock()) for seen in reversed(states)]
    headings = ("State", "Type", "Size", "Changed", "Expires", "Seen")
    return section("Revisions seen", listing(headings, rows, caption=_KEPT, numbers=(2,)), class_="revisions")


def recent(site: Site) -> Html:
    """The records that were seen last, on any page or by a watch."""
    found = site.history.recent(MOST_RECENT)
    if not found:
        return joined([])
    rows = [
        [
            record_link(site, namespace, name),
            namespace_link(site, namespace),
            "deleted" if seen.record is None else number(seen.record.revision),
            moment_at(seen.noticed, site.clock()),
        ]
        for namespace, name, seen in found
    ]
    table = listing(
        ("Name", "Namespace", "Revision", "Seen"), rows, caption="Records: seen last", kind="short compact"
    )
    return section("Seen last", table)


def _state(seen: Seen, now: float) -> list[Child]:
    record = seen.record
    if record is None:
        return [element("em", "deleted"), None, None, None, None, moment_at(seen.noticed, now)]
    return [
        f"revision {number(record.revision)}",
        element("code", cut(record.type or "?", 60), class_="type"),
        size(record.size),
        moment(record.modified, now),
        countdown(record.expires, now),
        moment_at(seen.noticed, now),
    ]
