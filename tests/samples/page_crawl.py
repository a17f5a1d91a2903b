"""The pages that the first one leads to, as a person comes upon them by clicking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlsplit

from page_audit import links_of

if TYPE_CHECKING:
    from chromium import Browser


class Kind(NamedTuple):
    """What pages have in common: the path below the first page, and the namespace."""

    path: str
    namespace: str


def kind_of(base: str, url: str) -> Kind:
    parts = urlsplit(url.removeprefix(base).lstrip("/"))
    return Kind(parts.path, parse_qs(parts.query, keep_blank_values=True).get("namespace", [""])[0])


def crawl(browser: Browser, base: str, most: Callable[[Kind], int], clicks: int = 2) -> Iterator[tuple[Kind, str]]:
    """Opens the pages that are so many clicks away, and up to `most` of a kind. Each is open while it is given."""
    found, visited = [f"{base}/"], Counter[Kind]()
    known = set(found)
    for distance in range(clicks + 1):
        next_ones: list[str] = []
        for url in found:
            kind = kind_of(base, url)
            if visited[kind] >= most(kind):
                continue
            visited[kind] += 1
            browser.open(url)
            yield kind, url
            if distance < clicks:
                next_ones += [link for link in links_of(browser, base) if link not in known]
                known.update(next_ones)
        found = list(dict.fromkeys(next_ones))
