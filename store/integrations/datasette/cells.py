"""Cells of the table `records`: values in place of bytes, and times in place of numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from store.display.html import Html, Url, element, joined
from store.display.units import size_text
from store.errors import RecordError, StoreError
from store.integrations.datasette.databases import NOT_OPENED, Place, Stores, place_of, stores_of
from store.integrations.datasette.permissions import RECORDS
from store.integrations.datasette.responses import Spending, spending
from store.opened.sentinels import MISSING
from store.system.clock import wall_clock
from store.web.look import Budget, Look, look
from store.web.parts.moments import exactly
from store.web.site import Site
from store.web.values import badge, brief

BODY = "body"
TIMES = frozenset(("created", "modified", "expires"))
LATEST = 253_402_300_799.0  # the last second that `datetime` has


def is_records(table: str | None) -> bool:
    """Whether a table has the name of that of records; SQLite ignores the case of names."""
    return table is not None and table.lower() == RECORDS


def is_ours(table: str | None, column: str) -> bool:
    """Whether a cell is one of those that are shown in another way, if its database is a store."""
    return is_records(table) and (column == BODY or column in TIMES)


async def cell(datasette: Any, database: str, row: Any, column: str, value: Any) -> Markup | None:
    """A cell as HTML; None where Datasette should show it as it does all others."""
    shared = spending()
    place = await shared.place(datasette, database)
    if place is None:
        return None
    if column in TIMES:
        return _marked(time_of(value, wall_clock()))
    named = named_in(row)
    if named is None or not isinstance(value, bytes):
        return None
    shown = await stores_of(datasette).run(_record, stores_of(datasette), place, named, shared)
    ways = joined([*shown[1:], _bytes(datasette, place, row, len(value))], " · ")
    return _marked(element("div", shown[0], " ", element("small", ways), class_="store-cell"))


async def style_sheets(datasette: Any, database: str | None) -> list[str]:
    """The addresses of the style sheets of these cells; none where the database is no store."""
    place = await place_of(datasette, database)
    return [] if place is None else [f"{place.base}/static/cells.css"]


def time_of(value: Any, now: float) -> Html | None:
    """A column of Unix seconds as a time and its distance from now; None where it holds something else."""
    if value is None:
        return element("span", "never", class_="store-time")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST:
        return None
    return element("span", exactly(datetime.fromtimestamp(value, UTC), now), class_="store-time")


def named_in(row: Any) -> tuple[str, str] | None:
    """Namespace and name of the record in a row; None where the columns that were chosen lack them."""
    if not {"namespace", "name"} <= set(row.keys()):
        return None
    namespace, name = row["namespace"], row["name"]
    return (namespace, name) if isinstance(namespace, str) and isinstance(name, str) else None


def _record(stores: Stores, place: Place, named: tuple[str, str], shared: Spending) -> list[Html]:
    """The value of a record, or what is wrong with it; and the way to its page, if the store could be opened."""
    namespace, name = named
    site, problem = _opened(stores, place, shared)
    if site is None:
        return [_shown(Look(name, None, "skipped", problem=problem))]
    seen = seen_in(site, namespace, name, shared.budget)
    if seen.record is not None:
        site.history.note(namespace, name, seen.record, site.clock())
    return [_shown(seen), element("a", "record", href=site.links.record(namespace, name))]


def _opened(stores: Stores, place: Place, shared: Spending) -> tuple[Site | None, str | None]:
    """The pages of a store, or why it cannot be opened, which is tried once for each response."""
    if place.name not in shared.problems:
        try:
            return stores.site(place), None
        except NOT_OPENED as exc:
            shared.problems[place.name] = str(exc)
    return None, shared.problems[place.name]


def seen_in(site: Site, namespace: str, name: str, budget: Budget) -> Look:
    """A record of a store as a cell meets it. Nothing is raised for it."""
    try:
        with site.within(namespace) as s:
            return look(s, s.record(name), budget)
    except KeyError:
        return Look(name, None, "skipped", problem="it is gone: it was deleted, or has expired")
    except (RecordError, ValueError) as exc:  # ValueError: a name that is no valid text, in a crafted file
        return Look(name, None, "corrupt", problem=str(exc))
    except StoreError as exc:
        return Look(name, None, "skipped", problem=str(exc))


def _shown(seen: Look) -> Html:
    sign = None if seen.badge == "own" else badge(seen.badge)
    what = element("span", seen.problem, class_="store-problem") if seen.value is MISSING else brief(seen.value)
    return joined([part for part in (sign, what) if part is not None], " ")


def _bytes(datasette: Any, place: Place, row: Any, size: int) -> Html:
    """The way to the bytes, which Datasette itself would offer in this cell."""
    number = row["id"] if "id" in set(row.keys()) else None
    if not isinstance(number, int):
        return element("span", size_text(size))
    url = Url(datasette.urls.row_blob(place.name, RECORDS, str(number), BODY))
    return element("a", size_text(size), href=url, class_="blob-download", title="Download the bytes")


def _marked(markup: Html | None) -> Markup | None:
    """As Jinja takes it: not escaped once more."""
    return None if markup is None else Markup(markup)
