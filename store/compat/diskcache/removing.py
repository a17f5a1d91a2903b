"""Deleting many items: what has expired, what has a tag, what the policy chooses, everything."""

from __future__ import annotations

from typing import Any

from store.compat.diskcache import listing
from store.compat.diskcache.entries import tag_name
from store.compat.diskcache.opened import Opened, attempt, transaction


def expire(opened: Opened, now: float | None, retry: bool) -> int:
    """Deletes what has expired, and with `now` what will have expired then; returns how many."""
    records = opened.records
    deleted = attempt(retry, records.purge)
    if now is None:
        return deleted
    doomed = [
        record.name for record in records.store.records()
        if record.expires is not None and record.expires.timestamp() < now
    ]  # fmt: skip
    return deleted + (attempt(retry, records.delete_many, doomed) if doomed else 0)


def evict(opened: Opened, tag: Any, retry: bool) -> int:
    """Deletes the items of a tag; returns how many. None is the tag of no item."""
    name = tag_name(tag)
    return 0 if name is None else attempt(retry, opened.records.evict, name)


def cull(opened: Opened, retry: bool) -> int:
    """Deletes what has expired, then what the policy chooses; returns how many, as diskcache 0 without a policy."""
    with opened.culling() as records:
        deleted = attempt(retry, records.cull)
        return 0 if opened.settings.values["eviction_policy"] == "none" else deleted


def clear(opened: Opened, retry: bool) -> int:
    """Deletes all items; returns how many there were."""
    with transaction(opened, retry) as records:
        number = listing.count(records)
        records.clear()
    return number
