"""Scripts change everything or nothing, and no other store."""

from __future__ import annotations

import re
import threading

import pytest

pytest.importorskip("redis", reason="redis-py is not installed: the engine on Redis was not tested")

import redis
from sealed_rows import NOW, all_of, names, row

from store import Store
from store.engines.contract import Check, Delete, Put
from store.engines.redis import reading as rows
from store.engines.redis.keys import keys_of, store_keys
from store.engines.redis.location import parse
from store.engines.redis.opening import open_redis
from store.engines.redis.scripts import leases, locks, reading, spaces, writing
from store.engines.redis.scripts.script import Script
from store.errors import Conflict, StorageError, Unsupported

pytestmark = pytest.mark.damaged  # the rows bear seals that no key made


@pytest.fixture
def engine(redis_url):
    opened = open_redis(redis_url, mode="c", timeout=5.0, durability="normal")
    yield opened
    opened.close()


@pytest.fixture
def server(redis_url):
    location = parse(redis_url)
    with redis.Redis.from_url(location.urls[0]) as client:
        yield client


def in_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def keys(redis_url, namespace=""):
    return keys_of(parse(redis_url).prefix, namespace)


def content(server, redis_url):
    found = keys(redis_url)
    return [
        server.hgetall(found.rows),
        *(server.zrange(index, 0, -1, withscores=True) for index in (found.order, found.names, found.expiry)),
    ]


def test_all_keys_of_a_namespace_are_in_one_slot():
    from redis.crc import key_slot

    for namespace in ("", "users", "}", "{a}", "a}b", "{", "\u20ac"):
        assert len({key_slot(key) for key in keys_of("p:", namespace)}) == 1
    assert len({key_slot(key) for key in store_keys("p:")}) == 1
    every = [key for namespace in ("", "}", "a", "a}", "#", "@", "=") for key in keys_of("p:", namespace)]
    assert len({*every, *store_keys("p:")}) == len(every) + len(store_keys("p:"))


def test_indexes_follow_the_records(engine, server, redis_url):
    engine.apply("", [row("b", expires=NOW + 5), row("a"), row("c")])
    engine.apply("", [row("b", b"2", expires=NOW + 9), Delete("a"), row("d", expires=NOW + 1)])
    rows, order, by_name, expiry = content(server, redis_url)
    assert sorted(rows) == [b"b", b"c", b"d"] and by_name == [(b"b", 0.0), (b"c", 0.0), (b"d", 0.0)]
    assert order == [(b"b", 1.0), (b"c", 3.0), (b"d", 4.0)]
    assert expiry == [(b"\0\0\0\0\0\0\0\x04d", NOW + 1), (b"\0\0\0\0\0\0\0\x01b", NOW + 9)]
    engine.apply("", [row("b")])
    assert content(server, redis_url)[3] == [(b"\0\0\0\0\0\0\0\x04d", NOW + 1)]
    engine.clear("")
    assert content(server, redis_url) == [{}, [], [], []] and engine.usage().data_bytes == 0


def test_bytes_are_counted(engine, server, redis_url):
    engine.apply("", [row("a", b"1" * 100), row("b")])
    engine.apply("", [row("a", b"1"), Delete("b")])
    rows = server.hgetall(keys(redis_url).rows)
    assert engine.usage().data_bytes == sum(len(name) + len(packed) for name, packed in rows.items())


def test_bytes_of_many_namespaces_are_counted_together(engine, server, monkeypatch):
    monkeypatch.setattr(rows, "SUMMED_SPACES", 2)
    for number in range(5):
        engine.put(row("a", b"1" * number, namespace=f"n{number}"))
    monkeypatch.setattr(type(engine.handle.server), "number", None)  # one by one it would take a while
    total = engine.usage().data_bytes
    monkeypatch.undo()
    assert total == sum(engine.handle.server.number(f"n{number}", "bytes") for number in range(5)) > 0


def test_bytes_that_are_damaged_are_told_of(engine, server, redis_url):
    engine.put(row("a"))
    server.hset(keys(redis_url).meta, "bytes", "many")
    with pytest.raises(StorageError, match="bytes"):
        engine.usage()


@pytest.mark.parametrize("part", ["order", "names", "expiry", "changes", "leases"])
def test_key_of_another_type_changes_nothing(engine, server, redis_url, part):
    engine.put(row("a"))
    key = getattr(keys(redis_url), part)
    before = server.hgetall(keys(redis_url).rows)
    server.delete(key)
    server.set(key, b"something else")
    with pytest.raises(StorageError, match="holds something else"):
        engine.apply("", [row("b"), Delete("a"), row("c", expires=NOW)])
    assert server.hgetall(keys(redis_url).rows) == before


def test_conflict_changes_nothing(engine):
    engine.apply("", [row("a"), row("b")])
    before = all_of(engine, None)
    for expected in ("1-00", "no stamp"):
        with pytest.raises(Conflict, match="'b'") as raised:
            engine.apply("", [row("a", b"2"), Delete("a"), Put(row("b", b"2"), expected)])
        assert raised.value.name == "b"
        assert all_of(engine, None) == before
    with pytest.raises(Conflict, match="run the transaction again"):
        engine.apply("", [Check(None, 99), Delete("a")])


def test_store_that_was_destroyed_is_refused(engine, server, redis_url):
    engine.put(row("a"))
    server.flushdb()
    for call in (lambda: engine.put(row("b")), lambda: engine.put(row("b", namespace="new"))):
        with pytest.raises(StorageError, match="was destroyed since it was opened"):
            call()
    server.hset(store_keys(parse(redis_url).prefix).identity, mapping={"id": bytes(16), "format": 1})
    server.hset(keys(redis_url).meta, "id", bytes(16))
    for call in (lambda: engine.put(row("b")), lambda: engine.get("", ["a"]), lambda: names(engine)):
        with pytest.raises(StorageError, match="was destroyed since it was opened"):
            call()
    assert not server.exists(keys(redis_url).rows)


def test_store_that_lost_its_id_gets_no_new_one(engine, server, redis_url):
    engine.put(row("a"))
    engine.close()
    server.delete(store_keys(parse(redis_url).prefix).identity)
    with pytest.raises(StorageError, match="has lost its id; restore it from a backup"):
        open_redis(redis_url, mode="c", timeout=5.0, durability="normal")


def test_scripts_that_the_server_has_forgotten_are_loaded_again(engine, server):
    engine.put(row("a"))
    server.script_flush()
    engine.put(row("b"))
    assert names(engine) == ["a", "b"]


def test_limit_of_records_splits_nothing(engine):
    engine.apply("", [row(f"{number}") for number in range(1000)])
    with pytest.raises(Unsupported, match="1,001 records at once"):
        engine.apply("", [row(f"n{number}") for number in range(1001)])
    with pytest.raises(Unsupported, match="1,001 records at once"):
        engine.get("", [f"{number}" for number in range(1001)])
    assert engine.count("", NOW)[0] == 1000


def test_limit_of_bytes(engine):
    half = bytes(40 * 2**20)
    with pytest.raises(Unsupported, match="64 MiB at once"):
        engine.apply("", [row("a", half), row("b", half)])
    assert names(engine) == []
    engine.put(row("a", half))
    engine.put(row("b", half))
    with pytest.raises(Unsupported, match="64 MiB at once"):
        engine.get("", ["a", "b"])
    assert [len(found.body) for found in all_of(engine, "")] == [len(half)] * 2


def test_every_script_names_all_its_keys():
    modules = [reading, writing, spaces, leases, locks]
    texts = [one.text.decode() for module in modules for one in vars(module).values() if isinstance(one, Script)]
    assert len(texts) >= 12
    for text in texts:
        assert not re.search(r"redis\.call\('[A-Z]+', (?!KEYS|index|key|meta|changes|leases|'|\))", text.replace("redis.call('TIME'", ""))


def test_namespaces_in_one_slot_change_together_or_not_at_all(engine, server, redis_url):
    engine.apply("", [row("a")])
    engine.put(row("a", namespace="#notes"))
    (stamp,) = (found.stamp for found in engine.get("#notes", ["a"]).values())
    changes = {"": [row("a", b"2"), row("b")], "#notes": [Delete("a", stamp), row("b", namespace="#notes")]}
    engine.apply_several(changes)
    assert (names(engine), names(engine, namespace="#notes")) == (["a", "b"], ["b"])
    before = all_of(engine, None)
    for namespace in ("#notes", "new#notes"):
        with pytest.raises(Conflict) as raised:
            engine.apply_several({
                namespace[:-6]: [row("c", namespace=namespace[:-6])],
                namespace: [Put(row("b", namespace=namespace), "1-00")],
            })  # fmt: skip
        assert (raised.value.name, raised.value.namespace) == ("b", namespace)
        assert all_of(engine, None) == before
    with pytest.raises(Unsupported, match="several namespaces"):
        engine.apply_several({"": [row("c")], "x": [row("c", namespace="x")]})


def test_transaction_of_a_namespace_and_its_companions(redis_url):
    with Store(redis_url) as s:
        users, notes = s.within("users"), s.within("users#notes")
        with users.transaction(notes):
            users["ann"], notes["ann"] = 1, "note"
        with pytest.raises(Conflict), users.transaction(notes):
            assert notes["ann"] == "note"
            users["ann"] = 2
            in_thread(lambda: notes.update(ann="another"))
        assert (users["ann"], notes["ann"]) == (1, "another")
