"""`page_of`: which page an address leads to, for every application that shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlencode

from store.display.html import Url, joined
from store.errors import StoreError
from store.web.forms import PATHS, form_page
from store.web.forms.done import done
from store.web.pages.health import health_page
from store.web.pages.long_names import with_long_names
from store.web.pages.overview import overview_page
from store.web.pages.problem import missing_page, problem_page
from store.web.pages.query import BadQuery, name_of
from store.web.pages.record import record_page
from store.web.pages.records import records_page
from store.web.site import Page, Site

Query = Mapping[str, str]

_PAGES: dict[str, Callable[[Site, Query], Page]] = {
    "": overview_page,
    "namespace": records_page,
    "record": lambda site, query: record_page(site, name_of(query, "namespace"), name_of(query, "name")),
    "health": health_page,
}


def page_of(site: Site, path: str, query: Query) -> Page:
    """The page of a path below the first one, as `Links.page` names it. Its status is 404 where there is none.

    An error of the store is a page too, with a status of its own and with the message that says what to do.
    """
    page = _PAGES.get(path)
    if page is None and path not in PATHS:
        return missing_page(site)
    try:
        whole = with_long_names(site, query)
        found = form_page(site, path, whole) if page is None else page(site, whole)
    except (StoreError, BadQuery) as exc:
        return problem_page(exc, _address(site, path, query))
    if "name" not in query:  # else it is about one record, and no place that the header leads to
        found = replace(found, place=path)
    said = done(site, query) if found.status == 200 else None
    return found if said is None else replace(found, body=joined([said, found.body]))


def _address(site: Site, path: str, query: Query) -> Url:
    """The address of a page with its query."""
    return Url(f"{site.links.page(path)}?{urlencode(query, errors='replace')}" if query else site.links.page(path))
