"""Writes that are not committed: seen by the object that made them, and by no other one.

They are a store in memory, so that a value is encoded, and refused, when it is assigned, and each read of it gives a
fresh object.
"""

from __future__ import annotations

from typing import Any, Unpack

from store.compat.sqlitedict.place import TableOptions
from store.mapping.store import Store
from store.opened.sentinels import ABSENT, MISSING


class Pending:
    """The uncommitted writes of one table. Not safe across threads: its owner holds a lock."""

    def __init__(self, **options: Unpack[TableOptions]) -> None:
        self._written: Store[Any] = Store(":memory:", **options)
        self._deleted: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._deleted or self._written)

    def put(self, name: str, value: Any) -> None:
        """The record is the last one from now on. Raises: NotSerializable, with nothing changed."""
        move_to_end(self._written, name, value)
        self._deleted.discard(name)

    def put_all(self, changes: dict[str, Any]) -> None:
        """As `put`, of many; all or nothing."""
        with self._written.transaction():
            self._written.delete_many(changes)
            self._written.update(changes)
        self._deleted.difference_update(changes)

    def delete(self, name: str) -> None:
        self._written.delete(name)
        self._deleted.add(name)

    def get(self, name: str) -> Any:
        """The value; ABSENT where the record was deleted; MISSING where nothing is pending."""
        return ABSENT if name in self._deleted else self._written.get(name, MISSING)

    def holds(self, name: str) -> bool | None:
        """Whether the record will be there; None where nothing is pending."""
        return False if name in self._deleted else True if name in self._written else None

    def names(self) -> list[str]:
        """The names that were written, the latest last."""
        return list(self._written)

    def touched(self) -> set[str]:
        """The names that were written or deleted."""
        return self._deleted.union(self._written)

    def write_to(self, store: Store[Any]) -> None:
        """Writes all of it as one transaction; it stays pending if that raises."""
        with store.transaction():
            store.delete_many(self.touched())  # what is written again goes to the end
            store.update(self._written.items())
        self.forget()

    def forget(self) -> None:
        """Drops all of it."""
        self._deleted.clear()
        self._written.clear()

    def close(self) -> None:
        self._written.close()


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
