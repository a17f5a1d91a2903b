"""The records of one memoized function: finding, keeping and forgetting results, and the lock between processes.

A store that fails does not make a call fail: what could not be read is computed, and what could not be written is
returned all the same. The trouble is counted, and told once (`warn`).
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from store.engines.contract import schemes
from store.errors import InUse, LockTimeout, NotSerializable, StorageError, StoreError
from store.mapping.store import Store
from store.opened.arguments import check_name, check_ttl
from store.opened.edits import step
from store.opened.sentinels import UNSET, Unset
from store.system import caller

HELD, BUSY, NONE = "held", "busy", "none"  # what became of taking the lock; NONE: there is none to be had here
RAISED = ":raised"  # ends the name of the record of an exception
MISSING: Any = object()
UNCHANGEABLE = frozenset((type(None), bool, int, float, str))  # of which every codec gives back the same
PAGE = 500
PURGE_EVERY = 256  # results with a ttl; else nobody would delete those of calls that never come again


class Outcome(NamedTuple):
    """What a call came to: its result, or the exception that it raised."""

    value: Any
    raised: bool = False

    def get(self) -> Any:
        if self.raised:
            raise self.value
        return self.value


class Source:
    """The namespace of a store: one that the program opened, or a file, which is opened when it is first needed.

    A file is opened once in a process, whatever number of functions use it.
    """

    def __init__(self, where: str | os.PathLike[str] | Store[Any], namespace: str, mmap: bool | None = None) -> None:
        self._where = where if isinstance(where, Store) else _absolute(os.fsdecode(where))
        self._mmap = _check_mmap(where, mmap)
        self._namespace = check_name(namespace, "namespace")

    @contextmanager
    def open(self) -> Iterator[Store[Any]]:
        """A handle of its own for each use, so that a file that is closed meanwhile stays open for this one."""
        records = self._within()
        try:
            yield records
        finally:
            try:
                records.close()
            except StoreError:
                pass  # the last handle, inside a transaction: it closes with the store it was made from

    def place(self) -> tuple[str, ...]:
        """What all functions of this process that share the records have in common."""
        where = self._where if isinstance(self._where, str) else self._where.location
        return os.path.realpath(where), self._namespace

    def close(self) -> None:
        """Close the file, if it was opened here; the next use opens it again."""
        if isinstance(self._where, str):
            with _opening:
                opened = _opened.pop((self._where, self._mmap), None)
            if opened is not None:
                opened.close()

    def _within(self) -> Store[Any]:
        if isinstance(self._where, Store):
            return self._where.within(self._namespace)
        with _opening:
            opened = _opened.get((self._where, self._mmap))
            if opened is None:
                opened = _opened[self._where, self._mmap] = Store(self._where, mmap=self._mmap)
            return opened.within(self._namespace)


_opening = threading.RLock()
_counting = threading.RLock()  # for the figures and warnings of all functions, a few instructions at a time
_opened: dict[tuple[str, bool], Store[Any]] = {}  # by path, and whether arrays are mapped


@atexit.register
def _at_exit() -> None:
    """Before the interpreter takes apart what closing needs."""
    with _opening:
        while _opened:
            _opened.popitem()[1].close()


def _after_fork_in_child() -> None:
    global _opening, _counting
    _opening, _counting = threading.RLock(), threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _absolute(path: str) -> str:
    """The path as it is meant now. What can never be opened is an error now, not a store that fails later."""
    scheme, url, _ = path.partition("://")
    if url and scheme not in schemes:
        raise ValueError(f"unknown scheme {scheme!r} in {path!r}: one of {', '.join(schemes.names())}")
    if not path:
        raise ValueError("the path of a store may not be empty; name a file, or ':memory:'")
    return path if url or path == ":memory:" else os.path.abspath(path)


def _check_mmap(where: Any, mmap: Any) -> bool:
    if mmap is not None and not isinstance(mmap, bool):
        raise TypeError(f"mmap is True or False, not {mmap!r:.80}")
    if mmap is not None and isinstance(where, Store):
        raise ValueError("mmap= is of the store that you opened: give it to Store(..., mmap=), not to memo")
    return bool(mmap)


class Records:
    """The records of one function. Safe across threads and processes."""

    def __init__(
        self, source: Source, label: str, prefix: str, ttl: float | None, exceptions: tuple[type[Exception], ...]
    ) -> None:
        self.label = label
        self.source = source
        self.exceptions = exceptions
        self._prefix = check_name(prefix, "name of a function")
        seconds = check_ttl(ttl)
        self._ttl: float | Unset = UNSET if seconds is None else seconds
        self._pending: list[str] = []  # warnings, told by whoever called, when nothing is locked
        self._told: set[str] = set()
        self._kept = 0
        self.hits = self.misses = self.errors = 0

    def find(self, name: str) -> Outcome | None:
        """What was stored, or None: nothing, or nothing that can be read."""
        try:
            with self.source.open() as records:
                if not self.exceptions:
                    value = records.get(name, MISSING)
                    return None if value is MISSING else Outcome(value)
                found = records.get_many((name, name + RAISED))
        except Exception as exc:
            self._failed(exc)
            return None
        if name in found:
            return Outcome(found[name])
        error = found.get(name + RAISED)
        return Outcome(error, raised=True) if isinstance(error, self.exceptions) else None

    def as_stored(self, name: str, outcome: Outcome) -> Outcome:
        """What a call came to, as those get it who find it: of the same types, and as writable."""
        if type(outcome.value) in UNCHANGEABLE:
            return outcome
        found = self.find(name)
        return outcome if found is None or found.raised else found

    def keep(self, name: str, outcome: Outcome) -> bool:
        """Store what a call came to; whether that went well."""
        try:
            with self.source.open() as records:
                self._write(records, name, outcome)
                self._purge(records)
        except NotSerializable as exc:
            self._tell("value", f"{self.label}: its result cannot be stored, so that each call computes it: {exc}")
            return False
        except Exception as exc:
            self._failed(exc)
            return False
        return True

    def forget(self, name: str) -> bool:
        """Delete what was stored for one call; whether there was anything."""
        with self.source.open() as records, step(records):
            return any([_delete(records, name), _delete(records, name + RAISED)])

    def forget_all(self) -> int:
        """Delete all results of the function, of every version of it; how many there were."""
        deleted = 0
        with self.source.open() as records:
            while names := records.names(self._prefix, limit=PAGE):
                with step(records):
                    deleted += sum([_delete(records, name) for name in names])
        return deleted

    def count(self) -> int:
        """How many results are stored, of every version of the function."""
        stored, after = 0, None
        with self.source.open() as records:
            while names := records.names(self._prefix, after=after, limit=PAGE):
                stored, after = stored + len(names), names[-1]
        return stored

    @contextmanager
    def lock(self, name: str, seconds: float) -> Iterator[str]:
        """The lock between processes, of which one computes a call: HELD, BUSY or NONE."""
        with ExitStack() as stack:
            yield self._take(stack, name, seconds)

    def note(self, *, hit: bool) -> None:
        """Count a call."""
        with _counting:
            self.hits, self.misses = self.hits + hit, self.misses + (not hit)

    def warn(self) -> None:
        """Tell the caller what went wrong for the first time."""
        if not self._pending:
            return
        with _counting:
            pending, self._pending = self._pending, []
        for message in pending:
            caller.warn(message, RuntimeWarning)

    def _write(self, records: Store[Any], name: str, outcome: Outcome) -> None:
        if not self.exceptions:
            records.put(name, outcome.value, ttl=self._ttl)
            return
        stale, fresh = (name, name + RAISED) if outcome.raised else (name + RAISED, name)
        with step(records):
            records.put(fresh, outcome.value, ttl=self._ttl, codec="pickle" if outcome.raised else None)
            _delete(records, stale)

    def _purge(self, records: Store[Any]) -> None:
        with _counting:
            due = self._ttl is not UNSET and self._kept % PURGE_EVERY == 0
            self._kept += 1
        if due:
            records.purge()

    def _take(self, stack: ExitStack, name: str, seconds: float) -> str:
        try:
            records = stack.enter_context(self.source.open())
            stack.enter_context(records.lock(f"memo {name}", seconds))
        except LockTimeout:
            return BUSY
        except Exception as exc:
            if type(exc) not in (
                StoreError,
                InUse,
            ):  # those are of one inside a transaction, where waiting could deadlock
                self._failed(exc)
            return NONE
        return HELD

    def _failed(self, exc: Exception) -> None:
        self._tell("store", f"{self.label}: the store failed, so that calls compute and may not be kept: {exc}")
        if isinstance(exc, StorageError):  # a file that was deleted, for one: the next call makes it anew
            self.source.close()

    def _tell(self, kind: str, message: str) -> None:
        with _counting:
            self.errors += 1
            if kind not in self._told:
                self._told.add(kind)
                self._pending.append(message)


def _delete(records: Store[Any], name: str) -> bool:
    try:
        del records[name]
    except KeyError:
        return False
    return True
