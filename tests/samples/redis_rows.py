"""A store on Redis as another program sees and changes it, by redis-py: its keys, and its rows as tables of SQLite.

The tests that change rows behind the store's back say so in SQL. Here the rows are copied to a database in memory, the
statement runs there, and what it changed is written back.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from store.engines.contract import Fields
from store.engines.redis.keys import keys_of, store_keys
from store.engines.redis.packing import pack, unpack
from store.rows.row import Row

if TYPE_CHECKING:
    from redis import Redis

SCHEMES = ("redis", "rediss", "valkey", "valkeys")
_COLUMNS = ", ".join(Row._fields)


def is_redis(url: str) -> bool:
    return urlsplit(url).scheme in SCHEMES


@contextmanager
def beside(url: str) -> Iterator[tuple[Redis, str]]:
    """A client of the server or the cluster, which is none of the store's own, and the prefix of the store."""
    import redis

    split = urlsplit(url)
    (prefix,) = parse_qs(split.query)["prefix"]
    bare = split._replace(query="").geturl()
    with redis.Redis.from_url(bare) as client:
        if not client.info("cluster")["cluster_enabled"]:
            yield client, prefix
            return
    with redis.RedisCluster.from_url(bare) as cluster:
        try:
            yield cluster, prefix
        finally:
            cluster.disconnect_connection_pools()  # its end leaves them to the garbage collector


def keys(url: str) -> list[bytes]:
    """All keys of the store."""
    with beside(url) as (client, prefix):
        return sorted(client.scan_iter(match=f"{prefix}{{*", count=1000))


def move(url: str, before: str, after: str) -> None:
    """Rename the keys of a store; `before` and `after` come behind its prefix."""
    with beside(url) as (client, prefix):
        for key in client.scan_iter(match=f"{prefix}{before}{{*", count=1000):
            client.rename(key, f"{prefix}{after}".encode() + key.removeprefix(f"{prefix}{before}".encode()))


def run(url: str, statement: str, *values: Any) -> tuple[list[Any], int]:
    """What an SQL statement on `records`, `identity` and `sealers` gives, and how many rows it changed."""
    with beside(url) as (client, prefix), closing(sqlite3.connect(":memory:")) as conn:
        before = _load(conn, client, prefix)
        cursor = conn.execute(statement, values)
        found = cursor.fetchall()
        _write_back(client, prefix, before, _rows(conn))
        own = store_keys(prefix)
        for (store_id,) in conn.execute("SELECT id FROM identity"):
            client.hset(own.identity, "id", store_id)
        sealers = {key_id for (key_id,) in conn.execute("SELECT key_id FROM sealers")}
        for key_id in client.smembers(own.sealers) - sealers:
            client.srem(own.sealers, key_id)
        for key_id in sealers - client.smembers(own.sealers):
            client.sadd(own.sealers, key_id)
        return found, cursor.rowcount


def _load(conn: sqlite3.Connection, client: Any, prefix: str) -> dict[int, Row]:
    own = store_keys(prefix)
    conn.execute(f"CREATE TABLE records ({_COLUMNS})")
    conn.execute("CREATE TABLE identity (id, format)")
    conn.execute("CREATE TABLE sealers (key_id)")
    for space in client.zrange(own.spaces, 0, -1):
        namespace = space.decode()
        packed = client.hgetall(keys_of(prefix, namespace).rows)
        rows = [unpack(row, namespace, name.decode(), Fields.ROW) for name, row in packed.items()]
        marks = ", ".join("?" * len(Row._fields))
        conn.executemany(f"INSERT INTO records VALUES ({marks})", sorted(rows, key=lambda row: row.id))
    if client.exists(own.identity):
        conn.execute("INSERT INTO identity VALUES (?, ?)", client.hmget(own.identity, "id", "format"))
    conn.executemany("INSERT INTO sealers VALUES (?)", [(key_id,) for key_id in client.smembers(own.sealers)])
    return _rows(conn)


def _rows(conn: sqlite3.Connection) -> dict[int, Row]:
    return {number: Row._make(row) for number, *row in conn.execute(f"SELECT rowid, {_COLUMNS} FROM records")}


def _write_back(client: Any, prefix: str, before: dict[int, Row], after: dict[int, Row]) -> None:
    for number, row in before.items():
        if after.get(number) != row:
            _remove(client, prefix, row)
    for number, row in after.items():
        if before.get(number) != row:
            _add(client, prefix, row)


def _remove(client: Any, prefix: str, row: Row) -> None:
    keys = keys_of(prefix, row.namespace)
    client.hdel(keys.rows, row.name)
    client.zrem(keys.order, row.name)
    client.zrem(keys.names, row.name)
    client.zrem(keys.expiry, _indexed(row))
    client.hincrby(keys.meta, "bytes", -len(pack(row)) - len(row.name.encode()))


def _add(client: Any, prefix: str, row: Row) -> None:
    keys, own = keys_of(prefix, row.namespace), store_keys(prefix)
    if client.zadd(own.spaces, {row.namespace: 0}):
        client.hset(keys.meta, "id", client.hget(own.identity, "id"))
    client.hset(keys.meta, "next", max(row.id or 0, int(client.hget(keys.meta, "next") or 0)))
    client.hset(keys.rows, row.name, pack(row))
    client.zadd(keys.order, {row.name: row.id})
    client.zadd(keys.names, {row.name: 0})
    if row.expires is not None:
        client.zadd(keys.expiry, {_indexed(row): row.expires})
    client.hincrby(keys.meta, "bytes", len(pack(row)) + len(row.name.encode()))


def _indexed(row: Row) -> bytes:
    return struct.pack(">Q", row.id) + row.name.encode()
