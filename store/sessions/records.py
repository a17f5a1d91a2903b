"""The records of sessions: reading with distrust, writing with lifetimes of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

from store import errors
from store.codecs import CodecChoice
from store.mapping.store import Store
from store.opened.edits import step
from store.rows.record import Record
from store.sessions.ids import UserTags
from store.system import caller

Change: TypeAlias = Callable[[dict[str, Any]], object]

_A_WHILE = 3600.0  # a record has it until it gets its own lifetime in the same transaction

UNREADABLE = (errors.Untrusted, errors.Tampered, errors.Corrupt, errors.UnknownProtocol, errors.CodecUnavailable)

warned: set[tuple[str, str]] = set()  # files and namespaces that this process has warned of


class NoSuchSession(KeyError):
    """There is no session of that id: it expired, was deleted or rotated, or never was. It does not hold the id."""

    def __init__(self, message: str = "there is no such session: it expired, was deleted, or never was") -> None:
        super().__init__(message)

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError shows the repr


class SessionRecords:
    """The records of one namespace, by the hashes of ids. `codec`: how new ones are encoded."""

    def __init__(self, store: Store[Any], codec: CodecChoice) -> None:
        self.store, self.codec = store, codec
        self.tags = UserTags(store.opened.values.sealer.keyring)
        self._rejections: dict[int, int] = {}  # by thread: a lock could be held, for ever, in a forked child

    @property
    def looks_first(self) -> bool:
        """Whether a writer looks for the session before it takes the lock of writers: forged ids hold up nobody.

        Where transactions are optimistic they do not anyway, and the look would be a round trip in vain.
        """
        transactions = self.store.opened.engine.transactions
        return transactions is None or not transactions.optimistic

    @property
    def rejected(self) -> int:
        """How often a record was taken for absent because it could not be trusted or read."""
        return sum(list(self._rejections.values()))

    def move(self, name: str, new: str, seconds: float | None, *, keeps_expiry: bool, change: Change | None) -> None:
        """Gives a record a new name, inside a transaction. Raises: NoSuchSession: it is gone, or its time is over."""
        try:
            old, data = self.store.record(name), self.store[name]
        except KeyError:
            raise NoSuchSession from None
        if change is not None:
            change(data)
        try:
            first = _A_WHILE if keeps_expiry else seconds  # the default may be over before it is changed
            made = self.store.put(new, data, ttl=first, codec=old.codec, protocol=old.protocol)
            if keeps_expiry:
                self.store.touch(new, _seconds_left(old, made))
            del self.store[name]
        except KeyError:
            raise NoSuchSession from None

    def modify(
        self,
        name: str,
        fn: Callable[[dict[str, Any]], dict[str, Any]],
        seconds: float | None,
        *,
        keeps_expiry: bool,
    ) -> None:
        """Replaces the data of a record by `fn(data)`, and its lifetime, as one step. Raises: NoSuchSession."""
        is_read = False

        def change(data: Any) -> dict[str, Any]:
            nonlocal is_read
            is_read = True
            if self._session(name, data) is None:
                raise NoSuchSession
            return fn(data)

        with nullcontext() if keeps_expiry else step(self.store, name):
            try:
                self.store.modify(name, change, None)  # unlike `put`, keeps the expiry
            except UNREADABLE as exc:
                if is_read:  # it is one of `fn`
                    raise
                self.reject(exc)
                raise NoSuchSession from None
            try:
                if not keeps_expiry:
                    self.store.touch(name, seconds)
            except KeyError:  # it expired just now
                raise NoSuchSession from None

    def touch(self, name: str, seconds: float | None, *, never_shorter: bool) -> bool:
        """Gives a record a new lifetime, unless that would shorten it; returns whether there is one."""
        try:
            with step(self.store, name):
                before = self.store.record(name)
                after = self.store.touch(name, seconds)
                if never_shorter and _ends_later(before, after):
                    raise _LivesLonger
        except _LivesLonger:
            return True
        except KeyError:
            return False
        except UNREADABLE as exc:
            self.reject(exc)
            return False
        return True

    def read(self, name: str) -> dict[str, Any] | None:
        """The data of a session, or None where there is none that can be trusted and read. Raises: StoreError."""
        try:
            data = self.store.get(name)
        except UNREADABLE as exc:
            self.reject(exc)
            return None
        return self._session(name, data)

    def _session(self, name: str, data: Any) -> dict[str, Any] | None:
        """What a record holds, if it is a session."""
        if data is None or isinstance(data, dict):
            return data
        self.reject(errors.Corrupt(f"it holds {type(data).__name__}, no session").about(name, self.store.namespace))
        return None

    def reject(self, exc: errors.RecordError | errors.CodecUnavailable) -> None:
        """Count it, and warn of the first. Raises: Corrupt: the file is damaged, not only the record."""
        if isinstance(exc, errors.RecordError) and exc.name is None:
            raise exc
        thread = threading.get_ident()
        self._rejections[thread] = self._rejections.get(thread, 0) + 1
        if (self.store.location, self.store.namespace) not in warned:
            warned.add((self.store.location, self.store.namespace))
            caller.warn(
                f"{self.store.location} has a session that is taken for absent: {exc}. This warning is shown once; "
                f"`store verify {self.store.location}` lists all such records"
            )


class SessionEdit:
    """The context manager that `Sessions.edit` returns: the edit of a record that must be a session."""

    def __init__(self, records: SessionRecords, name: str) -> None:
        self._records, self._name = records, name
        self._edit: AbstractContextManager[dict[str, Any]] = records.store.edit(name)

    def __enter__(self) -> dict[str, Any]:
        if self._records.read(self._name) is None:  # before the writer's lock: forged ids hold up nobody
            raise NoSuchSession
        try:
            return self._edit.__enter__()
        except KeyError:  # deleted since
            raise NoSuchSession from None

    def __exit__(self, *exc: Any) -> None:
        self._edit.__exit__(*exc)


def _seconds_left(old: Record, made: Record) -> float | None:
    """How long `old` had left to live when `made` was written. Raises: NoSuchSession: no time."""
    if old.expires is None:
        return None
    seconds = (old.expires - made.modified).total_seconds()
    if seconds <= 0:
        raise NoSuchSession
    return seconds


class _LivesLonger(Exception):
    """A touch would shorten the life of the session."""


def _ends_later(one: Record, other: Record) -> bool:
    return other.expires is not None and (one.expires is None or one.expires > other.expires)
