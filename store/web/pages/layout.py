"""The frame that all pages have, and the headers they are sent with."""

from __future__ import annotations

from base64 import b64decode

from store.display.html import Html, Url, element, image_url, joined, script
from store.web.parts.tables import notice
from store.web.site import Page, Site

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # The address has the token in it, which other sites must not learn. With "no-referrer" browsers would send
    # `Origin: null` with our own forms too (https://fetch.spec.whatwg.org/#append-a-request-origin-header).
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_ICON = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAYAAAAf8/9hAAAAL0lEQVR42mNgoBYQScj+TwqmSDOGITQzAAbIMgAdDEEDKA6DYWIA"
    "/VIixZmJEgAA7eiVJERlebIAAAAASUVORK5CYII="
)  # part of each page: a browser would ask another address for one
PLACES = (("Overview", ""), ("Health", "health"))
"""The pages that each page leads to: text and path."""
WRITING = (("Settings", "settings"), ("New record", "set"))
"""Those of sites that write as well."""


def document(site: Site, page: Page, above: tuple[str, Url] | None = None) -> str:
    """A page as a whole document, to be sent with `HEADERS`. `above`: the way out of the pages, text and address."""
    return f"<!doctype html>{element('html', _head(site, page), _body(site, page, above), lang='en')}"


def _head(site: Site, page: Page) -> Html:
    title = page.title if page.title == site.name else f"{page.title} · {site.name}"
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("link", rel="stylesheet", href=site.links.static("page.css")),
        element("link", rel="icon", type="image/png", href=image_url(_ICON, "image/png")),
        script(site.links.static("page.js")),
    )


def _body(site: Site, page: Page, above: tuple[str, Url] | None) -> Html:
    return element(
        "body",
        element("a", "Skip to the content", href=Url("#main"), class_="skip"),
        _header(site, page, above),
        element("div", class_="changed", id="changed", role="status", aria_live="polite"),
        element(
            "main",
            element("h1", page.title),
            _moved(site),
            page.body,
            id="main",
            tabindex=-1,
            data_live=page.live,
            data_now=f"{site.clock():.3f}",
        ),
        _footer(site, page),
    )


def _moved(site: Site) -> Html | None:
    """The notice that another file is in the place of the store."""
    problem = None if site.place is None else site.place.problem()
    return None if problem is None else notice("error", problem)


def _header(site: Site, page: Page, above: tuple[str, Url] | None) -> Html:
    first = element("a", site.name, href=site.links.page(), class_="store")
    outside = [] if above is None else [element("a", above[0], href=above[1])]
    steps = [*outside, first, *(element("a", where, href=url) for where, url in page.trail)]
    trail = element("ol", *(element("li", step) for step in steps), class_="trail")
    all_places = (*PLACES, *WRITING) if site.writable else PLACES
    places = [_place(site, page, text, path) for text, path in all_places]
    return element(
        "header",
        element("nav", trail, aria_label="Where this page is"),
        element("nav", element("ul", *places, class_="places"), aria_label="Pages of the store"),
        class_="top",
    )


def _place(site: Site, page: Page, text: str, path: str) -> Html:
    current = "page" if page.place == path else None
    return element("li", element("a", text, href=site.links.page(path), aria_current=current))


def _footer(site: Site, page: Page) -> Html:
    access = "These pages can write" if site.writable else "These pages only read"
    keys = [element("kbd", "/"), " to search, ", element("kbd", "j"), " and ", element("kbd", "k"), " for the next"]
    return element(
        "footer",
        element("span", access),
        element("span", site.location, class_="where"),
        element("span", "Keys: ", joined(keys), " and the previous record", class_="keys"),
    )
