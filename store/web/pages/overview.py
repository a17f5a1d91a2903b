"""The first page: the store as a whole, in figures and bars, and the way to each namespace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from store.care.survey import MOST_NAMESPACES, Share, Survey, survey
from store.display.html import Child, Html, element, joined
from store.display.text import cut
from store.errors import RecordError, StorageError
from store.opened.namespace import Namespace
from store.rows.record import Record
from store.system.clock import steady_clock
from store.web.pages.health import status_text
from store.web.pages.marks import store_mark
from store.web.pages.query import name_of
from store.web.pages.revisions import recent
from store.web.pages.searching import search_any
from store.web.parts.naming import namespace_link, next_link, record_link
from store.web.parts.tables import bar, counted, listing, notice, number, section, size, tiles
from store.web.site import Page, Site
from store.web.values import countdown, moment

MOST_SHOWN = 100  # namespaces on one page
MOST_CODECS = 20
COUNT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Found:
    """What the page shows."""

    survey: Survey
    namespaces: list[str]
    after: str | None
    """The namespace before the next page; None: this page is the last."""
    counts: dict[str, int]
    """Exact numbers of records, of the namespaces that could be counted."""
    next_expiry: float
    """When the first of the records expires that were read or counted; infinite: none does."""


def overview_page(site: Site, query: Mapping[str, str]) -> Page:
    """Counts and sizes, and the way to each namespace; `after` in the query is the one before the first."""
    ns = site.store.opened
    after = name_of(query, "after") if "after" in query else None
    seen = store_mark(site) if site.live else None
    figures_of = survey(ns)
    names, problem = _namespaces(ns, after)
    more = names[MOST_SHOWN - 1] if len(names) > MOST_SHOWN else None
    names = names[:MOST_SHOWN]
    found = _Found(figures_of, names, more, *_counts(ns, figures_of, names))
    body = joined([problem, *_parts(site, found, is_first=after is None)])
    return Page(site.name, body, live=site.events(None, seen=seen, until=_until(site, found)))


def _until(site: Site, found: _Found) -> str | None:
    """When a record of the page expires, by the clock of the site; None: none will."""
    if found.next_expiry == inf:
        return None
    return f"{site.clock() + found.next_expiry - site.store.opened.clock():.3f}"


def _parts(site: Site, found: _Found, *, is_first: bool) -> Iterator[Child]:
    if not found.namespaces and is_first:
        first = element("a", "Make the first record", href=site.links.page("set"))
        offer = [" ", first, "."] if site.writable else []
        yield notice("note", "The store is empty.", *offer)
    yield search_any(site, found.namespaces) if found.namespaces else None
    yield _guarded(lambda: _tiles(site, found))
    yield _remarks(found.survey)
    yield _namespace_table(site, found, is_first)
    now = site.clock()
    yield element("div", _codecs(found.survey), _expiries(found.survey), class_="side")
    yield element(
        "div",
        _records(site, "Largest", found.survey.largest, "Size", lambda one: size(one.size)),
        _records(site, "Newest", found.survey.newest, "Changed", lambda one: moment(one.modified, now)),
        _records(site, "Soon to expire", found.survey.soonest, "Expires", lambda one: countdown(one.expires, now)),
        recent(site),
        class_="side",
    )


def _namespaces(ns: Namespace, after: str | None) -> tuple[list[str], Html | None]:
    """Namespaces for one page and one more, and why there are no others."""
    try:
        return ns.engine.namespaces(ns.clock(), after, MOST_SHOWN + 1), None
    except (RecordError, StorageError) as exc:
        return [], notice("error", "The namespaces cannot be listed. ", str(exc))


def _counts(ns: Namespace, found: Survey, names: Sequence[str]) -> tuple[dict[str, int], float]:
    """Exact numbers of records, and when the next of them expires.

    Where the survey did not come to its end, of as many namespaces as there is time for.
    """
    next_expiry = min((one.expires.timestamp() for one in found.soonest if one.expires is not None), default=inf)
    if found.complete:
        return {name: share.records for name, share in found.namespaces.items()}, next_expiry
    counts: dict[str, int] = {}
    end = steady_clock() + COUNT_SECONDS
    for name in names:
        if steady_clock() > end:
            break
        try:
            counts[name], expires = ns.engine.count(name, ns.clock())
        except RecordError:  # its index is damaged, which the survey counts
            continue
        next_expiry = min(next_expiry, expires)
    return counts, next_expiry


def _tiles(site: Site, found: _Found) -> Html:
    ns, whole = site.store.opened, found.survey
    usage = ns.engine.usage()
    return tiles(
        [
            ("Records", _total(found)),
            ("Size of records", _at_least(whole, size(whole.bytes))),
            ("Namespaces", f"{len(found.namespaces)}{'+' if found.after else ''}"),
            ("Database", size(usage.data_bytes)),
            ("Log (WAL)", size(usage.log_bytes)),
            ("Large values", _spilled(ns, whole)),
            ("Health", element("a", status_text(site.health.last), href=site.links.health())),
        ]
    )


def _total(found: _Found) -> Html:
    counted = sum(found.counts.values())
    is_exact = found.survey.complete or (found.after is None and found.counts.keys() >= set(found.namespaces))
    exact = joined([number(counted)])
    return exact if is_exact else _at_least(found.survey, joined([number(max(counted, found.survey.records))]))


def _at_least(found: Survey, figure: Html) -> Html:
    return figure if found.complete else element("span", figure, "+", title="at least: not all records were read")


def _spilled(ns: Namespace, found: Survey) -> Html:
    """The files of large values; of a store that is too large to be counted, nothing."""
    if not found.complete:
        return element("span", "not counted", class_="muted")
    totals = [total for name in found.namespaces for total in ns.engine.totals(name, ns.clock())]
    files = sum(total.files for total in totals)
    if not files:
        return element("span", "none", class_="muted")
    beside = size(sum(total.file_bytes for total in totals))
    return joined([beside, " ", element("span", f"in {counted(files, 'file')}", class_="muted")])


def _remarks(found: Survey) -> Html:
    remarks: list[Child] = []
    if found.damaged:
        text = (
            f"Damaged records and namespaces: {number(found.damaged)}. The page Health has a check that names them."
        )
        remarks.append(notice("error", text))
    if not found.complete:
        which = f"the first {number(MOST_NAMESPACES)} namespaces" if found.left_out else "each namespace"
        text = f"{counted(found.records, 'record')} were read for this page: those inserted last of {which}."
        remarks.append(notice("note", text, " Sizes, codecs and lists are those of them."))
    return joined(remarks)


def _namespace_table(site: Site, found: _Found, is_first: bool) -> Html:
    shares = found.survey.namespaces
    largest = max((share.bytes for share in shares.values()), default=0)
    rows: list[list[Child]] = []
    for name in found.namespaces:
        share = shares.get(name, Share())
        count = found.counts.get(name)
        records = number(share.records) + "+" if count is None else number(count)
        rows.append([namespace_link(site, name), records, size(share.bytes), bar(share.bytes, largest)])
    if not rows:
        return joined([])
    table = listing(
        ("Namespace", "Records", "Size", "Share"),
        rows,
        caption="Sizes by namespace",
        numbers=(1, 2),
        kind="short compact",
    )
    return section("Namespaces", table, _pager(site, found, is_first), class_="namespaces")


def _pager(site: Site, found: _Found, is_first: bool) -> Html:
    links = [] if is_first else [element("a", "First namespaces", href=site.links.page())]
    if found.after is not None:
        href = site.links.page("", after=found.after)
        links.append(next_link("More namespaces", found.after, href))
    return element("nav", *links, class_="pager", aria_label="Pages of namespaces") if links else joined([])


def _codecs(found: Survey) -> Html:
    shares = sorted(found.codecs.items(), key=lambda one: -one[1].bytes)
    largest = max((share.bytes for _, share in shares), default=0)
    rows: list[list[Child]] = [
        [element("code", cut(codec, 60)), number(share.records), size(share.bytes), bar(share.bytes, largest)]
        for codec, share in shares[:MOST_CODECS]
    ]
    if not rows:
        return joined([])
    left = len(shares) - MOST_CODECS
    caption = "Sizes by codec" + (f"; {number(left)} more codecs are left out" if left > 0 else "")
    return section(
        "Codecs",
        listing(("Codec", "Records", "Size", "Share"), rows, caption=caption, numbers=(1, 2), kind="compact"),
    )


def _expiries(found: Survey) -> Html:
    most = max((count for _, count in found.expiries), default=0)
    if not most:
        return joined([])
    if not any(count for _, count in found.expiries[:-1]):  # the last one is of those that never do
        return section("Expiry", element("p", "No record expires."))
    rows: list[list[Child]] = [[label, number(count), bar(count, most, "time")] for label, count in found.expiries]
    table = listing(
        ("Expiry", "Records", "Share"),
        rows,
        caption="Records by the time until they expire",
        numbers=(1,),
        kind="compact",
    )
    return section("Expiry", table, class_="expiry")


def _records(site: Site, title: str, records: Sequence[Record], heading: str, fact: Callable[[Record], Html]) -> Html:
    """A short list of records with the fact that it is sorted by."""
    rows: list[list[Child]] = [
        [record_link(site, one.namespace, one.name), namespace_link(site, one.namespace), fact(one)]
        for one in records
    ]
    if not rows:
        return joined([])
    table = listing(
        ("Name", "Namespace", heading), rows, caption=f"Records: {title.lower()}", numbers=(2,), kind="short compact"
    )
    return section(title, table)


def _guarded(make: Callable[[], Html]) -> Html:
    """A part of the page; its error stands in its place, so that damage leaves the other parts."""
    try:
        return make()
    except (RecordError, StorageError) as exc:
        return notice("error", str(exc))
