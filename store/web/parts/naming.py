"""Names of namespaces and records as pages show them, and links to their pages."""

from __future__ import annotations

from store.display.html import Html, Url, element
from store.display.text import MOST_SHOWN, cut, visible
from store.web.links import fits
from store.web.site import Site

MOST_IN_LINKS = 80  # characters of a name in a link
UNNAMED = "unnamed namespace"


def plainly(name: str, most: int = MOST_SHOWN) -> str:
    r"""A name whose characters can all be seen: a line break is `\n`, and spaces that HTML drops are in quotes."""
    shown = visible(cut(name, most))
    return f'"{shown}"' if shown.strip() != shown or "  " in shown else shown


def namespace_text(namespace: str) -> str:
    """A namespace in a title or a trail."""
    return plainly(namespace) or UNNAMED


def record_text(name: str) -> str:
    """A record's name in a title or a trail."""
    return plainly(name) or '""'


def next_link(text: str, after: str, href: Url) -> Html:
    """The link to the page of a list that begins after a name."""
    if not fits(after):
        note = "The next page begins after a name that is too long for an address: search by a prefix."
        return element("span", note, class_="muted")
    return element("a", text, href=href, rel="next", class_="next")


def namespace_link(site: Site, namespace: str) -> Html:
    """A link to the records of a namespace."""
    shown = plainly(namespace, MOST_IN_LINKS) if namespace else element("em", "unnamed")
    return element("a", shown, href=site.links.namespace(namespace))


def record_link(site: Site, namespace: str, name: str) -> Html:
    """A link to the page of a record."""
    shown = plainly(name, MOST_IN_LINKS) if name else element("em", '""')
    return element("a", shown, href=site.links.record(namespace, name))
