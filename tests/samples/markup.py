"""Markup as a browser would read it: its elements and text, checked for anything that runs, fetches or stays open."""

from __future__ import annotations

from html.parser import HTMLParser

from store.display.html import Html

EMPTY = {"br", "col", "hr", "img", "input", "link", "meta", "wbr"}
SHOWN = {
    "div", "span", "p", "a", "code", "pre", "small", "details", "summary", "ul", "li", "dl", "dt", "dd", "time", "figure",
    "figcaption", "table", "thead", "tbody", "tr", "th", "td", "caption", "svg", "path", "title", "img",
}  # fmt: skip


class Markup(HTMLParser):
    """What is in a piece of markup. `elements` are (name, attributes) in order, `text` all text between them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == [], f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SHOWN, f"<{tag}>"
        for name, value in attrs:
            assert not name.startswith("on") and name not in ("style", "srcdoc", "srcset", "href"), f"{tag} {name}={value}"
            assert name != "src" or str(value).startswith("data:image/"), f"{tag} {name}={value}"
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open.pop() == tag, f"</{tag}>"

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data[:80]}")

    def names(self) -> list[str]:
        """The names of the elements."""
        return [name for name, _ in self.elements]

    def first(self, name: str) -> dict[str, str | None]:
        """The attributes of the first element of a name."""
        return next(attributes for found, attributes in self.elements if found == name)


def markup_of(html: Html) -> Markup:
    """The content of markup that shows a value. AssertionError: it could run something, or is not well formed."""
    assert type(html) is Html
    html.encode("utf-8")  # no lone surrogates
    return Markup(html)
