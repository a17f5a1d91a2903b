"""Watching by the table of changes: which names were committed since a snapshot, exactly.

The numbers of rows, and those of transactions, are given out before the commit: a cursor by either would miss a
transaction that commits late. So a version keeps a snapshot of the server, and new are the changes of transactions
that were running then, or began later. A long transaction delays nothing; its changes are found once it commits.

A version holds for one connection: after a failover or a crash another transaction may get a number that was given
out already, and another cluster counts by itself. Each of these ends the connection; behind a pooler, which hides
that, the server's start and a count that goes backwards show it. After any of them all records are read again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


NO_SNAPSHOT = Snapshot(0, 0, "{}")


class Version:
    """A state of a namespace or of the store; equal to itself alone.

    Its snapshot is renewed while nothing is committed there.
    """

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

    def watch_all(self) -> PostgresCommitMonitor:
        self._handle.check_open()
        return PostgresCommitMonitor(self._handle, self._listening, self._statements)

    def version_of(self, namespace: str) -> object:
        raise Unsupported(
            "the engine 'postgresql' holds transactions open, and needs no versions of namespaces",
            engine="postgresql",
            feature="versions of namespaces",
        )


class Attached:
    """The part that monitors have in common: how one runs statements, and is woken."""

    def __init__(self, handle: Handle, listening: Listening, namespace: str) -> None:
        self.wake: Wake = _nothing
        self._handle = handle
        self._listening = listening
        self._number: int | None = listening.attach(namespace, self._ring)

    def run(self, statement: str, values: Sequence[Any]) -> tuple[int, list[Any]]:
        """As `Listening.run`. Raises: StoreClosed: the monitor or the store was closed."""
        self._handle.check_open()
        number = self._number
        if number is None:
            raise StoreClosed(f"the watch on {self._handle.location} was closed; watch it again")
        return self._listening.run(number, statement, values)

    def close(self) -> None:
        number, self._number = self._number, None
        if number is not None:
            self._listening.detach(number)

    def _ring(self) -> None:
        self.wake()


class Versions:
    """The versions of what a statement looks at. `values` makes its values of the last snapshot and its text."""

    def __init__(self, attached: Attached, statement: str, values: Callable[[Snapshot, str], Sequence[Any]]) -> None:
        self.last: Version | None = None
        self._text = ""
        self._attached = attached
        self._statement = statement
        self._values = values
        self._restarts = 0

    def look(self) -> Version:
        """The version now: the last one, if nothing was committed since."""
        before = self.last
        seen = NO_SNAPSHOT if before is None else before.snapshot
        number, (row,) = self._attached.run(self._statement, self._values(seen, self._text))
        self._text, is_standby, began, tables, trimmed, is_changed = row
        snapshot = Snapshot.parse(self._text, is_standby)
        if snapshot.last < seen.last:
            self._restarts += 1
        epoch = (number, began, tables, self._restarts)
        if before is not None and before.epoch == epoch and not is_changed and before.is_newer_than(trimmed):
            before.snapshot = snapshot
            return before
        self.last = version = Version(epoch, snapshot)
        return version


class PostgresCommitMonitor:
    """The contract `CommitMonitor` of all namespaces, on the connection that all watches of the process share."""

    def __init__(self, handle: Handle, listening: Listening, statements: ChangeStatements) -> None:
        self._attached = Attached(handle, listening, "")  # a notification is of any namespace
        self._versions = Versions(
            self._attached, statements.look_all, lambda seen, text: (str(seen.last), seen.running, text)
        )

    def wake_by(self, wake: Wake) -> None:
        self._attached.wake = wake

    def version(self) -> Version:
        return self._versions.look()

    def close(self) -> None:
        self._attached.close()


class PostgresMonitor:
    """The contract `Monitor`, on the connection that all watches of the process share."""

    def __init__(self, handle: Handle, listening: Listening, statements: ChangeStatements, namespace: str) -> None:
        self._attached = Attached(handle, listening, namespace)
        self._versions = Versions(
            self._attached, statements.look, lambda seen, _: (namespace, str(seen.last), seen.running)
        )
        self._statements = statements
        self._rows = handle.sessions.statements
        self._namespace = namespace

    def wake_by(self, wake: Wake) -> None:
        self._attached.wake = wake

    def version(self) -> Version:
        return self._versions.look()

    def since(self, version: object) -> set[str] | None:
        now = self._versions.last
        if not isinstance(version, Version) or now is None or version.epoch != now.epoch:
            return None
        seen = version.snapshot
        values = self._namespace, str(seen.last), seen.running, str(seen.oldest)
        number, rows = self._attached.run(self._statements.since, values)
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
        self._attached.close()

    def _made(self, fields: Fields, statement: str, values: Sequence[Any]) -> list[Any]:
        return [made(fields, row) for row in self._attached.run(statement, values)[1]]


def _nothing() -> None:
    """Wakes nobody, until `wake_by`."""
