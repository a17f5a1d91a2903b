"""A page as a reader meets it: its elements, their attributes and their text, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlsplit

EMPTY = set("br col hr img input link meta wbr".split())


class Node:
    """An element."""

    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.parts: list[Node | str] = []

    def __getitem__(self, name: str) -> str | None:
        return self.attributes[name]

    def get(self, name: str) -> str:
        return self.attributes.get(name) or ""

    @property
    def text(self) -> str:
        """All text in it, with each run of white space as one space."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> Iterator[str]:
        for part in self.parts:
            yield from [part] if isinstance(part, str) else part._texts()

    def each(self, tag: str = "", class_: str = "") -> list[Node]:
        """The elements in it of that tag and class, in order."""
        return [node for node in self.walk() if tag in ("", node.tag) and (not class_ or class_ in node.get("class").split())]

    def one(self, tag: str = "", class_: str = "") -> Node:
        (found,) = self.each(tag, class_)
        return found

    def walk(self) -> Iterator[Node]:
        for part in self.parts:
            if isinstance(part, Node):
                yield part
                yield from part.walk()


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Node("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, dict(attrs))
        self.open[-1].parts.append(node)
        if tag not in EMPTY:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> ends another element"

    def handle_data(self, data: str) -> None:
        self.open[-1].parts.append(data)


def read(markup: str) -> Node:
    """The elements of a page. Each must be ended where it should be."""
    parser = _Parser()
    parser.feed(markup)
    parser.close()
    assert parser.open == [parser.root], "an element is not ended"
    return parser.root


def rows_of(table: Node) -> list[list[str]]:
    """The texts of the cells of a table's body."""
    return [[cell.text for cell in row.parts if isinstance(cell, Node)] for row in table.one("tbody").each("tr")]


def asked_by(url: str | None) -> tuple[str, dict[str, str]]:
    """The path below the base "/t", and the query, of an address."""
    parts = urlsplit(url or "")
    return parts.path.removeprefix("/t/"), dict(parse_qsl(parts.query, keep_blank_values=True))
