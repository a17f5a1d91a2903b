"""The form that searches a namespace by the beginning of names, and sorts what it finds."""

from __future__ import annotations

from collections.abc import Sequence

from store.display.html import Html, element
from store.display.text import cut
from store.web.links import fits
from store.web.pages.query import Wanted
from store.web.parts.naming import MOST_IN_LINKS, namespace_text
from store.web.site import Site

_ORDERS = (("Name", "name"), ("Size", "size"), ("Last change", "modified"), ("Expiry", "expires"))


def search(site: Site, asked: Wanted) -> Html:
    """The form on the page of a namespace, filled in as that was asked for."""
    options = [element("option", text, value=sort, selected=sort == asked.sort) for text, sort in _ORDERS]
    return _form(
        site,
        element("input", type="hidden", name="namespace", value=asked.namespace),
        _prefix(asked.prefix),
        element("label", element("span", "Sort by"), element("select", *options, name="sort")),
        element(
            "label",
            element("input", type="checkbox", name="reverse", value=1, checked=asked.reverse),
            element("span", "Descending"),
            class_="check",
        ),
    )


def search_any(site: Site, namespaces: Sequence[str]) -> Html:
    """The form on the first page, with a choice of namespaces."""
    options = [
        element("option", cut(namespace_text(one), MOST_IN_LINKS), value=one) for one in namespaces if fits(one)
    ]
    choice = element("label", element("span", "Namespace"), element("select", *options, name="namespace"))
    return _form(site, choice, _prefix(""))


def _form(site: Site, *fields: Html) -> Html:
    button = element("button", "Search", type="submit")
    return element(
        "form", *fields, button, class_="search", role="search", method="get", action=site.links.page("namespace")
    )


def _prefix(prefix: str) -> Html:
    box = element(
        "input",
        type="search",
        name="prefix",
        id="search",
        value=prefix,
        autocomplete="off",
        spellcheck="false",
        autocapitalize="none",
        placeholder="user:",
    )
    return element("label", element("span", "Names that begin with"), box, class_="wide")
