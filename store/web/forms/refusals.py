"""Pages of writes that were not made."""

from __future__ import annotations

from store.classes.shown import message_of
from store.display.html import element, joined
from store.errors import StoreError
from store.web.forms.controls import trouble
from store.web.parts.naming import record_text
from store.web.site import Page, Site

REFUSALS = (StoreError, TypeError, ValueError)
"""What a write raises that a person can act on; other errors are the application's."""


def problem_of(error: Exception) -> str:
    """What a page says of an error."""
    return message_of(error, 2000)


def read_only(site: Site) -> Page:
    """The page for every write to a site that only shows."""
    body = joined(
        [
            trouble("These pages show the store, and do not change it. Nothing was written."),
            element("p", "Start them with ", element("code", "--write"), " to change records."),
            element("p", element("a", "The first page", href=site.links.page())),
        ]
    )
    return Page("Not changed", body, status=403)


def bad_form(site: Site, problem: str, status: int = 400) -> Page:
    """The page for a form that says nothing that could be done."""
    way = element("p", element("a", "The first page", href=site.links.page()))
    return Page("Not changed", joined([trouble(f"{problem}. Nothing was written."), way]), status=status)


def missing(site: Site, namespace: str, name: str) -> Page:
    """The page for a record that is not there."""
    way = element("a", "The records of its namespace", href=site.links.namespace(namespace))
    return Page(record_text(name), joined([element("p", "There is no such record."), element("p", way)]), status=404)
