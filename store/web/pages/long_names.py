"""Names that are too long for an address, found by their beginning and their digest (`store/web/links.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from store.engines.contract import Fields, Order
from store.system.clock import steady_clock
from store.web.links import SHORTENED, digest_of
from store.web.pages.opening import opened
from store.web.pages.query import BadQuery, name_of
from store.web.site import Site

MOST_SECONDS = 2.0
AT_ONCE = 50  # names, each of which may be very long

NextNames = Callable[[str], Sequence[str]]
"""Takes a name; returns some of those behind it, in order, or none."""


def with_long_names(site: Site, query: Mapping[str, str], seconds: float = MOST_SECONDS) -> Mapping[str, str]:
    """The query with whole names in place of their beginnings and digests; most have none.

    Raises: BadQuery: there is no such name, or it was not found in so many seconds. StoreError.
    """
    namespace_digest, name_digest = SHORTENED.values()
    end = steady_clock() + seconds
    if namespace_digest in query:
        found = _found(site, query, "namespace", lambda after: _namespaces(site, after), end)
        query = {**query, "namespace": found}
    if name_digest in query:
        namespace = name_of(query, "namespace")
        found = _found(site, query, "name", lambda after: _names(site, namespace, after), end)
        query = {**query, "name": found}
    return {key: text for key, text in query.items() if key not in SHORTENED.values()}


def _found(site: Site, query: Mapping[str, str], key: str, following: NextNames, end: float) -> str:
    beginning, digest = name_of(query, key), query[SHORTENED[key]]
    for name in _beginning_with(beginning, following, end):
        if digest_of(name) == digest:
            return name
    raise BadQuery(
        f"No {key} was found that begins with {beginning[:40]!r} and has the digest of this address. It was deleted, "
        "or too many begin like it: look for it on the page that led here, or with `store ls`."
    )


def _beginning_with(beginning: str, following: NextNames, end: float) -> Iterator[str]:
    after = beginning
    while steady_clock() < end:
        names = following(after)
        for name in names:
            if not name.startswith(beginning):
                return
            yield name
        if not names:
            return
        after = names[-1]


def _namespaces(site: Site, after: str) -> Sequence[str]:
    ns = site.store.opened
    return ns.engine.namespaces(ns.clock(), after, AT_ONCE)


def _names(site: Site, namespace: str, after: str) -> Sequence[str]:
    with opened(site, namespace) as s:
        scan = s.opened.engine.scan
        while True:
            page = scan(namespace, Order.NAME, after=after, limit=AT_ONCE, fields=Fields.LISTED)
            if page.items or page.next is None:
                return [listed.name for listed in page.items]
            after = page.next
