"""The records of a namespace: search by prefix, sorting, and one page of them with their values in brief."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from store.display.html import Child, Html, Url, element, joined
from store.display.text import cut
from store.errors import Corrupt, StoreError
from store.mapping.store import Store
from store.opened.sentinels import MISSING
from store.rows.record import Record
from store.rows.row import Header
from store.web.forms import namespace_forms, row_forms
from store.web.links import fits
from store.web.look import Budget, look
from store.web.pages.marks import listing_mark
from store.web.pages.opening import opened
from store.web.pages.query import Wanted, wanted
from store.web.pages.searching import search
from store.web.pages.selecting import BOUNDS, Selected, select
from store.web.parts.naming import namespace_text, next_link, record_link
from store.web.parts.prose import prose
from store.web.parts.tables import counted, listing_of, notice, number, size
from store.web.site import Page, Site
from store.web.values import badge, brief, countdown, moment

_COLUMNS = (
    ("Name", "name"),
    ("Value", None),
    ("Type", None),
    ("Size", "size"),
    ("Changed", "modified"),
    ("Expires", "expires"),
)  # the heading, and what it sorts by
_CHANGE = ("Change", None)  # the last one, in a site that writes
_LARGEST_FIRST = ("size", "modified")  # the order that the first click on the heading gives
_ADMISSIBLE = ("foreign", "refused")
_SIZE = 3  # the column of figures


def records_page(site: Site, query: Mapping[str, str]) -> Page:
    """Some of the records, as `query` asks: `namespace`, `prefix`, `sort`, `after` and `reverse`."""
    asked = wanted(query)
    with opened(site, asked.namespace) as s:
        found = select(s.opened, asked, BOUNDS)
        rows = list(_rows(site, s, found.headers))
        count = _count(s)
    columns = (*_COLUMNS, _CHANGE) if site.writable else _COLUMNS
    table = listing_of(
        [label for label, _ in columns],
        [_heading(site, asked, label, sort) for label, sort in columns],
        rows,
        caption=_caption(asked, found, count),
        numbers=(_SIZE,),
        kind="fold records",
    )
    body = joined(
        [
            search(site, asked),
            _remarks(found),
            table if rows else _nothing(asked),
            _pager(site, asked, found),
            namespace_forms(site, asked.namespace),
        ]
    )
    title = namespace_text(asked.namespace)
    mark = listing_mark(found) if site.live else None
    shown = _query(asked, asked.sort, asked.reverse, asked.after)
    return Page(title, body, live=site.events(asked.namespace, **shown, seen=mark))


def _count(s: Store[Any]) -> int | None:
    """How many records the namespace has; None where damage keeps them from being counted."""
    try:
        return len(s)
    except StoreError:  # the listing reports what is damaged
        return None


def _rows(site: Site, s: Store[Any], headers: list[Header]) -> Iterator[list[Child]]:
    budget, now = Budget(), site.clock()
    for header in headers:
        try:
            record = Record.from_header(header)
        except Corrupt as exc:
            link = record_link(site, s.namespace, header.name)
            cells: list[Child] = [joined([link, " ", badge("corrupt")]), _problem(str(exc)), None, None, None, None]
        else:
            cells = _row(site, s, record, budget, now)
        yield [*cells, row_forms(site, s.namespace, header.name)] if site.writable else cells


def _row(site: Site, s: Store[Any], record: Record, budget: Budget, now: float) -> list[Child]:
    seen = look(s, record, budget)
    link = record_link(site, s.namespace, record.name)
    mark = None if seen.badge in ("own", "skipped") else _mark(site, record, seen.badge)
    return [
        link if mark is None else joined([link, " ", mark]),
        _problem(seen.problem) if seen.value is MISSING else brief(seen.value),
        element("code", cut(record.type or "?", 40), class_="type"),
        size(record.size),
        moment(record.modified, now),
        countdown(record.expires, now),
    ]


def _mark(site: Site, record: Record, name: str) -> Html:
    """The badge of a record; if it can be admitted, with a link to the page that does."""
    if not site.writable or name not in _ADMISSIBLE or not fits(record.namespace, record.name):
        return badge(name)
    href = site.links.page("admit", namespace=record.namespace, name=record.name)
    return element("a", badge(name), href=href, title="Inspect it, to admit it")


def _problem(problem: str | None) -> Html:
    return element("span", prose(cut(problem or "it cannot be shown")), class_="muted")


def _heading(site: Site, asked: Wanted, label: str, sort: str | None) -> Html:
    """The heading of a column, with a link that sorts by it, or turns the order."""
    if sort is None:
        return element("th", label, scope="col", role="columnheader")
    is_current = asked.sort == sort
    reverse = not asked.reverse if is_current else sort in _LARGEST_FIRST
    arrow = element("span", " ▾" if asked.reverse else " ▴", aria_hidden="true") if is_current else None
    order = ("descending" if asked.reverse else "ascending") if is_current else None
    link = element("a", label, arrow, href=_address(site, asked, sort, reverse))
    figures = "number" if label == _COLUMNS[_SIZE][0] else None
    return element("th", link, scope="col", role="columnheader", aria_sort=order, class_=figures)


def _address(site: Site, asked: Wanted, sort: str, reverse: bool, after: str | None = None) -> Url:
    return site.links.namespace(asked.namespace, **_query(asked, sort, reverse, after))


def _query(asked: Wanted, sort: str, reverse: bool, after: str | None) -> dict[str, str | int | None]:
    return {
        "prefix": asked.prefix or None,
        "sort": None if sort == "name" else sort,
        "reverse": 1 if reverse else None,
        "after": after,
    }


def _caption(asked: Wanted, found: Selected, count: int | None) -> Html:
    shown = counted(len(found.headers), "record")
    if asked.prefix:
        return joined([shown, " with names that begin with ", element("q", cut(asked.prefix, 60))])
    is_whole = count is None or count == len(found.headers)
    return joined([shown if is_whole else f"{number(len(found.headers))} of {counted(count or 0, 'record')}"])


def _nothing(asked: Wanted) -> Html:
    if asked.after is not None:
        return notice("note", "There are no more records.")
    return notice("note", "No record has such a name." if asked.prefix else "There are no records here.")


def _remarks(found: Selected) -> Html:
    """What is left out, and why."""
    remarks: list[Child] = []
    if found.problem is not None:
        remarks.append(notice("error", "The records cannot be read further. ", found.problem))
    elif not found.complete:
        text = f"Only the first {number(found.scanned)} records were read, in the order of their names."
        remarks.append(notice("warning", text, " Search by a longer prefix to sort the others."))
    return joined(remarks)


def _pager(site: Site, asked: Wanted, found: Selected) -> Html:
    links = []
    if asked.after is not None:
        links.append(element("a", "First page", href=_address(site, asked, asked.sort, asked.reverse)))
    if found.after is not None:
        href = _address(site, asked, asked.sort, asked.reverse, found.after)
        links.append(next_link("Next page", found.after, href))
    return element("nav", *links, class_="pager", aria_label="Pages of this list") if links else joined([])
