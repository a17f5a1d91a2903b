"""Deleting: a record in a known state, many at once, and all below a prefix."""

from __future__ import annotations

from collections.abc import Iterable

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
    with ns.transaction():
        writing.check_version(ns, name, if_version, ns.clock())
        return writing.delete(ns, name)


def delete_many(ns: Namespace, names: Iterable[str]) -> int:
    """See `Store.delete_many`."""
    if isinstance(names, str):
        raise TypeError(f"names are several, in a list for example; to delete {names!r:.80} use delete")
    wanted = [check_name(name) for name in names]  # before the lock is taken, since an iterable may be slow
    with ns.transaction():
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
