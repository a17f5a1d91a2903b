"""The engine in memory.

Writes go into an `Overlay` first, also outside of transactions. A commit moves them into the rows in one step, so
that neither an interrupt nor another thread sees half of it. Readers never wait, and never see uncommitted writes of
another thread.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from store.engines.capabilities import Freed
from store.engines.contract import DURABILITIES, Applied, Change, Check, Cursor, Fields, Load, Order, Page, Usage
from store.engines.memory.handle import LOCATION, Handle, Shared
from store.engines.memory.rows import Committed, totals_of
from store.engines.overlay import Overlay
from store.engines.reentry import refuse
from store.engines.transactions import PlaceTransactions
from store.errors import Conflict, StoreClosed, StoreError
from store.rows.row import Header, Mark, Row, Total, has_expired
from store.system.clock import wall_clock
from store.system.file_status import reaching
from store.system.rights import Rights

if TYPE_CHECKING:
    from store.engines.capabilities import Copy
    from store.engines.memory.eviction import MemoryEviction

ALL = sys.maxsize  # no limit
KEY_ID_BYTES = 8


class MemoryEngine:
    """The contract `Engine`. Safe across threads; a forked child has a copy of its own."""

    kind = "memory"
    location = LOCATION
    coherence = blobs = keep_bytes = activity = None
    apply_several = None  # as `Optimistic` takes it: a test runs on memory
    now = staticmethod(wall_clock)

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.id = handle.shared.id
        self.locks = handle.shared.named_locks
        self.transactions = PlaceTransactions(handle.shared, handle, lambda error: False)  # one writer at a time
        self.changes = MemoryChanges(handle)
        self.care = MemoryCare(handle)

    @cached_property
    def eviction(self) -> MemoryEviction:
        """Imported on first use: few programs need it."""
        with reaching(LOCATION):
            from store.engines.memory.eviction import MemoryEviction

        return MemoryEviction(self.handle)

    # -- reading

    def get(self, namespace: str, names: Sequence[str], fields: Fields = Fields.ROW) -> dict[str, Any]:
        return self.handle.read(lambda rows: rows.get(namespace, names, fields))

    def scan(self, namespace: str | None, order: Order, **how: Any) -> Page:
        return self.handle.read(lambda rows: rows.scan(namespace, order, **how))

    def end(self, namespace: str | None) -> Cursor:
        return self.handle.read(lambda rows: rows.end(namespace))

    def count(self, namespace: str, now: float) -> tuple[int, float]:
        return self.handle.read(lambda rows: rows.count(namespace, now))

    def namespaces(self, now: float, after: str | None = None, limit: int | None = None) -> list[str]:
        return self.handle.read(lambda rows: rows.namespaces(now, after, limit))

    def snapshot(self, namespace: str, fields: Fields = Fields.ROW) -> list[Any]:
        return self.scan(namespace, Order.INSERTED, limit=ALL, fields=fields).items

    def totals(self, namespace: str, now: float) -> list[Total]:
        return totals_of(self.snapshot(namespace), now)

    def usage(self) -> Usage:
        self.handle.check_open()
        return Usage()

    def sealers(self) -> set[bytes]:
        self.handle.check_open()
        return set(self.handle.shared.sealers)

    # -- writing

    def put(self, row: Row) -> None:
        self.handle.write(lambda view: view.apply(row.namespace, [row]))

    def apply(self, namespace: str, changes: Sequence[Change | Load], *, stamps: bool = False) -> Applied:
        def apply(view: Overlay) -> Applied:
            for change in changes:
                if isinstance(change, Check) and change.name is None:
                    self._check_version(namespace, change.expect)
            rest = [change for change in changes if not (isinstance(change, Check) and change.name is None)]
            return view.apply(namespace, rest, stamps=stamps)

        return self.handle.write(apply)

    def load(self, rows: Sequence[Row]) -> None:
        self.handle.write(lambda view: view.load(rows))

    def clear(self, namespace: str) -> None:
        self.handle.write(lambda view: view.clear(namespace))

    def add_sealer(self, key_id: bytes) -> None:
        self.handle.check_open(is_writing=True)
        self.handle.shared.sealers.add(key_id)

    def _check_version(self, namespace: str, expected: object) -> None:
        if self.handle.shared.rows.version_of(namespace) != expected:
            raise Conflict("the namespace was changed meanwhile", namespace=namespace)

    # -- handles

    def share(self) -> MemoryEngine:
        handle = self.handle
        handle.check_open()
        return MemoryEngine(Handle(handle.shared, read_only=handle.read_only, timeout=handle.timeout))

    def close(self) -> None:
        shared = self.handle.shared
        shared.handles.discard(self.handle)
        if not shared.handles:
            shared.rows.close()


class MemoryChanges:
    """The contract `Changes`."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self.version_of = handle.shared.rows.version_of

    def watch(self, namespace: str) -> MemoryMonitor:
        self._handle.check_open()
        return MemoryMonitor(self._handle, namespace)

    def watch_all(self) -> MemoryMonitor:
        return self.watch("")  # its version is that of the store


class MemoryMonitor:
    """The contract `Monitor`."""

    def __init__(self, handle: Handle, namespace: str) -> None:
        self._handle = handle
        self._namespace = namespace
        self._is_closed = False

    def wake_by(self, wake: Callable[[], object]) -> None:
        """Does nothing: a look reads one number."""

    def version(self) -> object:
        return self._rows().version

    def since(self, version: object) -> set[str] | None:
        rows = self._rows()
        log = list(rows.log)
        if not isinstance(version, int) or rows.version - version > len(log):
            return None
        changed = (keys for number, keys in log if number > version)
        return {name for keys in changed for namespace, name in keys if namespace == self._namespace}

    def marks(self, prefix: str, after: str | None, limit: int) -> list[Mark]:
        how: dict[str, Any] = {"prefix": prefix, "after": after, "limit": limit}
        return self._rows().scan(self._namespace, Order.NAME, fields=Fields.MARK, **how).items

    def marks_of(self, names: Sequence[str]) -> list[Mark]:
        return [mark for _, mark in sorted(self._rows().get(self._namespace, names, Fields.MARK).items())]

    def headers(self, names: Sequence[str], now: float) -> list[Header]:
        found = [header for _, header in sorted(self._rows().get(self._namespace, names, Fields.HEADER).items())]
        return [header for header in found if not has_expired(header, now)]

    def close(self) -> None:
        self._is_closed = True

    def _rows(self) -> Committed:
        self._handle.check_open()
        if self._is_closed:
            raise StoreClosed(f"the watch on {LOCATION} was closed; watch it again")
        return self._handle.shared.rows


class MemoryCare:
    """The contract `Care`: nothing can be damaged, and a backup is an SQLite file."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def damage(self, *, quick: bool) -> list[str]:
        self._handle.check_open()
        return []

    def unread_commits(self) -> int:
        return 0

    def rows(self, damage: list[str]) -> Iterator[Row]:
        yield from self._all()

    def unfound(self, damage: list[str]) -> Iterator[tuple[str, str]]:
        return iter(())

    def row_count(self) -> int:
        return len(self._all())

    def count_by_key(self) -> dict[bytes, int]:
        return dict(Counter(row.seal[:KEY_ID_BYTES] for row in self._all()))

    def forget_sealers_but(self, key_ids: set[bytes]) -> None:
        self._handle.check_open(is_writing=True)
        self._handle.shared.sealers &= key_ids

    def reseal(self, row: Row, before: bytes) -> bool:
        return self._handle.write(lambda view: view.reseal(row, before))

    def orphans(self) -> list[str]:
        return []

    def compact(self, progress: Callable[[int, int], None] | None) -> Freed:
        self._handle.check_open(is_writing=True)
        refuse(self._handle.shared.visitors.current())
        self._refuse_inside("compacted")
        return Freed()

    def backup(self, path: str, check: Callable[[Row], bool], progress: Callable[[int, int], object] | None) -> Copy:
        self._refuse_inside("backed up")
        with reaching(path):
            from store.engines.sqlite.care.of_rows import backup_of_rows  # few programs need that engine for memory

        return backup_of_rows(self._handle.shared.id, self._all(), path, check, progress, self._handle.timeout)

    def _all(self) -> list[Row]:
        return self._handle.read(lambda rows: rows.scan(None, Order.INSERTED, limit=ALL)).items

    def _refuse_inside(self, what: str) -> None:
        if self._handle.shared.visitors.is_caller_inside():
            raise StoreError(f"{LOCATION} cannot be {what} inside its transaction; leave the block first")


def open_memory(
    location: str, *, mode: str, timeout: float, durability: str, rights: Rights | None = None
) -> MemoryEngine:
    """A new store, which is gone once its last handle is closed. Raises: ValueError: `location` is not ":memory:"."""
    if location != LOCATION:
        raise ValueError(f"a store in memory has no path: give {LOCATION!r}, not {location!r}")
    if durability not in DURABILITIES:
        raise ValueError(f"unknown durability {durability!r}: one of {', '.join(DURABILITIES)}")
    return MemoryEngine(Handle(Shared(), read_only=mode == "r", timeout=timeout))
