"""The health of a store: its log, and a check of all seals on request, whose result is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from store.care.verify import Verification
from store.display.html import Child, Html, element, joined
from store.display.text import cut
from store.engines.contract import Usage
from store.errors import StoreError
from store.web.health import Check
from store.web.pages.query import count_of
from store.web.parts.moments import moment_at
from store.web.parts.naming import namespace_link, record_link
from store.web.parts.prose import prose
from store.web.parts.tables import counted, facts, listing, notice, number, section, size
from store.web.site import Page, Site

MOST_LISTED = 50
_KINDS = (
    ("foreign", "Foreign", "sealed by a key that is not here; `store inspect` describes each"),
    ("tampered", "Tampered", "altered after a key of yours sealed them: restore them from a backup"),
    ("corrupt", "Corrupt", "damaged: restore them from a backup"),
    ("unfound", "Not found", "in the table, but the index does not lead to them: `store recover` copies them"),
)
_ABOUT = (
    "Compares the seal of each record of all namespaces, reads the structure of the database, and looks for the "
    "files of large values. Nothing is decoded. It reads all records, so it can take minutes on a large store, and "
    "goes on when you leave this page; one check runs at a time. `store verify` also compares the content of those "
    "files."
)


def health_page(site: Site, query: Mapping[str, str]) -> Page:
    """The last check, and the form that runs the next one."""
    number_asked = count_of(query, "check")
    if number_asked is not None:
        site.health.check(site.store, site.clock, number_asked)
    number_stopped = count_of(query, "stop")
    if number_stopped is not None:
        site.health.stop(number_stopped)
    parts: list[Html | None] = [_status(site), _form(site), _log(site)]
    if site.health.last is not None and site.health.last.found is not None:
        parts.insert(1, _findings(site, site.health.last.found))
    return Page("Health", joined(parts))


def status_text(check: Check | None) -> str:
    """The result of a check in a few words."""
    if check is None:
        return "not checked yet"
    if check.found is None:
        return "could not be checked"
    return "sound" if check.found.ok else "has problems"


def _status(site: Site) -> Html:
    check, running = site.health.last, site.health.running
    if running is not None:
        done = f"; {counted(running.done, 'record')} so far" if running.done else ""
        again = element("a", "See how far it is", href=site.links.health())
        stop = element("a", "stop it", href=site.links.page("health", stop=site.health.count))
        began = moment_at(running.began, site.clock())
        return notice("note", "A check is running. It began ", began, f"{done}. ", again, ", or ", stop, ".")
    if check is None:
        return notice("note", "The store has not been checked since these pages were started.")
    when = moment_at(check.ended, site.clock())
    if check.found is None:
        return notice("error", "The store could not be checked, ", when, ": ", check.problem)
    took = f" It took {max(0.0, check.ended - check.began):.1f} s."
    if check.found.ok:
        sealed = counted(check.found.sealed, "record")
        return notice("good", f"The store is sound: {sealed}, all sealed by keys of yours. Checked ", when, ".", took)
    return notice("error", "The store has problems, listed below. Checked ", when, ".", took)


def _form(site: Site) -> Html | None:
    if site.health.running is not None:
        return None
    return section(
        "Check",
        element("p", prose(_ABOUT)),
        element(
            "form",
            element("input", type="hidden", name="check", value=site.health.count),
            element("button", "Check now", type="submit", class_="main"),
            method="get",
            action=site.links.page("health"),
        ),
    )


def _findings(site: Site, found: Verification) -> Html:
    parts: list[Html] = [_counts(found)]
    for field, title, remedy in _KINDS:
        places = getattr(found, field)
        if places:
            parts.append(_records(site, f"{title}: {number(len(places))}", remedy, [(*one, None) for one in places]))
    if found.files:
        title = f"Files of large values: {number(len(found.files))}"
        parts.append(_records(site, title, "missing, truncated or altered", found.files))
    parts += _texts("Damage of the store", found.damage, "`store recover` copies the sound records to a new store.")
    parts += _texts("Files that no record names", found.orphans, "They do no harm; `store compact` removes them.")
    return section("Result", *parts)


def _counts(found: Verification) -> Html:
    counts = [("Sealed by keys of yours", number(found.sealed))]
    counts += [(title, number(len(getattr(found, field)))) for field, title, _ in _KINDS]
    if found.unread:
        counts.append(("Commits that cannot be read", number(found.unread)))
    return facts(counts)


def _records(site: Site, title: str, remedy: str, places: Sequence[tuple[str, str, str | None]]) -> Html:
    rows: list[list[Child]] = [
        [record_link(site, namespace, name), namespace_link(site, namespace), *([problem] if problem else [])]
        for namespace, name, problem in places[:MOST_LISTED]
    ]
    has_problems = any(problem for _, _, problem in places)
    headings = ("Name", "Namespace", "Problem") if has_problems else ("Name", "Namespace")
    table = listing(headings, rows, caption=prose(remedy))
    return element("div", element("h3", title), table, _rest(len(places)))


def _texts(title: str, texts: Sequence[str], remedy: str) -> Iterator[Html]:
    if texts:
        items = [element("li", cut(text, 500)) for text in texts[:MOST_LISTED]]
        yield element("h3", title)
        yield element("p", prose(remedy))
        yield element("ul", *items)
        yield _rest(len(texts))


def _rest(count: int) -> Html:
    more = count - MOST_LISTED
    return element("p", f"… and {number(more)} more", class_="muted") if more > 0 else joined([])


def _log(site: Site) -> Html:
    """The space that the store takes, and what keeps its log from being folded."""
    try:
        usage = site.store.opened.engine.usage()
    except StoreError as exc:
        return section("Space", notice("error", str(exc)))
    purge = site.store.opened.purging.error
    problems = [
        notice("warning", "The log could not be folded into the database: ", usage.log_error)
        if usage.log_error
        else None,
        notice("warning", "Expired records could not be deleted: ", str(purge)) if purge is not None else None,
    ]
    return section("Space", *problems, facts(_space(usage)))


def _space(usage: Usage) -> Iterator[tuple[str, Child]]:
    yield "Database", size(usage.data_bytes)
    yield "Free inside it", size(usage.free_bytes)
    yield "Log of commits (WAL)", size(usage.log_bytes)
    if usage.log_pinned_bytes:
        yield "Log that a reader keeps", size(usage.log_pinned_bytes)
    if usage.log_pinned_by is not None:
        yield "Process of that reader", str(usage.log_pinned_by)
    if usage.log_pinned_seconds:
        yield "For", f"{usage.log_pinned_seconds:,.0f} s"
