"""Deleting: a record in a known state, many at once, all below a prefix, and the first one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from store.opened import reading, writing
from store.opened.arguments import check_name
from store.opened.namespace import Namespace
from store.opened.sentinels import ABSENT

BATCH = 500  # records that `delete_prefix` deletes in one transaction


def delete(ns: Namespace, name: str, if_version: writing.Expected | None) -> bool:
    """See `Store.delete`."""
    if if_version is None:
        return writing.delete(ns, name)
    if if_version is ABSENT:
        raise TypeError("if_version=ABSENT is for put: what is not there cannot be deleted")
    name = check_name(name)
    with ns.engine.transaction():
        writing.check_version(ns, name, if_version, ns.clock())
        return writing.delete(ns, name)


def delete_many(ns: Namespace, names: Iterable[str]) -> int:
    """See `Store.delete_many`."""
    if isinstance(names, str):
        raise TypeError(f"names are several, in a list for example; to delete {names!r:.80} use delete")
    wanted = [check_name(name) for name in names]  # before the lock is taken, since an iterable may be slow
    with ns.engine.transaction():
        return sum(writing.delete(ns, name) for name in wanted)


def delete_prefix(ns: Namespace, prefix: str) -> int:
    """See `Store.delete_prefix`."""
    if not check_name(prefix, "prefix"):
        raise ValueError('delete_prefix("") would delete every record of the namespace; to do that use clear()')
    deleted, after = 0, None
    while page := reading.names(ns, prefix, after, BATCH):
        deleted += delete_many(ns, page)
        after = page[-1]
    return deleted


def popfirst(ns: Namespace) -> tuple[str, Any]:
    """The record that was inserted first, deleted, as `Store.popitem(last=False)`."""
    with ns.engine.transaction():
        for name in reading.each_name(ns):
            row = ns.find(name)
            if row is not None:
                value = ns.value_of(row)
                writing.delete(ns, name)
                return name, value
    raise KeyError("popitem(): the store is empty")
