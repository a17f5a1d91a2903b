"""This store on PostgreSQL, and the limit: the driver alone, with the store's own statements."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from ..remote.peers import STORE, Kind, Pairs, Peer, batches, changed
from ..session import PROTOCOL

BARE = "bare psycopg"


def schema_of(url: str, schema: str) -> str:
    return f"{url}?schema={schema}"


class ThisStore:
    def __init__(self, url: str, **options: Any) -> None:
        from store import Store

        self.store: Store[Any] = Store(schema_of(url, "bench"), **options)
        self.get, self.set, self.delete = self.store.__getitem__, self.store.__setitem__, self.store.__delitem__
        self.update, self.get_many, self.items = self.store.update, self.store.get_many, self.store.items
        self.close = self.store.close

    def edit(self, name: str) -> Any:
        with self.store.edit(name) as value:
            return changed(value)


class Bare:
    """It seals nothing, checks nothing and has no pool: one connection, and the store's own tables and statements."""

    def __init__(self, url: str) -> None:
        import psycopg

        from store.engines.contract import PAGE_ROWS, Fields
        from store.engines.postgres.location import parse
        from store.engines.postgres.schema import lock_key
        from store.engines.postgres.statements import Statements

        location = parse(schema_of(url, "bare"))
        self._lock = lock_key(location, "namespace", "")
        self._lock_of = lambda name: lock_key(location, "name", "", name)
        self._sql, self._sealed, self._row, self._page = Statements(location), Fields.SEALED, Fields.ROW, PAGE_ROWS
        self._conn = psycopg.connect(
            location.conninfo, autocommit=True, prepare_threshold=0, cursor_factory=psycopg.RawCursor
        )
        self._conn.execute("SELECT set_config('search_path', 'pg_catalog', false)")
        self._cursor = self._conn.cursor(binary=True)  # used again: to make one takes a third of a short read

    def _run(self, statement: str, *values: Any) -> list[Any]:
        return self._cursor.execute(statement, values).fetchall()

    def get(self, name: str) -> Any:
        return pickle.loads(self._run(self._sql.find[self._sealed], "", name)[0][7])

    def set(self, name: str, value: Any) -> None:
        self._run(self._sql.put, self._lock, uuid4(), *_columns(name, value))

    def delete(self, name: str) -> None:
        self._run(self._sql.delete, self._lock, uuid4(), "", name, NOW)

    def update(self, pairs: Pairs) -> None:
        columns = map(list, zip(*(_columns(*pair) for pair in pairs), strict=True))
        self._run(self._sql.put_all, [self._lock], uuid4(), *columns)

    def get_many(self, names: list[str]) -> dict[str, Any]:
        return {row[2]: pickle.loads(row[7]) for row in self._run(self._sql.find_all[self._sealed], "", names)}

    def items(self) -> Iterator[tuple[str, Any]]:
        ((end,),) = self._run(self._sql.last_id, "")
        after = 0
        while rows := self._run(self._sql.pages[self._sealed, False], "", after, end, self._page):
            yield from ((row[2], pickle.loads(row[7])) for row in rows)
            after = rows[-1][0]

    def edit(self, name: str) -> Any:
        execute = self._conn.execute
        execute("BEGIN")
        self._run(self._sql.lock_shared, self._lock)
        self._run(self._sql.lock_name, self._lock_of(name))
        (row,) = self._run(self._sql.find_locked[self._row], "", [name])
        value = changed(pickle.loads(row[7]))
        self.set(name, value)
        execute("COMMIT")
        return value

    def close(self) -> None:
        self._conn.close()


NOW = 1_700_000_000.0
SEAL, CRC = bytes(24), 123_456_789


def _columns(name: str, value: Any) -> tuple[Any, ...]:
    """The columns of a record after its id, as the store fills them."""
    from psycopg.types.numeric import Int4, Int8

    return (
        "", name, "pickle", Int4(PROTOCOL), "builtins.dict", "3.11.0", pickle.dumps(value, PROTOCOL), None, SEAL,
        Int8(CRC), Int8(1), NOW, NOW, None,
    )  # fmt: skip


def fill_store(url: str, pairs: Pairs) -> None:
    peer = ThisStore(url)
    peer.store.clear()
    _fill(peer, pairs)
    peer.close()


def fill_bare(url: str, pairs: Pairs) -> None:
    from store import Store

    with Store[Any](schema_of(url, "bare")) as tables:  # made where there are none
        tables.clear()
    peer = Bare(url)
    _fill(peer, pairs)
    peer.close()


def _fill(peer: Peer, pairs: Pairs) -> None:
    for batch in batches(pairs):
        peer.update(batch)


KINDS = (
    Kind(BARE, Bare, fill_bare, modules=("psycopg",), note="the same tables and statements, by `psycopg` and `pickle` alone"),
    Kind(STORE, ThisStore, fill_store, modules=("psycopg", "psycopg_pool")),
)
