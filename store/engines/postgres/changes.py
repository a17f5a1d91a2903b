"""Watching by the table of changes: which names were committed since a snapshot, exactly.

The numbers of rows, and those of transactions, are given out before the commit: a cursor by either would miss a
transaction that commits late. So a version keeps a snapshot of the server, and new are the changes of transactions
that were running then, or began later. A long transaction delays nothing; its changes are found once it commits.

A version holds for one connection: after a failover or a crash another transaction may get a number that was given
out already, and another cluster counts by itself. Each of these ends the connection; behind a pooler, which hides
that, the server's start and a count that goes backwards show it. After any of them all records are read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from store.engines.contract import Fields
from store.engines.postgres.coordination import MOST_NAMES, ChangeStatements
from store.engines.postgres.handle import Handle
from store.engines.postgres.listening import Listening
from store.engines.postgres.reading import bounds, made
from store.engines.waking import Wake
from store.errors import StoreClosed, Unsupported
from store.rows.row import Header, Mark, has_expired

_name = attrgetter("name")


class Snapshot(NamedTuple):
    """The transactions that were decided: those below `last`, except the `running` ones."""

    oldest: int
    last: int
    running: str
    """As PostgreSQL writes an array."""

    @classmethod
    def parse(cls, text: str, is_standby: bool) -> Snapshot:
        """That of `pg_current_snapshot()`. A standby lists no running ones: all from the oldest on count as such."""
        oldest, last, running = text.split(":")
        if is_standby:
            last, running = oldest, ""
        return cls(int(oldest), int(last), f"{{{running}}}")


class Version:
    """A state of a namespace; equal to itself alone. Its snapshot is renewed while nothing is committed there."""

    def __init__(self, epoch: tuple[object, ...], snapshot: Snapshot) -> None:
        self.epoch = epoch
        self.snapshot = snapshot

    def is_newer_than(self, trimmed: str | None) -> bool:
        """Whether all changes up to that transaction were decided, so that no deleted change is missing."""
        return trimmed is None or int(trimmed) < self.snapshot.oldest


class PostgresChanges:
    """The contract `Changes`."""

    def __init__(self, handle: Handle, listening: Listening, statements: ChangeStatements) -> None:
        self._handle = handle
        self._listening = listening
        self._statements = statements

    def watch(self, namespace: str) -> PostgresMonitor:
        self._handle.check_open()
        return PostgresMonitor(self._handle, self._listening, self._statements, namespace)

    def version_of(self, namespace: str) -> object:
        raise Unsupported(
            "the engine 'postgresql' holds transactions open, and needs no versions of namespaces",
            engine="postgresql",
            feature="versions of namespaces",
        )


class PostgresMonitor:
    """The contract `Monitor`, on the connection that all watches of the process share."""

    def __init__(self, handle: Handle, listening: Listening, statements: ChangeStatements, namespace: str) -> None:
        self._handle = handle
        self._listening = listening
        self._statements = statements
        self._rows = handle.sessions.statements
        self._namespace = namespace
        self._version: Version | None = None
        self._restarts = 0
        self._wake: Wake = _nothing
        self._number: int | None = listening.attach(namespace, self._ring)

    def wake_by(self, wake: Wake) -> None:
        self._wake = wake

    def version(self) -> Version:
        before = self._version
        last, running = ("0", "{}") if before is None else (str(before.snapshot.last), before.snapshot.running)
        number, (row,) = self._run(self._statements.look, (self._namespace, last, running))
        text, is_standby, began, foreign, trimmed, is_changed = row
        snapshot = Snapshot.parse(text, is_standby)
        if before is not None and snapshot.last < before.snapshot.last:
            self._restarts += 1
        epoch = (number, began, foreign, self._restarts)
        if before is not None and before.epoch == epoch and not is_changed and before.is_newer_than(trimmed):
            before.snapshot = snapshot
            return before
        self._version = version = Version(epoch, snapshot)
        return version

    def since(self, version: object) -> set[str] | None:
        now = self._version
        if not isinstance(version, Version) or now is None or version.epoch != now.epoch:
            return None
        oldest, last, running = version.snapshot
        number, rows = self._run(self._statements.since, (self._namespace, str(last), running, str(oldest)))
        names = {name for (name,) in rows}
        if None in names or len(names) > MOST_NAMES or number != now.epoch[0]:
            return None
        return names

    def marks(self, prefix: str, after: str | None, limit: int) -> list[Mark]:
        lower, upper = bounds(prefix, after, False)
        ends = (lower,) if upper is None else (lower, upper)
        statement = self._rows.name_pages[Fields.MARK, upper is not None, False]
        return self._made(Fields.MARK, statement, (self._namespace, *ends, limit))

    def marks_of(self, names: Sequence[str]) -> list[Mark]:
        found = self._made(Fields.MARK, self._rows.find_all[Fields.MARK], (self._namespace, list(names)))
        return sorted(found, key=_name)

    def headers(self, names: Sequence[str], now: float) -> list[Header]:
        found = self._made(Fields.HEADER, self._rows.find_all[Fields.HEADER], (self._namespace, list(names)))
        return sorted((header for header in found if not has_expired(header, now)), key=_name)

    def close(self) -> None:
        number, self._number = self._number, None
        if number is not None:
            self._listening.detach(number)

    def _ring(self) -> None:
        self._wake()

    def _made(self, fields: Fields, statement: str, values: Sequence[Any]) -> list[Any]:
        return [made(fields, row) for row in self._run(statement, values)[1]]

    def _run(self, statement: str, values: Sequence[Any]) -> tuple[int, list[Any]]:
        self._handle.check_open()
        number = self._number
        if number is None:
            raise StoreClosed(f"the watch on {self._handle.location} was closed; watch it again")
        return self._listening.run(number, statement, values)


def _nothing() -> None:
    """Wakes nobody, until `wake_by`."""
