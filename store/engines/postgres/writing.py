"""The writes of the PostgreSQL engine: one statement each, or in a transaction where they expect something."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar
from uuid import UUID

from psycopg.types.numeric import Int4, Int8

from store.engines.capabilities import Scope
from store.engines.contract import ANY, Applied, Change, Check, Delete, Expected, Fields, Put, expect
from store.engines.postgres.connection import Connection
from store.engines.postgres.handle import Handle
from store.engines.postgres.outcome import Noted
from store.engines.postgres.place import ThreadPlace
from store.engines.postgres.reading import Reading
from store.engines.postgres.seen import Sight
from store.engines.registry import supported
from store.engines.transactions import PlaceTransactions
from store.errors import Conflict, StorageError
from store.rows.row import Header, Row, has_expired, stamp_of
from store.system.clock import steady_clock

T = TypeVar("T")


class Writing:
    """The writing half of the contract `Engine`."""

    def __init__(self, handle: Handle, reading: Reading, transactions: PlaceTransactions) -> None:
        self._handle = handle
        self._transactions = transactions
        self._reading = reading
        self._server = handle.server
        self._sessions = handle.sessions
        self._statements = handle.sessions.statements

    def put(self, row: Row) -> None:
        self._put(row)

    def apply(self, namespace: str, changes: Sequence[Change], *, stamps: bool = False) -> Applied:
        if not changes:
            self._handle.check_open(is_writing=True)
            return Applied(0, [])
        if len(changes) == 1:
            change = changes[0]
            if isinstance(change, Row):
                stamp = self._put(change)
                return Applied(0, [stamp] if stamps else [])
            if isinstance(change, Delete) and change.expect is ANY:
                return Applied(self._delete(namespace, change), [])
        rows = [change for change in changes if isinstance(change, Row)]
        if len(rows) == len(changes):
            return self._put_all(rows, stamps)
        return self.restarting((namespace, ()), lambda: self._apply_each(namespace, changes, stamps))

    def restarting(self, scope: Scope, work: Callable[[], T]) -> T:
        """Call `work` in a transaction, and again where that must restart; in an open one the caller does."""
        deadline = steady_clock() + self._handle.timeout
        while True:
            try:
                with self._transactions.begin(scope=scope):
                    return work()
            except (Conflict, StorageError) as exc:
                if not self._transactions.must_restart(exc) or steady_clock() >= deadline:
                    raise

    def _apply_each(self, namespace: str, changes: Sequence[Change], stamps: bool) -> Applied:
        """All those changes in order; the rows are locked first, in the order of their names."""
        deleted, given = 0, []
        keys = [_key_of(namespace, change) for change in changes]
        states = self._states(set(keys))
        if len(states) == len(keys) and all(isinstance(change, Delete) for change in changes):
            return Applied(self._delete_locked(namespace, changes, states), [])
        for place, (change, key) in enumerate(zip(changes, keys, strict=True)):
            if isinstance(change, Check):
                if change.name is None:
                    supported(None, "postgresql", "versions of namespaces, since transactions are held")
                _check(states[key], change.expect, key)
                continue
            if isinstance(change, Delete):
                _check(states[key], change.expect, key)
                if states[key] is not None:  # else it was not there when the others were locked
                    deleted += self._delete(namespace, change)
            else:
                put = change if isinstance(change, Put) else Put(change)
                _check(_unexpired(states[key], put.row.modified), put.expect, key)
                given.append(self._put(put.row))
            if key in keys[place + 1 :]:
                states |= self._states({key})
        return Applied(deleted, given if stamps else [])

    def load(self, rows: Sequence[Row]) -> None:
        if rows:
            values = self._arrays(rows)
            self._change(self._statements.load, values, {row.namespace for row in rows}, list)

    def clear(self, namespace: str) -> None:
        # Without others: of a batch that another one commits meanwhile, a statement may see the half.
        values = (self._sessions.lock_of(namespace), namespace)
        self.restarting(
            (namespace, None), lambda: self._change(self._statements.clear, values, [namespace], list, namespace)
        )

    def add_sealer(self, key_id: bytes) -> None:
        known = self._server.known_sealers
        if key_id not in known:
            place = self._server.visitors.current()
            statement = self._statements.add_sealer
            self._handle.write(lambda conn, place: conn.execute(statement, (key_id,), binary=True))
            known.add(key_id)
            transaction = place.live_transaction()
            if transaction is not None:
                transaction.on_rollback(lambda: known.discard(key_id))

    # -- parts of the above

    def _put(self, row: Row) -> str:
        """Put a row; returns its stamp."""
        lock, values = self._sessions.lock_of(row.namespace), _values(row)
        key = row.namespace, row.name

        def work(conn: Connection, place: ThreadPlace | None, token: UUID | None) -> Any:
            statement = self._statements.put
            if place is not None:
                if self._before_write(conn, place, key) is Sight.ABSENT:
                    statement = self._statements.put_new
                place.seen.wrote(key)
            done = conn.rows(statement, (lock, token, *values))
            if not done and place is not None:
                raise place.overtaken_by_write_of(key)
            return done[0]

        return stamp_of(*self._handle.change(work, [row.namespace], lambda noted: (noted[0][2], row.seal)))

    def _before_write(self, conn: Connection, place: ThreadPlace, key: tuple[str, str]) -> Sight:
        """How to write a record: SAFE for whatever there is, ABSENT only where there is none. Raises: Conflict."""
        if not place.locks_rows():
            place.take_namespace(key[0])
            return Sight.SAFE
        sight = place.seen.sight(key)
        if isinstance(sight, Sight):
            return sight
        # A savepoint released the lock of the row since it was read.
        values = (key[0], [key[1]])
        row = conn.execute(self._statements.find_locked[Fields.LISTED], values, binary=True).fetchone()
        if row is None or tuple(row[-2:]) != sight:
            raise place.overtaken_by_write_of(key)
        return Sight.SAFE

    def _put_all(self, rows: Sequence[Row], stamps: bool) -> Applied:
        """Put rows by one statement; a name that comes twice begins another one."""
        parts: list[list[Row]] = [[]]
        seen: set[tuple[str, str]] = set()
        for row in rows:
            if (row.namespace, row.name) in seen:
                parts.append([])
                seen.clear()
            seen.add((row.namespace, row.name))
            parts[-1].append(row)
        if len(parts) == 1:
            return Applied(0, self._put_part(parts[0], stamps))
        return self.restarting(
            (rows[0].namespace, ()),
            lambda: Applied(0, [stamp for part in parts for stamp in self._put_part(part, stamps)]),
        )

    def _put_part(self, rows: Sequence[Row], stamps: bool) -> list[str]:
        place = self._server.visitors.current()
        is_shared = place.transaction is not None and place.locks_rows()
        if is_shared and any(place.seen.sight((row.namespace, row.name)) is not Sight.SAFE for row in rows):
            return [self._put(row) for row in rows]  # some of them expect the state that was read
        found = self._change(self._statements.put_all, self._arrays(rows), {row.namespace for row in rows}, list)
        for row in rows if place.transaction is not None else ():
            place.seen.wrote((row.namespace, row.name))
        if not stamps:
            return []
        revisions = {(namespace, name): revision for namespace, name, revision, *_ in found}
        return [stamp_of(revisions[row.namespace, row.name], row.seal) for row in rows]

    def _arrays(self, rows: Sequence[Row]) -> tuple[Any, ...]:
        columns = list(zip(*(row[1:] for row in rows), strict=True))
        self._server.trimming.note(len(rows))
        locks = sorted({self._sessions.lock_of(row.namespace) for row in rows})
        return locks, *map(list, columns)

    def _delete(self, namespace: str, change: Delete) -> int:
        if "\0" in change.name:  # PostgreSQL's texts have none, so there is no such record
            self._handle.check_open(is_writing=True)
            return 0
        lock, values = self._sessions.lock_of(namespace), (namespace, change.name, change.now)
        key = namespace, change.name

        def work(conn: Connection, place: ThreadPlace | None, token: UUID | None) -> int:
            if place is not None:
                self._before_write(conn, place, key)
            while True:
                deleted, is_uncertain = conn.execute(
                    self._statements.delete, (lock, token, *values), binary=True
                ).fetchone() or (0, False)
                if deleted and place is not None:
                    place.seen.wrote(key)
                if not is_uncertain:
                    return int(deleted)

        return self._handle.change(work, [namespace], len)

    def _delete_locked(
        self, namespace: str, changes: Sequence[Change], states: dict[tuple[str, str], Header | None]
    ) -> int:
        """Delete those that are there, all as of the moment when the last one was locked."""
        names = []
        for change in changes:
            assert isinstance(change, Delete)
            state = states[namespace, change.name]
            _check(state, change.expect, (namespace, change.name))
            if _unexpired(state, change.now) is not None:
                names.append(change.name)
        if not names:
            return 0
        values = (self._sessions.lock_of(namespace), namespace, names)
        deleted = int(self._change(self._statements.delete_locked, values, [namespace], list)[0][0])
        place = self._server.visitors.current()
        for name in names:
            place.seen.wrote((namespace, name))
        return deleted

    def _change(
        self,
        statement: str,
        values: Sequence[Any],
        namespaces: Collection[str],
        recovered: Callable[[Noted], list[Any]],
        namespace: str | None = None,
    ) -> list[Any]:
        """The rows of a statement that writes, whose second value is the token; see `Handle.change`."""
        lock, *rest = values

        def work(conn: Connection, place: ThreadPlace | None, token: UUID | None) -> list[Any]:
            if place is not None and namespace is not None:
                place.take_namespace(namespace)
            return conn.rows(statement, (lock, token, *rest))

        return self._handle.change(work, list(namespaces), recovered)

    # -- expectations

    def _states(self, keys: set[tuple[str, str]]) -> dict[tuple[str, str], Header | None]:
        """The headers of those records, locked until the transaction ends; None: there is no record."""
        names: dict[str, list[str]] = {}
        for namespace, name in sorted(keys):
            names.setdefault(namespace, []).append(name)
        found = {namespace: self._reading.get(namespace, some, Fields.HEADER) for namespace, some in names.items()}
        return {key: found[key[0]].get(key[1]) for key in keys}


def _values(row: Row) -> tuple[Any, ...]:
    """The columns after the id, with their types: by its size alone an int would be of another type each time."""
    (
        _, namespace, name, codec, protocol, kind, python, body, spill, seal, crc, revision, created, modified,
        expires,
    ) = row  # fmt: skip
    return (
        namespace, name, codec, Int4(protocol), kind, python, body, spill, seal, Int8(crc), Int8(revision), created,
        modified, expires,
    )  # fmt: skip


def _key_of(namespace: str, change: Change) -> tuple[str, str]:
    if isinstance(change, Row):
        return change.namespace, change.name
    if isinstance(change, Put):
        return change.row.namespace, change.row.name
    return namespace, change.name or ""


def _check(state: Header | None, expected: Expected, key: tuple[str, str]) -> None:
    expect(None if state is None else stamp_of(state.revision, state.seal), expected, *key)


def _unexpired(state: Header | None, now: float) -> Header | None:
    return None if state is None or has_expired(state, now) else state
