"""Keeping a copy up with a store that others write, by its changes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from store.care.copying import BATCH, Copying, parts_of
from store.engines.capabilities import Monitor
from store.engines.contract import Cursor, Fields, Order, in_pages
from store.engines.registry import supported
from store.errors import LockTimeout
from store.opened.namespace import Namespace
from store.rows.row import Mark, Row
from store.system.clock import steady_clock

INTERVAL_SECONDS = 0.1  # between two looks for changes, where the last one found none


class Follower:
    """The marks of all copied records, in memory as a watch has them; `look` copies the changes since.

    Raises: Unsupported: the engine of the source does not notice changes.
    """

    def __init__(self, copying: Copying, namespace: str | None) -> None:
        self._copying = copying
        self._of: Namespace = copying.of
        self._changes = supported(self._of.engine.changes, self._of.engine.kind, "following, which needs its changes")
        self._namespace = namespace
        self._monitors: dict[str, Monitor] = {}
        self._versions: dict[str, object] = {}
        self._seen: defaultdict[str, dict[str, Mark]] = defaultdict(dict)
        try:
            for space in self._namespaces():  # before anything is read
                self._versions[space] = self._monitor(space).version()
        except LockTimeout:  # the first look compares all records of the others
            pass
        except BaseException:
            self.close()
            raise

    def noted(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Those rows, each one noted as copied."""
        for row in rows:
            self._seen[row.namespace][row.name] = row.mark()
            yield row

    def look(self) -> bool:
        """Copy what has changed since the last look; returns whether there was anything.

        Raises:
            LockTimeout: the source cannot be read now; look again.
        """
        found = False
        for space in self._namespaces():
            monitor = self._monitor(space)
            before, now = self._versions.get(space), monitor.version()  # before its records are read
            if space not in self._versions or now != before:
                names = monitor.since(before) if space in self._versions else None
                found = self._catch_up(space, names) or found
                self._versions[space] = now
        return found

    def follow(self, stop: Callable[[], bool] | None, idle: float | None) -> None:
        """Look again and again until `stop` says so, or nothing has changed for `idle` seconds; then once more."""
        changed_at, is_stopping = steady_clock(), False
        looked_at = changed_at
        while True:
            is_stopping = is_stopping or (stop is not None and stop())
            try:
                found = self.look()
                looked_at = steady_clock()
            except LockTimeout:
                found = None
                if steady_clock() - looked_at >= self._of.options.timeout:
                    raise
            if found:
                changed_at = looked_at
            if found is not None and (is_stopping or (idle is not None and looked_at - changed_at >= idle)):
                return
            if not found:
                time.sleep(INTERVAL_SECONDS if idle is None else min(INTERVAL_SECONDS, idle))

    def close(self) -> None:
        for monitor in self._monitors.values():
            monitor.close()

    def _catch_up(self, space: str, names: set[str] | None) -> bool:
        """Copy the records of those names, or of all, that have changed, in the order of the source."""
        end = self._of.engine.end(space)
        seen, there, changed = self._seen[space], set(), []
        for mark in self._marks(space, names, end):
            there.add(mark.name)
            if mark != seen.get(mark.name):
                changed.append(mark.name)
        gone = [name for name in (seen if names is None else names) if name not in there]
        for part in parts_of(changed, BATCH):
            self._copy(space, part, end)
        self._copying.delete([(space, name) for name in gone])
        for name in gone:
            seen.pop(name, None)
        return bool(changed or gone)

    def _copy(self, space: str, names: list[str], end: Cursor) -> None:
        """Copy those of them that are still before that end.

        One that was deleted since its mark was read, or written again at the end, is left to the next look: others
        may have come before it there, and must come before it in the target too.
        """
        found: Iterable[Row] = self._of.engine.get(space, names).values()
        rows = sorted((row for row in found if (row.id or 0) <= end), key=lambda row: row.id or 0)
        self._copying.write(rows)
        for row in rows:
            self._seen[space][row.name] = row.mark()

    def _marks(self, space: str, names: set[str] | None, end: Cursor) -> Iterable[Mark]:
        engine = self._of.engine
        if names is None:
            return in_pages(engine, space, Order.INSERTED, fields=Fields.MARK, until=end)
        parts = (engine.get(space, part, Fields.MARK).values() for part in parts_of(sorted(names), BATCH))
        return sorted(chain.from_iterable(parts), key=lambda mark: mark.id)

    def _namespaces(self) -> list[str]:
        if self._namespace is not None:
            return [self._namespace]
        return sorted({*self._of.engine.namespaces(self._of.clock()), *self._monitors})

    def _monitor(self, space: str) -> Monitor:
        monitor = self._monitors.get(space)
        if monitor is None:
            monitor = self._monitors[space] = self._changes.watch(space)
        return monitor
