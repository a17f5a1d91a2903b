"""One record: its value, its seal and metadata, its bytes as a disassembly, and the revisions seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from store.display.html import Child, Html, Url, element, joined
from store.display.text import cut
from store.errors import RecordError, Tampered
from store.mapping.store import Store
from store.opened.sentinels import MISSING
from store.rows.record import Record
from store.web.forms import record_forms
from store.web.look import PAGE_BYTES, Budget, Look, look
from store.web.pages.marks import record_mark
from store.web.pages.opening import opened
from store.web.pages.query import Wanted
from store.web.pages.revisions import revisions
from store.web.pages.selecting import Bounds, select
from store.web.parts.content import content
from store.web.parts.moments import exactly
from store.web.parts.naming import namespace_link, namespace_text, record_link, record_text
from store.web.parts.tables import facts, notice, number, section, size
from store.web.site import Page, Site
from store.web.values import badge, countdown, whole
from store.web.values.badges import MEANINGS

_BESIDE = Bounds(shown=1, read=500, seconds=0.2)  # to find the record before and after
_NOTICES = {"skipped": "note", "refused": "warning"}  # in the colours of their badges; the others are damage


def record_page(site: Site, namespace: str, name: str) -> Page:
    """All that is known of a record."""
    trail = ((namespace_text(namespace), site.links.namespace(namespace)),)
    with opened(site, namespace) as s:
        mark = record_mark(s.opened, name) if site.live else None  # before what it is the mark of
        live = site.events(namespace, name=name, seen=mark)
        try:
            seen = _seen(s, name)
        except KeyError:
            return _gone(site, namespace, name, trail, live)
        if seen.record is not None:
            site.history.note(namespace, name, seen.record, site.clock())
        parts = list(_parts(site, s, seen))
    return Page(record_text(name), joined(parts), trail=trail, live=live)


def _seen(s: Store[Any], name: str) -> Look:
    """The record with its value, or with the reason why it has none. Raises: KeyError: there is none."""
    try:
        record = s.record(name)
    except RecordError as exc:  # even its metadata cannot be read
        return Look(name, None, "tampered" if isinstance(exc, Tampered) else "corrupt", problem=str(exc))
    seen = look(s, record, Budget(PAGE_BYTES))
    if seen.record is None and seen.problem is not None:  # deleted since
        raise KeyError(name)
    return seen


def _parts(site: Site, s: Store[Any], seen: Look) -> Iterator[Html]:
    yield element("p", badge(seen.badge), " ", MEANINGS[seen.badge], class_="seal")
    yield section("Value", _value(seen))
    change = record_forms(site, s, seen.record, seen.name)
    if seen.record is not None:
        metadata = section("Record", facts(_facts(site, seen.record)))
        bytes_of = section("Content", content(s, seen.record, seen.problem))
        yield element("div", metadata, element("div", bytes_of, change, class_="stack"), class_="side")
    else:
        yield joined([change])
    yield revisions(site, s.namespace, seen.name)
    yield _neighbours(site, s, seen.name)


def _value(seen: Look) -> Html:
    if seen.value is not MISSING:
        return whole(seen.value)
    return notice(_NOTICES.get(seen.badge, "error"), seen.problem)


def _facts(site: Site, record: Record) -> list[tuple[str, Child]]:
    now = site.clock()
    return [
        ("Namespace", namespace_link(site, record.namespace)),
        ("Type", element("code", cut(record.type or "?"))),
        ("Size", _size(record.size)),
        ("Codec", element("code", f"{cut(record.codec)} {record.protocol}")),
        ("Python", cut(record.python or "?")),
        ("Created", exactly(record.created, now)),
        ("Changed", exactly(record.modified, now)),
        ("Expires", countdown(record.expires, now)),
        ("Revision", number(record.revision)),
        ("Sealed by", element("code", record.sealed_by) if record.sealed_by else "no key"),
        ("Version", element("code", cut(record.version))),
    ]


def _size(amount: int) -> Html:
    exact = element("span", f" ({number(amount)} bytes)", class_="muted") if amount >= 1024 else None
    return joined([size(amount), exact])


def _neighbours(site: Site, s: Store[Any], name: str) -> Html:
    """Links to the records before and after this one, by name."""
    links = []
    for text, relation, reverse in (("Previous", "prev", True), ("Next", "next", False)):
        wanted = Wanted(s.namespace, after=name, reverse=reverse)
        for header in select(s.opened, wanted, _BESIDE).headers:
            link = record_link(site, s.namespace, header.name)
            links.append(element("span", f"{text}: ", link, class_=relation))
    return element("nav", *links, class_="pager", aria_label="Records beside this one") if links else joined([])


def _gone(site: Site, namespace: str, name: str, trail: Any, live: Url | None) -> Page:
    """The page of a record that is not there; with its revisions, if some were seen."""
    if site.history.of(namespace, name):
        site.history.note(namespace, name, None, site.clock())
    body = joined(
        [
            notice("warning", "There is no such record: it was deleted, has expired, or never was."),
            revisions(site, namespace, name),
        ]
    )
    return Page(record_text(name), body, status=404, trail=trail, live=live)
