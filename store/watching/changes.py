"""Finding changes: watched records compared with how they were last seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from store.engines.capabilities import Monitor
from store.rows.record import Record
from store.rows.row import Mark

PAGE_MARKS = 500  # records that are compared before an event loop gets its turn
NEVER = float("inf")

Kind = Literal["set", "deleted", "expired"]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a record. `record` is its metadata when the change was noticed; None if it is gone."""

    kind: Kind
    name: str
    namespace: str
    record: Record | None = None


class Watched:
    """The watched records of a namespace, as they were at the last look; by name, in memory.

    `pending` has the changes that were not reported yet. An interrupt may report a change twice, but never loses one.
    """

    def __init__(self, monitor: Monitor, namespace: str, names: Sequence[str] | None, prefix: str) -> None:
        self.pending: deque[Change] = deque()
        self.next_expiry = NEVER
        self.has_begun = False
        self._monitor = monitor
        self._namespace = namespace
        self._names = names
        self._prefix = prefix
        self._seen: dict[str, Mark] = {}
        self._version: object = None

    def look(self, now: float) -> Generator[None]:
        """Looks once. It yields now and then to let others run, and may be abandoned there.

        The first look reports nothing. The version is read before the records: the next look sees commits in between.

        Raises:
            LockTimeout: it cannot be read just now. StoreError: it never can.
        """
        version = self._monitor.version()
        if not self.has_begun or version != self._version:
            changed = self._monitor.since(self._version) if self.has_begun else None
            yield from self._compare(now, None if changed is None else [*filter(self._is_watched, sorted(changed))])
            self._version, self.has_begun = version, True
        elif self.next_expiry <= now:  # nothing was committed, so that the marks are complete
            over = sorted(name for name, mark in self._seen.items() if _has_expired(mark, now))
            self.pending.extend(self._change("expired", name) for name in over)
            self._keep({name: mark for name, mark in self._seen.items() if not _has_expired(mark, now)})

    def _compare(self, now: float, changed: Sequence[str] | None) -> Generator[None]:
        """Reads the watched records again, all or those that have changed, and reports the differences."""
        seen: dict[str, Mark] = {}
        if changed is not None:
            seen = {name: mark for name, mark in self._seen.items() if not _has_expired(mark, now)}
            for name in changed:
                seen.pop(name, None)
        expired: set[str] = set()
        changes: list[Change] = []
        for marks in self._pages(self._names if changed is None else changed):
            alive = {mark.name: mark for mark in marks if not _has_expired(mark, now)}
            expired.update(mark.name for mark in marks if mark.name not in alive and mark.name in self._seen)
            new = [name for name, mark in alive.items() if mark != self._seen.get(name)]
            if new and self.has_begun:
                changes += self._reported(new, alive, now)
            seen.update(alive)
            yield
        for name in self._seen.keys() - seen.keys():
            by_time = name in expired or _has_expired(self._seen[name], now)
            changes.append(self._change("expired" if by_time else "deleted", name))
        self.pending.extend(sorted(changes, key=lambda change: change.name))
        self._keep(seen)

    def _reported(self, new: list[str], alive: dict[str, Mark], now: float) -> Iterable[Change]:
        """The changes of those names; one that was deleted since its mark was read is left to the next look."""
        headers = {header.name: header for header in self._monitor.headers(new, now)}
        for name in new:
            if name in headers:
                yield self._change("set", name, Record.from_header(headers[name]))
            elif name in self._seen:
                alive[name] = self._seen[name]
            else:
                del alive[name]

    def _is_watched(self, name: str) -> bool:
        return name.startswith(self._prefix) if self._names is None else name in self._names

    def _pages(self, names: Sequence[str] | None) -> Iterable[list[Mark]]:
        if names is not None:
            for start in range(0, len(names), PAGE_MARKS):
                yield self._monitor.marks_of(names[start : start + PAGE_MARKS])
            return
        after: str | None = None
        while marks := self._monitor.marks(self._prefix, after, PAGE_MARKS):
            yield marks
            after = marks[-1].name

    def _keep(self, seen: dict[str, Mark]) -> None:
        self._seen = seen
        self.next_expiry = min((mark.expires for mark in seen.values() if mark.expires is not None), default=NEVER)

    def _change(self, kind: Kind, name: str, record: Record | None = None) -> Change:
        return Change(kind, name, self._namespace, record)


def _has_expired(mark: Mark, now: float) -> bool:
    return mark.expires is not None and mark.expires <= now
