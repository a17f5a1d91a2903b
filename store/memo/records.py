"""The records of one memoized function: finding, keeping and forgetting results, and the lock between processes.

A store that fails does not make a call fail: a result that cannot be read is computed, and one that cannot be written
is returned all the same. Failures are counted, and each kind is reported by one warning.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from store.errors import InUse, LockTimeout, NotSerializable, ShardsMismatch, StorageError, StoreError
from store.mapping.sharding.routes import RAISED
from store.mapping.store import Store
from store.memo.sources import Origin, Outcome
from store.memo.sources import Source as Source  # by which older pickles name it
from store.opened.arguments import check_name, check_ttl
from store.opened.edits import together
from store.system import caller, forking

HELD, BUSY, NONE = "held", "busy", "none"  # the result of taking the lock; NONE: it cannot be taken here
MISSING: Any = object()
UNCHANGEABLE = frozenset((type(None), bool, int, float, str))  # every codec gives back the same
PAGE = 500
PURGE_EVERY = 256  # results with a ttl; without it, results of calls that never come again would stay


_counting = threading.RLock()  # for the figures and warnings of all functions, a few instructions at a time


def _after_fork_in_child() -> None:
    global _counting  # noqa: PLW0603
    _counting = threading.RLock()


forking.register(forking.Stage.MEMO, in_child=_after_fork_in_child)


class Records:
    """The records of one function. Safe across threads and processes."""

    def __init__(
        self, source: Origin, label: str, prefix: str, ttl: float | None, exceptions: tuple[type[Exception], ...]
    ) -> None:
        self.label = label
        self.source = source
        self.exceptions = exceptions
        self._prefix = check_name(prefix, "name of a function")
        self._ttl = check_ttl(ttl)
        self._pending: list[str] = []  # warnings, which the caller gives when nothing is locked
        self._told: set[str] = set()
        self._kept = 0
        self.hits = self.misses = self.errors = 0

    def find(self, name: str) -> Outcome | None:
        """The stored outcome; None: there is none, or it cannot be read."""
        try:
            with self.source.open(name) as records:
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

    def place(self) -> tuple[str, ...]:
        """Equal for all functions of this process that share the records."""
        return self.source.place()

    def due(self, name: str) -> str | None:
        """The version of an outcome that is to be computed anew before it expires; None: it is not."""
        return self.source.due(name)

    def is_in(self, name: str, version: str) -> bool:
        """Whether the record is in that version still."""
        return self.source.is_in(name, version)

    def hit(self, name: str) -> Outcome | None:
        """The stored outcome, which counts as a hit."""
        found = self.find(name)
        if found is not None:
            self.note(hit=True)
        return found

    def as_stored(self, name: str, outcome: Outcome) -> Outcome:
        """The outcome as later calls find it: of the same types, and as writable."""
        if type(outcome.value) in UNCHANGEABLE:
            return outcome
        found = self.find(name)
        return outcome if found is None or found.raised else found

    def keep(self, name: str, outcome: Outcome) -> bool:
        """Store an outcome; whether that went well."""
        with _counting:
            purge = self._ttl is not None and self._kept % PURGE_EVERY == 0
            self._kept += 1
        try:
            with self.source.open(name) as records:
                self._write(records, name, outcome)
                if purge:
                    records.purge()
        except NotSerializable as exc:
            self._fail("value", f"its result cannot be stored, so that each call computes it: {exc}")
            return False
        except Exception as exc:
            self._failed(exc)
            return False
        return True

    def forget(self, name: str) -> bool:
        """Delete the outcome of one call; whether there was one."""
        with self.source.open(name) as records:
            return bool(records.delete_many((name, name + RAISED)))

    def forget_all(self) -> int:
        """Delete all outcomes of the function, of all its versions; how many there were."""
        with self.source.open() as records:
            return int(records.delete_prefix(self._prefix))

    def count(self) -> int:
        """How many outcomes are stored, of all versions of the function."""
        return sum(map(len, self._pages()))

    @contextmanager
    def lock(self, name: str, seconds: float) -> Iterator[str]:
        """Try to hold the lock between processes, one of which computes a call; gives HELD, BUSY or NONE."""
        with ExitStack() as stack:
            state = HELD
            try:
                records = stack.enter_context(self.source.open(name))
                stack.enter_context(records.lock(f"memo {name}", seconds))
            except LockTimeout:
                state = BUSY
            except Exception as exc:
                state = NONE
                if type(exc) not in (StoreError, InUse):  # raised in a transaction, where waiting could deadlock
                    self._failed(exc)
            yield state

    def note(self, *, hit: bool) -> None:
        """Count a call."""
        with _counting:
            self.hits, self.misses = self.hits + hit, self.misses + (not hit)
        self.source.note(hit=hit)

    def warn(self) -> None:
        """Warn the caller of each kind of failure that happened for the first time."""
        if not self._pending:
            return
        with _counting:
            pending, self._pending = self._pending, []
        for message in pending:
            caller.warn(message, RuntimeWarning)

    def _pages(self) -> Iterator[list[str]]:
        with self.source.open() as records:
            names = records.names(self._prefix, limit=PAGE)
            while names:
                yield names
                names = records.names(self._prefix, after=names[-1], limit=PAGE)

    def _write(self, records: Store[Any], name: str, outcome: Outcome) -> None:
        if not self.exceptions:
            self.source.put(records, name, outcome, None, self._ttl)
            return
        stale, fresh = (name, name + RAISED) if outcome.raised else (name + RAISED, name)

        def work() -> None:
            self.source.put(records, fresh, outcome, "pickle" if outcome.raised else None, self._ttl)
            records.delete(stale)

        together(records.opened, work)

    def _failed(self, exc: Exception) -> None:
        if isinstance(exc, ShardsMismatch):  # a mistake of the program, which computing each call anew would hide
            raise exc
        self._fail("store", f"the store failed, so that calls compute and may not be kept: {exc}")
        if isinstance(exc, StorageError):  # such as a file that was deleted: the next call makes it again
            self.source.close()

    def _fail(self, kind: str, message: str) -> None:
        with _counting:
            self.errors += 1
            if kind not in self._told:
                self._told.add(kind)
                self._pending.append(f"{self.label}: {message}")
