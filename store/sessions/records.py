"""The records of sessions: reading with distrust, writing with lifetimes of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from store import errors
from store.codecs import CodecChoice
from store.mapping.sharding.sharded import AnyStore, store_at
from store.mapping.store import Store
from store.opened.edits import together
from store.opened.sentinels import ABSENT
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


class Move(NamedTuple):
    """How a record gets a new name: with which lifetime, or its own, and with which change of its data.

    `is_given`: the new name is of an id that is not random, so that there may be a record of it.
    """

    name: str
    new: str
    seconds: float | None
    keeps_expiry: bool
    change: Change | None
    is_given: bool


class SessionRecords:
    """The records of one namespace, by the hashes of ids. `codec`: how new ones are encoded."""

    def __init__(self, store: AnyStore[Any], codec: CodecChoice) -> None:
        self.store, self.codec = store, codec
        self.tags = UserTags(store.opened.values.sealer.keyring)
        self._rejections: dict[int, int] = {}  # by thread: a lock could be held, for ever, in a forked child

    @property
    def looks_first(self) -> bool:
        """Whether a writer looks for the session before it takes the lock of writers: forged ids hold up nobody.

        Where transactions are optimistic they do not anyway, and the look would be a round trip in vain.
        """
        return not self.store.opened.is_optimistic

    @property
    def rejected(self) -> int:
        """How often a record was taken for absent because it could not be trusted or read."""
        return sum(list(self._rejections.values()))

    def at(self, name: str) -> Store[Any]:
        """The store that has the record of that name: that of its shard. A prefix of a user is in one shard too."""
        return store_at(self.store, name)

    def move(self, move: Move) -> None:
        """Gives a record a new name, as one step.

        Between two shards it is two steps: the new record is written, and then the old one is deleted if it has not
        changed since it was read. A process that dies in between leaves the old session unchanged, and a new one
        whose id no client has. A session that another process ends meanwhile is not brought back.

        Raises: NoSuchSession: it is gone, or its time is over. Conflict: there is a record of a given name.
        """
        here, there = self.at(move.name), self.at(move.new)
        if here is there:
            together(here.opened, lambda: _moved(here, move), move.name, move.new)
            return
        while True:
            data, old = _read(here, move)  # before the step, which is of the other shard alone
            together(there.opened, partial(_write, there, move, data, old), move.new)
            try:
                here.delete(move.name, if_version=old)
                return
            except errors.Conflict:  # it was changed since: with that change once more; or ended
                there.delete(move.new)
            except BaseException:
                with suppress(errors.StoreError):  # the error to report is the first one
                    there.delete(move.new)
                raise

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

        store = self.at(name)

        def replace() -> None:
            try:
                store.modify(name, change, None)  # unlike `put`, keeps the expiry
            except UNREADABLE as exc:
                if is_read:  # it is one of `fn`
                    raise
                self.reject(exc)
                raise NoSuchSession from None

        if keeps_expiry:
            replace()
            return

        def work() -> None:
            replace()
            try:
                store.touch(name, seconds)
            except KeyError:  # it expired just now
                raise NoSuchSession from None

        together(store.opened, work, name)

    def touch(self, name: str, seconds: float | None, *, never_shorter: bool) -> bool:
        """Gives a record a new lifetime, unless that would shorten it; returns whether there is one."""
        store = self.at(name)

        def work() -> None:
            before = store.record(name)
            after = store.touch(name, seconds)
            if never_shorter and _ends_later(before, after):
                raise _LivesLonger

        try:
            together(store.opened, work, name)
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
        self._edit: AbstractContextManager[dict[str, Any]] = records.at(name).edit(name)

    def __enter__(self) -> dict[str, Any]:
        if self._records.read(self._name) is None:  # before the writer's lock: forged ids hold up nobody
            raise NoSuchSession
        try:
            return self._edit.__enter__()
        except KeyError:  # deleted since
            raise NoSuchSession from None

    def __exit__(self, *exc: Any) -> None:
        self._edit.__exit__(*exc)


def _moved(store: Store[Any], move: Move) -> None:
    _write(store, move, *_read(store, move))
    if not store.delete(move.name):  # it expired just now
        raise NoSuchSession


def _read(store: Store[Any], move: Move) -> tuple[dict[str, Any], Record]:
    """The data of a record, changed, and its metadata. Raises: NoSuchSession."""
    try:
        data, old = store.get_with_record(move.name)
    except KeyError:
        raise NoSuchSession from None
    if move.change is not None:
        move.change(data)
    return data, old


def _write(store: Store[Any], move: Move, data: dict[str, Any], old: Record) -> None:
    """Writes the data of a record under its new name, in an open step. Raises: NoSuchSession: its time is over."""
    first = _A_WHILE if move.keeps_expiry else move.seconds  # the default may be over before it is changed
    expected = ABSENT if move.is_given else None
    made = store.put(move.new, data, ttl=first, codec=old.codec, protocol=old.protocol, if_version=expected)
    if move.keeps_expiry:
        seconds = _seconds_left(old, made)
        try:
            store.touch(move.new, seconds)
        except KeyError:
            raise NoSuchSession from None


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
