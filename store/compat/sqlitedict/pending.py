"""Writes that are not committed: seen by the object that made them, and by no other one.

They are a store in memory, so that a value is encoded, and refused, when it is assigned, and each read of it gives a
fresh object.
"""

from __future__ import annotations

import threading
from typing import Any, Unpack
from weakref import WeakSet

from store.compat.sqlitedict.keys import present
from store.compat.sqlitedict.place import TableOptions
from store.mapping.store import Store
from store.opened.sentinels import ABSENT, MISSING
from store.system import forking


class Pending:
    """The uncommitted writes of one table; truthy if there are any.

    Its owner holds `lock` for each call, and for several that belong together. A forked child begins with none: they
    are the parent's.
    """

    def __init__(self, **options: Unpack[TableOptions]) -> None:
        self._options = options
        self.begin()
        _all.add(self)

    def begin(self) -> None:
        """No writes, and a free lock."""
        self.lock = threading.RLock()
        self._written: Store[Any] | None = None  # made at the first write
        self._deleted: set[str] = set()

    def _writable(self) -> Store[Any]:
        if self._written is None:
            self._written = Store(":memory:", **self._options)
        return self._written

    def __bool__(self) -> bool:
        return bool(self._deleted) or bool(self._written)

    def put(self, name: str, value: Any) -> None:
        """The record is the last one from now on. Raises: NotSerializable, with nothing changed."""
        move_to_end(self._writable(), name, value)
        self._deleted.discard(name)

    def put_all(self, changes: dict[str, Any]) -> None:
        """As `put`, of many; all or nothing."""
        written = self._writable()
        with written.transaction():
            written.delete_many(changes)
            written.update(changes)
        self._deleted.difference_update(changes)

    def delete(self, name: str) -> None:
        if self._written is not None:
            self._written.delete(name)
        self._deleted.add(name)

    def get(self, name: str) -> Any:
        """The value; ABSENT where the record was deleted; MISSING where nothing is pending."""
        if name in self._deleted:
            return ABSENT
        return MISSING if self._written is None else self._written.get(name, MISSING)

    def holds(self, name: str) -> bool | None:
        """Whether the record will be there; None where nothing is pending."""
        if name in self._deleted:
            return False
        return True if self._written is not None and name in self._written else None

    def names(self) -> list[str]:
        """The names that were written, the latest last."""
        return [] if self._written is None else list(self._written)

    def touched(self) -> set[str]:
        """The names that were written or deleted."""
        return self._deleted.union(self.names())

    def write_to(self, store: Store[Any]) -> None:
        """Writes all of it as one transaction; it stays pending if that raises."""
        with store.transaction():
            store.delete_many(present(store, self.touched()))  # what is written again goes to the end
            if self._written is not None:
                store.update(self._written.items())
        self.forget()

    def forget(self) -> None:
        """Drops all of it."""
        self._deleted.clear()
        if self._written is not None:
            self._written.close()
            self._written = None


_all: WeakSet[Pending] = WeakSet()


def _after_fork_in_child() -> None:
    """Leaves the writes to the parent, and a lock that one of its threads holds."""
    for pending in _all:
        pending.begin()


forking.register(forking.Stage.WRITEBACK, in_child=_after_fork_in_child)


def move_to_end(store: Store[Any], name: str, value: Any) -> None:
    """Stores a value as the last record: SQLite's REPLACE, which sqlitedict writes with, deletes the old row.

    Raises:
        NotSerializable: the value cannot be encoded; nothing was written.
    """
    if name not in store:
        store[name] = value
        return
    with store.transaction():
        store.delete(name)
        store[name] = value
