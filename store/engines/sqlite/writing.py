"""The writes of the SQLite engine: rows, and the files of large values that they make garbage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from store.engines.capabilities import Commit
from store.engines.contract import ANY, Applied, Change, Check, Delete, Expected, Put, expect
from store.engines.registry import supported
from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine.fetching import all_by_id
from store.engines.sqlite.handle import Handle
from store.engines.sqlite.spill.garbage import dropped, spilled_bytes
from store.engines.transaction import HeldTransaction
from store.rows.row import Row, stamp_of
from store.rows.spilled import files_of, prefix_of, size_of

SPILL = Row._fields.index("spill")
SHORT = 4096  # bytes of a body, up to which a copy is faster than what it saves

Spilled = Iterable[tuple[Any, Any, Any]]
"""Namespace, name and the text `spill` of rows."""


class Writing:
    """The writing half of the contract `Engine`."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def put(self, row: Row) -> Commit | None:
        handle = self._handle
        if handle.read_only:
            handle.check_writable()
        if row.spill is None:
            statement, values = _bound(row)
            touched = ((row.namespace, row.name),)
            changed, commit = handle.engine.write(statement, values, touched, len(row.body), handle.timeout)
            if changed:
                return commit
        self._replace(row)
        return None

    def apply(self, namespace: str, changes: Sequence[Change], *, stamps: bool = False) -> Applied:
        self._handle.check_writable()
        if len(changes) == 1 and isinstance(changes[0], Delete) and changes[0].expect is ANY:
            return Applied(self._delete(namespace, changes[0]), [])
        if not stamps:
            kinds = set(map(type, changes))
            if kinds == {Row}:
                return Applied(0, [], self._put_all(changes))  # type: ignore[arg-type]
            if kinds == {Delete}:
                return Applied(self._delete_all(namespace, changes), [])  # type: ignore[arg-type]
        deleted, given = 0, []
        with self._handle.transaction():
            for change in changes:
                if isinstance(change, Delete):
                    deleted += self._delete(namespace, change)
                elif isinstance(change, Check):
                    self._check(namespace, change)
                else:
                    row = self._put(change if isinstance(change, Put) else Put(change))
                    if stamps:
                        given.append(stamp_of(*self._find(row.namespace, row.name)[:2]))
        return Applied(deleted, given)

    def load(self, rows: Sequence[Row]) -> None:
        touched = [(row.namespace, row.name) for row in rows]
        handle = self._handle
        with handle.transaction() as transaction:
            size = sum(len(row.body) for row in rows)
            before = [handle.all(sql.SPILL, place) for place in touched]
            handle.engine.write_many(sql.RESTORE_OVER, [(None, *row[1:]) for row in rows], touched, size)
            self._count(spilled_bytes(rows, SPILL) - sum([spilled_bytes(spills) for spills in before]))
            for row, spills in zip(rows, before, strict=True):
                if (row.namespace, row.name, row.spill) not in spills:
                    self._drop(spills, but=row.spill)
                    self._claim(row, transaction)

    def clear(self, namespace: str) -> None:
        handle = self._handle
        with handle.transaction():
            fetch = all_by_id(handle.location)
            spills = handle.engine.read(sql.SPILLS, (namespace,), fetch, 0.0, handle.timeout)
            self._drop(spills)
            self._count(-spilled_bytes(spills))
            handle.write(sql.CLEAR, (namespace,), None)

    def add_sealer(self, key_id: bytes) -> None:
        engine = self._handle.engine
        known = engine.known_sealers
        if key_id not in known:
            self._handle.write(sql.ADD_SEALER, (key_id,), ())
            known.add(key_id)
            transaction = engine.connection().live_transaction()
            if transaction is not None:
                transaction.on_rollback(lambda: known.discard(key_id))

    # -- puts

    def _put(self, change: Put) -> Row:
        row = change.row
        if change.expect is not ANY:
            found = self._find(row.namespace, row.name)
            is_gone = found is None or (found[2] is not None and found[2] <= row.modified)
            _expect(None if is_gone else found, change.expect, row.namespace, row.name)
        self.put(row if row.id is None else row._replace(id=None))
        return row

    def _put_all(self, rows: Sequence[Row]) -> Commit | None:
        if len(rows) == 1:
            return self.put(rows[0])
        engine = self._handle.engine
        size = sum([len(row.body) for row in rows])
        touched = [(row.namespace, row.name) for row in rows]
        statement, values = _all_bound(rows)
        try:
            with self._handle.transaction() as transaction:
                if engine.write_many(statement, values, touched, size) < len(rows):
                    raise _SomeWereLeft
                self._count(spilled_bytes(rows, SPILL))  # none of those they replaced had files
                for row in rows:
                    if row.spill is not None:
                        self._claim(row, transaction)
        except _SomeWereLeft:
            # Rolled back, so that rows that must be replaced get their place in the order of the others.
            with self._handle.transaction():
                for row in rows:
                    self.put(row)
        return engine.open_commit()

    def _replace(self, row: Row) -> None:
        """Put a row that has files, or that PUT skipped because the existing row may have files to drop.

        A row that names the files of its existing record (after `touch`, for example) keeps them.
        """
        handle, place = self._handle, (row.namespace, row.name)
        with handle.transaction() as transaction:
            before = handle.all(sql.SPILL, place)
            handle.write(sql.DELETE_EXPIRED, (*place, row.modified), (place,))
            handle.write(sql.PUT_OVER, tuple(row), (place,), len(row.body))
            if (*place, row.spill) not in before:
                self._drop(before, but=row.spill)
                self._claim(row, transaction)
                self._count(size_of(row.spill) - spilled_bytes(before))

    # -- deletes

    def _delete(self, namespace: str, change: Delete) -> int:
        handle, place = self._handle, (namespace, change.name)
        if change.expect is not ANY:
            self._check(namespace, Check(change.name, change.expect))
        if handle.write(sql.DELETE_UNSPILLED, (*place, change.now), (place,)):
            return 1
        if not handle.one(sql.SPILL, place):
            return 0
        with handle.transaction():
            spills = handle.all(sql.SPILL, place)
            if not handle.write(sql.DELETE, (*place, change.now), (place,)):  # it has expired
                return 0
            self._drop(spills)
            self._count(-spilled_bytes(spills))
            return 1

    def _delete_all(self, namespace: str, changes: Sequence[Delete]) -> int:
        touched = [(namespace, change.name) for change in changes]
        with self._handle.transaction():
            if all(isinstance(change.expect, str) for change in changes):
                try:
                    with self._handle.transaction():
                        values = [(namespace, name, now, expected) for name, expected, now in changes]
                        if self._handle.engine.write_many(sql.DELETE_STAMPED, values, touched, 0) == len(changes):
                            return len(changes)
                        raise _SomeWereLeft
                except _SomeWereLeft:  # some have files to drop, or were changed
                    pass
            return sum([self._delete(namespace, change) for change in changes])

    # -- expectations

    def _find(self, namespace: str, name: str) -> Any:
        """Revision, seal and expiry of a record, or None."""
        return self._handle.one(sql.STAMP_OF, (namespace, name))

    def _check(self, namespace: str, change: Check) -> None:
        if change.name is None:
            supported(None, "sqlite", "versions of namespaces, since transactions are held")
        else:
            _expect(self._find(namespace, change.name), change.expect, namespace, change.name)

    # -- files beside it

    def _claim(self, row: Row, transaction: HeldTransaction) -> None:
        """Give the row its files, and remove them from `garbage`: a deleted row may have been imported again."""
        if row.spill is None:
            return
        handle = self._handle
        files = files_of(row.spill, prefix_of(handle.id, row.namespace, row.name))
        if not files:  # an imported row may be damaged
            return
        handle.engine.write_many(sql.FORGET_GARBAGE, [(file,) for file in files], (), 0)
        handle.engine.spill.claim(row.spill, transaction)

    def _drop(self, spills: Spilled, but: str | None = None) -> None:
        """Add their files to `garbage` in the open transaction, and count their size for the next checkpoint."""
        engine = self._handle.engine
        files, size = dropped(engine.store_id, spills, but)
        if files:
            engine.write_many(sql.DROP, [(file,) for file in files], (), 0)
            engine.checkpoints.dropped(size)

    def _count(self, added: int) -> None:
        """Add to the bytes of the files of all records, in the open transaction."""
        if added:
            bound = sql.LARGEST_SPILLED  # a row that was made by hand may name files of any size
            self._handle.engine.write_many(sql.ADD_SPILLED, [(max(-bound, min(added, bound)),)], (), 0)


def _bound(row: Row) -> tuple[str, tuple[Any, ...]]:
    """The statement that puts a row, and its values."""
    (
        id_, namespace, name, codec, protocol, kind, python, body, spill, seal, crc, revision, created, modified,
        expires,
    ) = row  # fmt: skip
    if id_ is not None or revision != 1 or spill is not None:
        return sql.PUT, row[:]  # a plain tuple, which Python's module takes apart 0.8 us faster than one with names
    # Before it binds bytes, the module looks for an adapter, which takes 0.25 us; not for a bytearray.
    data = bytearray(body) if len(body) < SHORT else body
    values = namespace, name, codec, protocol, kind, python, data, bytearray(seal), crc, created, modified
    return (sql.PUT_LASTING, values) if expires is None else (sql.PUT_EXPIRING, (*values, expires))


def _all_bound(rows: Sequence[Row]) -> tuple[str, Sequence[tuple[Any, ...]]]:
    """As `_bound`, of many rows with one statement."""
    bound = [_bound(row) for row in rows]
    statements = {statement for statement, _ in bound}
    if len(statements) > 1:
        return sql.PUT, [row[:] for row in rows]
    return statements.pop(), [values for _, values in bound]


def _expect(found: Any, expected: Expected, namespace: str, name: str) -> None:
    expect(None if found is None else stamp_of(*found[:2]), expected, namespace, name)


class _SomeWereLeft(Exception):
    """Some rows could not be changed by the single statement."""
