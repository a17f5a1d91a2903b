"""HTML that is built from elements and text, never from strings of markup: each text is escaped where it goes in.

`Html` is markup, and only the functions of this module make any. Everything else is text. URLs are
`Url`, which is made where an application knows its own pages: a text out of a store can be shown, and never followed.
Neither scripts, styles nor handlers can be written with it, so that a page works under the strictest
content-security-policy (https://www.w3.org/TR/CSP3/).
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Sequence

from store.display.text import visible

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*")
_EMPTY = frozenset("br col hr img input link meta wbr".split())  # elements without content or end
_CODE = frozenset("script style iframe object embed base".split())  # elements that run or fetch
_URLS = frozenset("href src action formaction".split())
_CODE_ATTRIBUTES = re.compile(r"on.*|style|srcdoc|srcset|xlink.*|ping|manifest", re.IGNORECASE)


class Html(str):
    """Markup, to be shown as it is."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(self)


class Url(str):
    """An address that an application made for its own pages, or an image that is part of the page."""

    __slots__ = ()


Child = str | Html | None  # a plain str is text


def text(content: str) -> Html:
    """A text, escaped. Line breaks and tabs stay; other unprintable characters are shown as JSON escapes them."""
    return Html(html.escape(visible(content, keep="\n\t")))


def joined(parts: Iterable[Child], between: Child = None) -> Html:
    """Markup and texts, one after the other; None is left out."""
    separator = "" if between is None else _markup(between)
    return Html(separator.join(_markup(part) for part in parts if part is not None))


def element(name: str, /, *children: Child, **attributes: str | int | float | bool | None) -> Html:
    """An element. A text child is escaped, `Html` stays as it is, None is left out.

    Attributes are written `class_="name"`, `aria_label="…"`; True stands for one without a value, None and False for
    none.

    Raises:
        ValueError: the name, or an attribute, is one that runs code or fetches something.
        TypeError: the value of `href`, `src`, `action` or `formaction` is not a `Url`.
    """
    if not _NAME.fullmatch(name) or name.lower() in _CODE:
        raise ValueError(f"<{name}> is not an element that pages of a store have")
    start = "".join(map(_attribute, attributes, attributes.values()))
    if name in _EMPTY:
        return Html(f"<{name}{start}>")
    return Html(f"<{name}{start}>{joined(children)}</{name}>")


def script(source: Url) -> Html:
    """The element that loads a script of the application itself. No text can be part of it."""
    return Html(f"<script{_attribute('src', source)} defer></script>")


def image_url(content: bytes, media_type: str) -> Url:
    """An image as a URL of its own bytes, `data:image/png;base64,…`. Raises: ValueError: it is no type of images."""
    if media_type not in ("image/png", "image/jpeg", "image/gif", "image/webp"):  # SVG may hold scripts
        raise ValueError(f"{media_type!r} is not shown as an image")
    return Url(f"data:{media_type};base64,{base64.b64encode(content).decode()}")


def table(
    headings: Sequence[Child], rows: Iterable[Sequence[Child]], *, caption: Child = None, **attributes: str
) -> Html:
    """A table; headings are those of columns. The first cell of a row is its heading where there are none."""
    head = (
        element("thead", element("tr", *(element("th", one, scope="col") for one in headings))) if headings else None
    )
    body = element("tbody", *(_row(row, is_named=not headings) for row in rows))
    named = None if caption is None else element("caption", caption)
    return element("table", named, head, body, **attributes)


def _row(cells: Sequence[Child], *, is_named: bool) -> Html:
    first = [element("th", cells[0], scope="row")] if is_named and cells else []
    return element("tr", *first, *(element("td", cell) for cell in cells[len(first) :]))


def _markup(part: Child) -> str:
    return part if isinstance(part, Html) else text(part or "")


def _attribute(given: str, value: str | int | float | bool | None) -> str:
    name = given.rstrip("_").replace("_", "-")
    if not _NAME.fullmatch(name) or _CODE_ATTRIBUTES.fullmatch(name):
        raise ValueError(f"the attribute {name!r} is not one that pages of a store have")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    if name in _URLS and not isinstance(value, Url):
        raise TypeError(f"{name} takes a Url, which the application made, not text")
    return f' {name}="{text(str(value))}"'
