"""The writes of the PostgreSQL engine: one statement each, or in a transaction where they expect something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from psycopg.types.numeric import Int4, Int8

from store.engines.contract import ANY, Applied, Change, Check, Delete, Expected, Put, expect
from store.engines.postgres.handle import Handle
from store.engines.postgres.place import ThreadPlace
from store.engines.postgres.sessions import Connection
from store.engines.registry import supported
from store.errors import Conflict, label
from store.rows.row import Row, stamp_of


class Writing:
    """The writing half of the contract `Engine`."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
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
        kinds = set(map(type, changes))
        if kinds == {Row}:
            return self._put_all([change for change in changes if isinstance(change, Row)], stamps)
        names = sorted({name for change in changes if (name := _name_of(change)) is not None})
        deleted, given = 0, []
        with self._handle.transaction(scope=(namespace, names)):
            states = self._states(namespace, changes)
            for change in changes:
                key = _key_of(namespace, change)
                if isinstance(change, Delete):
                    _check(states[key], change.expect, key)
                    deleted += self._delete(namespace, change)
                    states[key] = self._state(*key)
                elif isinstance(change, Check):
                    if change.name is None:
                        supported(None, "postgresql", "versions of namespaces, since transactions are held")
                    _check(states[key], change.expect, key)
                else:
                    put = change if isinstance(change, Put) else Put(change)
                    state = states[key]
                    if state is not None and state[2] is not None and state[2] <= put.row.modified:
                        state = None  # it has expired
                    _check(state, put.expect, key)
                    given.append(self._put(put.row))
                    states[key] = self._state(*key)
        return Applied(deleted, given if stamps else [])

    def load(self, rows: Sequence[Row]) -> None:
        if rows:
            values = self._arrays(rows)
            self._run(self._statements.load, values)

    def clear(self, namespace: str) -> None:
        lock = self._sessions.lock_of(namespace)
        self._run(self._statements.clear, (lock, uuid4(), namespace))

    def add_sealer(self, key_id: bytes) -> None:
        known = self._server.known_sealers
        if key_id not in known:
            place = self._server.visitor()
            self._run(self._statements.add_sealer, (key_id,))
            known.add(key_id)
            transaction = place.live_transaction()
            if transaction is not None:
                transaction.on_rollback(lambda: known.discard(key_id))

    # -- parts of the above

    def _put(self, row: Row) -> str:
        """Put a row; returns its stamp."""
        values = (self._sessions.lock_of(row.namespace), uuid4(), *_values(row))
        key = row.namespace, row.name

        def work(conn: Connection, place: ThreadPlace | None) -> Any:
            is_new = place is not None and key in place.absent
            if place is not None:
                place.take_namespace(row.namespace)
                place.absent.discard(key)
            found = conn.execute(self._statements.put_new if is_new else self._statements.put, values, binary=True)
            return found.fetchone()

        done = self._handle.write(work)
        if done is None:
            raise Conflict(
                f"{label(row.name, row.namespace)} was written by another writer meanwhile; run it again",
                name=row.name,
                namespace=row.namespace,
            )
        return stamp_of(*done)

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
        with self._handle.transaction(scope=(rows[0].namespace, ())):
            return Applied(0, [stamp for part in parts for stamp in self._put_part(part, stamps)])

    def _put_part(self, rows: Sequence[Row], stamps: bool) -> list[str]:
        found = self._run(self._statements.put_all, self._arrays(rows))
        if not stamps:
            return []
        given = {(namespace, name): stamp_of(revision, seal) for namespace, name, revision, seal in found}
        return [given[row.namespace, row.name] for row in rows]

    def _arrays(self, rows: Sequence[Row]) -> tuple[Any, ...]:
        columns = list(zip(*(row[1:] for row in rows), strict=True))
        locks = sorted({self._sessions.lock_of(row.namespace) for row in rows})
        return locks, uuid4(), *map(list, columns)

    def _delete(self, namespace: str, change: Delete) -> int:
        if "\0" in change.name:  # PostgreSQL's texts have none, so there is no such record
            self._handle.check_open(is_writing=True)
            return 0
        values = (self._sessions.lock_of(namespace), uuid4(), namespace, change.name, change.now)
        return int(self._run(self._statements.delete, values, namespace)[0][0])

    def _run(self, statement: str, values: Sequence[Any], namespace: str | None = None) -> list[Any]:
        def work(conn: Connection, place: ThreadPlace | None) -> list[Any]:
            if place is not None and namespace is not None:
                place.take_namespace(namespace)
            cursor = conn.execute(statement, values, binary=True)
            return [] if cursor.description is None else cursor.fetchall()

        return self._handle.write(work)

    # -- expectations

    def _states(self, namespace: str, changes: Sequence[Change]) -> dict[tuple[str, str], Any]:
        """Revision, seal and expiry of each name, locked until the transaction ends; None: there is no record."""
        keys = {_key_of(namespace, change) for change in changes}
        return {key: self._state(*key) for key in sorted(keys)}

    def _state(self, namespace: str, name: str) -> Any:
        def work(conn: Connection, place: ThreadPlace | None) -> Any:
            assert place is not None
            for _ in range(2):  # again: a row that was replaced while this waited is in the next snapshot
                row = conn.execute(self._statements.state, (namespace, [name]), binary=True).fetchone()
                if row is not None:
                    return row[1:]
            place.absent.add((namespace, name))
            return None

        return self._handle.write(work)


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


def _name_of(change: Change) -> str | None:
    if isinstance(change, Row):
        return change.name
    return change.row.name if isinstance(change, Put) else change.name


def _key_of(namespace: str, change: Change) -> tuple[str, str]:
    if isinstance(change, Row):
        return change.namespace, change.name
    if isinstance(change, Put):
        return change.row.namespace, change.row.name
    return namespace, change.name or ""


def _check(state: Any, expected: Expected, key: tuple[str, str]) -> None:
    expect(None if state is None else stamp_of(*state[:2]), expected, *key)
