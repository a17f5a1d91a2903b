"""Marks of what a page shows, by which a stream of events notices what changed before the records were watched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b

from store.engines.contract import Fields
from store.errors import RecordError, StorageError, StoreError
from store.opened.namespace import Namespace
from store.rows.row import Header, has_expired
from store.web.pages.opening import opened
from store.web.pages.query import name_of, wanted
from store.web.pages.selecting import BOUNDS, Selected, select
from store.web.site import Site


def listing_mark(found: Selected) -> str | None:
    """The mark of a listing; None if a bound ended the search for its records, which next time ends elsewhere."""
    return mark_of(found.headers) if found.complete else None


def mark_of(headers: Iterable[Header]) -> str:
    """The mark of records in the order that a page shows them; each write of one gives another mark."""
    digest = blake2b(digest_size=12)
    for header in headers:
        digest.update(repr((header.name, header.stamp)).encode("ascii", "backslashreplace"))
    return digest.hexdigest()


def record_mark(ns: Namespace, name: str) -> str:
    """The mark of one record, also where there is none, or where it is damaged."""
    try:
        found = ns.engine.get(ns.name, [name], Fields.HEADER).values()
    except (RecordError, StorageError) as exc:
        return type(exc).__name__
    now = ns.clock()
    return mark_of(header for header in found if not has_expired(header, now))


def store_mark(site: Site) -> str:
    """The mark of the whole store, taken before a page reads it; "" if there is none now: the stream says why."""
    try:
        return site.commits.mark()
    except StoreError:
        return ""


def has_changed(site: Site, query: Mapping[str, str]) -> bool:
    """Whether a page would show other records by now: `query` is that of its events (`Links.events`).

    False if the query has no mark. Raises: StoreError, and BadQuery.
    """
    if "seen" not in query:
        return False
    if "namespace" not in query:
        return store_mark(site) != query["seen"]
    with opened(site, name_of(query, "namespace")) as s:
        if "name" in query:
            return record_mark(s.opened, name_of(query, "name")) != query["seen"]
        return listing_mark(select(s.opened, wanted(query), BOUNDS)) not in (None, query["seen"])
