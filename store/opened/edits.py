"""Read, change, write back as one step: `Edit`, `modify` and `incr`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import Enum
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar, cast

from store.engines.capabilities import Transaction
from store.engines.contract import Fields
from store.errors import Conflict, StoreError, label
from store.opened.arguments import new_name
from store.opened.namespace import Namespace
from store.opened.restarts import restarted
from store.opened.sentinels import MISSING, Missing
from store.rows.row import Row, has_expired

V = TypeVar("V")
S = TypeVar("S")
T = TypeVar("T")


class Opened(Protocol):
    """A `Store`, for what only needs its parts."""

    @property
    def opened(self) -> Namespace: ...


def opened_of(store: object) -> Namespace:
    """The parts of a `Store`. Raises: TypeError: it is none."""
    ns = getattr(store, "opened", None)
    if not isinstance(ns, Namespace):
        raise TypeError(f"transaction takes other stores of the same location, not {store!r:.80}")
    return ns


def step(store: Opened, *names: str) -> AbstractContextManager[Any]:
    """A transaction that is part of one operation of this package, not a block of the program.

    With `names` it is about these records alone: on a server, writers of others do not wait for it.
    A signal handler that runs during it does not join it: what it wrote could be rolled back without an error.
    """
    return store.opened.transaction(names=names or None)


@restarted
def together(ns: Namespace, work: Callable[[], T], *names: str) -> T:
    """Calls `work` in such a transaction, and again where the engine asks for it."""
    with ns.transaction(names=names or None):
        return work()


@restarted
def modify(ns: Namespace, name: str, fn: Callable[[Any], Any], default: Any) -> Any:
    """See `Store.modify`."""
    name = new_name(name)
    with ns.transaction(names=(name,)) as transaction:
        ns.settle(name, transaction)
        row = ns.find(name)
        value = fn(_value_or(ns, row, name, default))
        _replace(ns, name, value, row, transaction)
        return value


@restarted
def transact(ns: Namespace, fn: Callable[[S], T], store: S) -> T:
    """See `Store.transact`."""
    with ns.transaction(block=True):
        return fn(store)


def incr(ns: Namespace, name: str, delta: int, default: int) -> int:
    """See `Store.incr`."""
    _check_int(delta, "delta")
    _check_int(default, "default")

    def plus(value: Any) -> int:
        _check_int(value, label(new_name(name), ns.name))
        return int(value + delta)

    return int(modify(ns, name, plus, default))


def _check_int(number: object, what: str) -> None:
    """Raises: TypeError: anything else, a bool or another subclass too, since the sum would not be of its class."""
    if type(number) is not int:
        raise TypeError(f"{what} is {type(number).__name__}, and incr adds whole numbers (int) only")


class Edit(Generic[V]):
    """The context manager that `Store.edit` returns."""

    def __init__(self, ns: Namespace, name: str, default: V | Missing) -> None:
        self._ns = ns
        self._name = new_name(name)
        self._default = default
        self.transaction = ns.transaction(names=(self._name,))  # an interrupted one is recognised by this name

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
        ns, name = self._ns, self._name
        if not self.transaction.claim(ns.name, name):
            raise StoreError(f"{label(name, ns.name)} is being edited by this thread already")
        ns.settle(name, self.transaction)
        self._now = ns.clock()
        self._row = ns.find_at(name, self._now)
        self._value = cast(V, _value_or(ns, self._row, name, self._default))
        if not _is_mutable(self._value):
            raise TypeError(
                f"{label(name, ns.name)} holds {type(self._value).__name__}, which cannot be changed in place: use "
                f"modify({name!r}, lambda value: …)"
            )
        self._before = None if self._row is None else ns.values.fingerprint(self._value, self._row)
        return self._value

    def _finish(self) -> None:
        ns, name, row = self._ns, self._name, self._row
        if row is not None and ns.values.fingerprint(self._value, row) == self._before:
            return
        found = ns.engine.get(ns.name, (name,), Fields.MARK).get(name)
        if found is not None and row is None and has_expired(found, self._now):
            found = None  # it had expired before
        if found != (None if row is None else row.mark()):
            raise Conflict(
                f"{label(name, ns.name)} was assigned or deleted inside its own edit; change the value that edit "
                "gave instead",
                name=name,
                namespace=ns.name,
            )
        _replace(ns, name, self._value, row, self.transaction)


def _value_or(ns: Namespace, row: Row | None, name: str, default: Any) -> Any:
    if row is not None:
        return ns.values.unpack(row, private=True)  # to be changed
    if default is MISSING:
        raise KeyError(name)
    return default


def _replace(ns: Namespace, name: str, value: Any, row: Row | None, transaction: Transaction) -> None:
    """Stores a value in place of that of `row`, or as a new record."""
    ns.put(ns.pack(name, value, ns.options.ttl) if row is None else ns.pack_again(value, row))
    if ns.writeback is not None:
        ns.writeback.forget(name, transaction)


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
    """A module that was not imported has no value; importing them would cost a start 5 ms."""
    return [
        getattr(sys.modules[module], name) for module, names in _ELSEWHERE.items() if module in sys.modules
        for name in names
    ]  # fmt: skip
