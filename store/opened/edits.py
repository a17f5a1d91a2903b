"""Read, change, write back as one step: `transaction`, `edit`, `modify`, and locks by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import Enum
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from store.engines.contract import Transaction
from store.errors import Conflict, StoreError, label
from store.opened.arguments import check_name, check_timeout
from store.opened.handle import Handle
from store.opened.readcache import (
    MISSING as MISSING,  # what `default` is where none was given; those above have it from here
)
from store.rows.row import Identity, Row

V = TypeVar("V")


class Transactions(Handle[V]):
    """The part of `Store` that makes several steps one."""

    def transaction(self) -> AbstractContextManager[Any]:
        """All or nothing: an exception that leaves the block undoes all of it. Nests (savepoints).

        Between processes and threads there is one writer at a time; reads inside see its writes. It belongs to the
        thread, greenlet or asyncio task that began it: do not await inside. Inside that of another store, begin them
        in the order of the stores' paths everywhere: two that wait for each other are found out, and one of them
        raises.

        Raises:
            LockTimeout: another writer took longer than `timeout` seconds, or waits for a store that this thread
                is in a transaction of. InUse: another task of this thread is suspended in one.
        """
        return self._backend.transaction(block=True)

    def edit(self, name: str, default: V = MISSING) -> AbstractContextManager[V]:
        """Decodes the value, gives it, and writes it back if it changed: one atomic step.

        Atomic across threads and processes; expiry, codec and protocol stay. Where the record is missing
        `default` is given, and stored. An exception that leaves the block writes nothing.

        Raises:
            KeyError: no such record, and no default. TypeError: the value is immutable: use `modify`.
            StoreError: this thread is editing the record already, or another task of it is suspended in a
                transaction (`InUse`). Conflict: it was assigned inside.
        """
        return Edit(self, check_name(name), default)

    def modify(self, name: str, fn: Callable[[V], V], default: V = MISSING) -> V:
        """Stores `fn(value)` in place of the value, as one atomic step, and returns it.

        Works for any value; `fn` must return the new one. It is given `default` where the record is missing.
        Expiry, codec and protocol stay. On engines that must retry `fn` may run again.

        Raises:
            KeyError: no such record, and no default; and whatever `fn` raises, with nothing written.
        """
        name = check_name(name)
        with self._backend.transaction() as transaction:
            self._settle(name, transaction)
            row = self._find(name)
            value = fn(self._value_or(row, name, default))
            self._replace(name, value, row, transaction)
            return value

    def lock(self, name: str, timeout: float | None = None) -> AbstractContextManager[None]:
        """A lock of that name, for the program's own purposes, between threads and processes.

        It does not hold up writers. `timeout` is in seconds; None is the store's. Take several in one order
        everywhere: two programs that hold one each and wait for the other's do so until the timeout.

        Raises:
            LockTimeout: somebody else held it for that long. StoreError: this thread holds it already, or is
                inside `edit` or `transaction` of this or any other store, where waiting could deadlock.
        """
        seconds = self._timeout if timeout is None else check_timeout(timeout)
        self._check_open()
        return self._hold(check_name(name), seconds)

    @contextmanager
    def _hold(self, name: str, seconds: float) -> Iterator[None]:
        if self._backend.in_transaction_of_any():
            raise StoreError(
                f"lock({name!r}) inside edit or transaction could wait for a program that waits for this one: "
                "take the lock first, then begin the transaction"
            )
        with self._backend.lock(name, seconds):
            yield

    def _value_or(self, row: Row | None, name: str, default: V) -> V:
        if row is not None:
            return cast(V, self._pipeline.unpack(row, private=True))  # to be changed
        if default is MISSING:
            raise KeyError(name)
        return default

    def _replace(self, name: str, value: V, row: Row | None, transaction: Transaction) -> None:
        """Store a value in place of that of `row`, or as a new record."""
        self._store(self._pack(name, value, self._ttl) if row is None else self._pack_again(value, row))
        if self._writeback is not None:
            self._writeback.forget(name, transaction)

    def _settle(self, name: str, transaction: Transaction) -> None:
        """Write back a live value of `writeback=True`, so that the record is what the program sees."""
        if self._writeback is not None:
            self._writeback.restore_after(transaction, name)
            self._writeback.flush(self._pipeline, self._pack_again, self._write_back, only=name)


def step(store: Transactions[Any]) -> AbstractContextManager[Any]:
    """A transaction that is a part of one operation of the library's, and no block of the program's own.

    A signal handler that strikes in it does not join it: it could be rolled back without anybody being told.
    """
    return store._backend.transaction()


class Edit(Generic[V]):
    """The context manager that `Store.edit` returns."""

    def __init__(self, store: Transactions[V], name: str, default: V) -> None:
        self._store = store
        self._name = name
        self._default = default
        self.transaction = store._backend.transaction()  # by this name an interrupted one is recognised

    def __enter__(self) -> V:
        self.transaction.__enter__()
        try:
            value = self._begin()
            self.transaction.hand_over()
            return value
        except BaseException:
            self.transaction.__exit__(*sys.exc_info())
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.transaction.take_back()
        if kind is None:
            try:
                self._finish()
            except BaseException:
                self.transaction.__exit__(*sys.exc_info())
                raise
        self.transaction.__exit__(kind, error, trace)

    def _begin(self) -> V:
        store, name = self._store, self._name
        if not self.transaction.claim(store._namespace, name):
            raise StoreError(f"{self._label()} is being edited by this thread already")
        store._settle(name, self.transaction)
        self._now = store._clock()
        self._row = store._found(name, self._now)
        self._value = store._value_or(self._row, name, self._default)
        if not _is_mutable(self._value):
            raise TypeError(
                f"{self._label()} holds {type(self._value).__name__}, which cannot be changed in place: use "
                f"modify({name!r}, lambda value: …)"
            )
        self._before = None if self._row is None else store._pipeline.fingerprint(self._value, self._row)
        return self._value

    def _finish(self) -> None:
        store, row = self._store, self._row
        if row is not None and store._pipeline.fingerprint(self._value, row) == self._before:
            return
        found = store._backend.identity(store._namespace, self._name, self._now)
        if found != (None if row is None else Identity(row.id or 0, row.created, row.revision)):
            raise Conflict(
                f"{self._label()} was assigned or deleted inside its own edit; change the value that edit gave "
                "instead",
                name=self._name,
                namespace=store._namespace,
            )
        store._replace(self._name, self._value, row, self.transaction)

    def _label(self) -> str:
        return label(self._name, self._store._namespace)


def _is_mutable(value: Any) -> bool:
    """Whether anything in the value can change in place."""
    if isinstance(value, tuple | frozenset):
        return any(map(_is_mutable, value))
    return not isinstance(value, (*_IMMUTABLE, *_immutable_where_imported()))


_IMMUTABLE = (int, float, complex, str, bytes, type(None), type(Ellipsis), type, Enum, range, slice)
_ELSEWHERE = {
    "uuid": ("UUID",), "decimal": ("Decimal",), "fractions": ("Fraction",),
    "datetime": ("date", "time", "timedelta", "tzinfo"),
}  # fmt: skip


def _immutable_where_imported() -> list[type]:
    """Of modules that nobody has imported there is no value; importing them would cost a start 5 ms."""
    return [
        getattr(sys.modules[module], name) for module, names in _ELSEWHERE.items() if module in sys.modules
        for name in names
    ]  # fmt: skip
