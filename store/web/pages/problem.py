"""Pages of errors: the message, which says what to do, and the HTTP status of its kind."""

from __future__ import annotations

from store.display.html import element
from store.errors import StoreError
from store.web.pages.query import BadQuery
from store.web.pages.tables import notice
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


def problem_page(error: StoreError | BadQuery) -> Page:
    """The page of an error: its message, which says what happened and what to do."""
    status = status_of(error)
    return Page(_TITLES.get(status, "The store has a problem"), notice("error", str(error)), status)


def missing_page(site: Site) -> Page:
    """The page where an address leads to none."""
    body = element("p", "The ", element("a", "first page", href=site.links.page()), " has links to all others.")
    return Page("There is no such page", body, status=404)
