"""Pages of errors: the message, which says what to do, and the HTTP status of its kind."""

from __future__ import annotations

from store.display.html import Url, element, joined
from store.errors import StoreError
from store.web.pages.query import BadQuery
from store.web.parts.tables import notice
from store.web.site import Page, Site
from store.web.statuses import status_of

_TITLES = {
    400: "This address is not right",
    403: "This is not permitted",
    404: "There is no store any more",
    409: "Another program was faster",
    501: "This store cannot do that",
    503: "The store cannot be reached now",
}


def problem_page(error: StoreError | BadQuery, again: Url | None = None) -> Page:
    """The page of an error: its message, which says what happened and what to do.

    `again` is the address of the page that was asked for; a link leads there if it may come soon.
    """
    status = status_of(error)
    is_passing = status == 503 and again is not None
    retry = element("p", element("a", "Try again", href=again)) if is_passing else None
    body = joined([notice("error", str(error)), retry])
    return Page(_TITLES.get(status, "The store has a problem"), body, status)


def missing_page(site: Site) -> Page:
    """The page where an address leads to none."""
    body = element("p", "The ", element("a", "first page", href=site.links.page()), " has links to all others.")
    return Page("There is no such page", body, status=404)
