"""Sessions on a Redis server or cluster: what is imported, what is reported, and what ends an import.

How the frameworks themselves write and read them is in `tests/integrations/test_sessions_from_redis.py`.
"""

from __future__ import annotations

import collections
import hashlib
import json
import pickle
import re
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from redis_cluster import RedisCluster
from redis_server import RedisServer
from sources import Hostile

from store import Store
from store.cli import main
from store.cli.importing import import_
from store.errors import StorageError
from store.importers import import_into
from store.sessions import Sessions
from store.sessions.importing import SessionForm

NOW = 1_800_000_000.0
DJANGO = ":1:django.contrib.sessions.cache"
KEY = "0123456789abcdefghijklmnopqrstuv"
Results = dict[str, tuple[str, str]]


@pytest.fixture
def source(redis: RedisServer) -> Iterator[str]:
    """The URL of a database of a server, which is emptied afterwards."""
    yield redis.url
    redis.ask("FLUSHALL", "SYNC")


@pytest.fixture
def cluster(redis_cluster: RedisCluster) -> Iterator[RedisCluster]:
    yield redis_cluster
    for node in redis_cluster.nodes[:3]:
        node.ask("FLUSHALL", "SYNC")


def run(s: Store[Any], kind: str, source: str, **options: Any) -> Results:
    return {one.name: (one.outcome, one.why) for one in import_into(s, kind, source, **options)}


def hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


# -- what comes over


def test_sessions_come_over_and_the_server_stays_as_it_is(redis: RedisServer, source: str, place: str) -> None:
    expected = {}
    with redis.client() as client:
        for number in range(1200):
            client.set(f"session:{number}", as_json({"n": number}), ex=5000)
            expected[hashed(f"session:{number}")] = {"n": number}
        client.set("other", "x")
    before = redis.ask("DEBUG", "DIGEST-VALUE", *(f"session:{number}" for number in range(1200)))
    with Store[Any](place, namespace="old") as s:
        assert run(s, "flask-session", source) == dict.fromkeys(expected, ("imported", ""))
        assert dict(s) == expected
        assert run(s, "flask-session", source) == dict.fromkeys(expected, ("unchanged", ""))
        assert run(s, "flask-session", source, on_conflict="replace") == dict.fromkeys(expected, ("unchanged", ""))
    assert redis.ask("DEBUG", "DIGEST-VALUE", *(f"session:{number}" for number in range(1200))) == before


def test_expiry_is_counted_from_the_moment_of_asking(redis: RedisServer, source: str) -> None:
    redis.ask("SET", "session:a", "{}", "PX", 5500)
    redis.ask("SET", "session:b", "{}")
    with Store[Any](":memory:", clock=lambda: NOW) as s:
        run(s, "flask-session", source, clock=lambda: NOW)
        ends = {name: record.expires for name, record in ((name, s.record(name)) for name in s)}
        assert ends[hashed("session:b")] is None
        first = ends[hashed("session:a")]
        assert first is not None and NOW < first.timestamp() <= NOW + 5.5


def test_other_prefixes_and_versions_are_reported_and_stay(redis: RedisServer, source: str) -> None:
    for beginning in (":1:", "shop:1:", "shop:2:", "sh:op:2:", "made by hand/"):
        redis.ask("SET", f"{beginning}django.contrib.sessions.cache{KEY}", as_json({"of": beginning}))
    redis.ask("SET", "shop:1:page", "x")
    given = {":1:": {}, "shop:1:": {"key_prefix": "shop"}, "sh:op:2:": {"key_prefix": "sh:op", "key_version": 2}}
    for wanted, options in given.items():
        with Store[Any](":memory:") as s:
            results = run(s, "django-sessions", source, form=SessionForm() if wanted == ":1:" else None, **options)
            assert list(s.values()) == [{"of": wanted}]
            assert [name for name, (outcome, _) in results.items() if outcome == "imported"] == list(s)
            others = {name: why for name, (outcome, why) in results.items() if outcome == "skipped"}
            assert set(others) == {":1:", "shop:1:", "shop:2:", "sh:op:2:", "made by hand/"} - {wanted}
            assert "key_prefix='shop', key_version=2 (--key-prefix, --key-version)" in others["shop:2:"]
            assert "KEY_FUNCTION" in others["made by hand/"]
    with Store[Any](":memory:") as s, pytest.raises(StorageError) as caught:
        import_into(s, "django-sessions", source, key_prefix="shop", key_version=7)
    assert "no key begins with 'shop:7:django.contrib.sessions.cache'" in str(caught.value)
    assert "key_prefix='sh:op', key_version=2" in str(caught.value)


def test_number_of_reported_prefixes_is_bounded(redis: RedisServer, source: str) -> None:
    with redis.client() as client:
        client.mset({f"site {n}:1:django.contrib.sessions.cache{KEY}": "{}" for n in range(100)})
    redis.ask("SET", DJANGO + KEY, "{}")
    with Store[Any](":memory:") as s:
        results = run(s, "django-sessions", source)
        assert len(results) == 22 and results["…"] == ("skipped", "keys of sessions begin in more than 20 other ways")


@pytest.mark.parametrize("prefix", ["a*", "a?", "[ab]", "a\\", "^a", "a-b", "ü:"])
def test_prefix_is_no_pattern(prefix: str, redis: RedisServer, source: str) -> None:
    for beginning in (prefix, "ab", "a", "b", "aab"):
        redis.ask("SET", f"{beginning}/x", as_json({"of": beginning}))
    with Store[Any](":memory:") as s:
        run(s, "flask-session", source, key_prefix=f"{prefix}/")
        assert dict(s) == {hashed(f"{prefix}/x"): {"of": prefix}}


# -- what does not


def test_records_that_are_no_sessions_fail_alone(redis: RedisServer, source: str, place: str, tmp_path: Path) -> None:
    marker = tmp_path / "code has run"
    values = {
        "fine": as_json({"a": 1}), "number": "12", "list": pickle.dumps([1]), "bytes": b"\xff\xfe", "empty": "", "cut": pickle.dumps({"a": 1})[:-3],
        "evil": pickle.dumps({"a": Hostile(marker)}), "class": pickle.dumps({"a": collections.UserDict()}), "twice": pickle.dumps({}) + b"x", "z": as_json({"z": 1}),
    }  # fmt: skip
    for name, value in values.items():
        redis.ask("SET", DJANGO + name.ljust(32, "_"), value)
    redis.ask("HSET", DJANGO + "hash".ljust(32, "_"), "a", "1")
    redis.ask("RPUSH", DJANGO + "rows".ljust(32, "_"), "a", "1")
    with Store[Any](place) as s:
        results = {name.rstrip("_"): result for name, result in run(s, "django-sessions", source).items()}
        assert {name.rstrip("_"): value for name, value in s.items()} == {"fine": {"a": 1}, "z": {"z": 1}}
        outcomes = {name: outcome for name, (outcome, _) in results.items()}
        assert outcomes == {
            **dict.fromkeys(["fine", "z"], "imported"), **dict.fromkeys(["number", "list", "bytes", "empty", "cut", "twice"], "failed"),
            **dict.fromkeys(["evil", "class"], "refused"), "hash": "skipped", "rows": "skipped",
        }  # fmt: skip
        words = {"class": "--allow collections.UserDict", "number": "a number", "list": "it is a list, not a dict", "bytes": "another serializer", "empty": "it is empty", "hash": "it is a hash, not a string", "rows": "it is a list"}
        assert {name: word for name, word in words.items() if word not in results[name][1]} == {}
    assert not marker.exists()


def test_id_that_sessions_do_not_take_fails_with_the_reason(redis: RedisServer, source: str) -> None:
    for key in (KEY, "short", "a" * 32):
        redis.ask("SET", DJANGO + key, as_json({"of": key}))
    with Sessions(":memory:") as sessions:
        results = run(sessions.store, "django-sessions", source, form=SessionForm())
        assert sessions.load(KEY) == {"of": KEY} and len(sessions) == 1
        assert "an id has 32 to 128 characters" in results["short"][1] and results["a" * 32][0] == "failed"


def test_session_that_ends_while_the_source_is_read_is_skipped(redis: RedisServer, source: str) -> None:
    redis.ask("MSET", "session:a", "{}", "session:b", "{}")

    def clock() -> float:
        redis.ask("DEL", "session:a")
        return NOW

    with Store[Any](":memory:", clock=lambda: NOW) as s:
        results = run(s, "flask-session", source, clock=clock)
        assert results[hashed("session:a")] == ("skipped", "it was deleted or its time ran out while the source was read")
        assert results[hashed("session:b")] == ("imported", "")


def test_session_that_is_found_twice_is_one(redis: RedisServer, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from store.importers.redis_source import RedisSource

    once = RedisSource.keys
    monkeypatch.setattr(RedisSource, "keys", lambda self, pattern: (batch for batch in once(self, pattern) for _ in range(2)))
    redis.ask("MSET", "session:a", "{}", "session:b", "{}")
    with Store[Any](":memory:") as s:
        assert [one.outcome for one in import_into(s, "flask-session", source)] == ["imported"] * 2 + ["unchanged"] * 2


def test_values_are_bounded(redis: RedisServer, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    monkeypatch.setattr("store.importers.redis_source.MAX_VALUE_BYTES", 1000)
    monkeypatch.setattr("store.importers.formats.server_sessions.MAX_VALUE_BYTES", 1000)
    redis.ask("SET", "session:large", as_json({"a": "x" * 1000}))
    with redis.client() as client:
        client.set("session:bomb", gzip.compress(as_json({"a": "x" * 10_000})))
    redis.ask("SET", "session:fine", as_json({"a": "x" * 900}))
    with Store[Any](":memory:") as s:
        results = run(s, "flask-session", source)
        assert results[hashed("session:large")] == ("failed", "it has 1009 bytes; at most 1000 are read")
        assert results[hashed("session:bomb")] == ("failed", "it cannot be decompressed: it would take more than 1000 bytes")
        assert len(s) == 1


def test_memory_is_bounded_by_few_values(redis: RedisServer, source: str) -> None:
    with redis.client() as client:
        for number in range(40):
            client.set(f"session:{number}", as_json({"a": "x" * 2**20}))
    from store.importers.contract import Keys
    from store.importers.kinds import server_importers

    importer = server_importers.load("flask-session")
    redis.ask("CONFIG", "RESETSTAT")
    tracemalloc.start()
    try:
        assert sum(1 for _ in importer.read(source, Keys(), lambda: NOW)) == 40
        assert tracemalloc.get_traced_memory()[1] < 25 * 2**20
    finally:
        tracemalloc.stop()
    assert redis.ask("INFO", "commandstats")["cmdstat_mget"]["calls"] == 6  # 8 MiB each


def test_round_trips_do_not_grow_with_each_session(redis: RedisServer, source: str) -> None:
    with redis.client() as client:
        client.mset({f"session:{number}": "{}" for number in range(2000)})
    redis.ask("CONFIG", "RESETSTAT")
    with Store[Any](":memory:") as s:
        assert len(run(s, "flask-session", source)) == 2000
    calls = {name: found["calls"] for name, found in redis.ask("INFO", "commandstats").items()}
    assert calls["cmdstat_strlen"] == calls["cmdstat_pttl"] == 2000
    # A step of SCAN gives about as many keys as it is asked for, depending on how they lie in the server's table.
    assert calls["cmdstat_mget"] <= 20 and calls["cmdstat_scan"] <= 20 and "cmdstat_get" not in calls


# -- what ends an import


def failing(url: str, kind: str = "flask-session", **options: Any) -> str:
    """The message of an import that must not begin."""
    with Store[Any](":memory:") as s, pytest.raises(StorageError) as caught:
        import_into(s, kind, url, **options)
    assert caught.value.path is not None and str(caught.value.path) in str(caught.value)
    return str(caught.value)


def test_server_that_is_missing_or_has_no_such_database(redis: RedisServer, source: str) -> None:
    assert "cannot be reached" in failing(f"redis://:secret@127.0.0.1:{free_port()}/0")
    said = failing(source[:-1] + "99")
    assert "no database 99" in said
    said = failing(source)
    assert "no key begins with 'session:'; name the database at the end of the URL" in said
    assert "rediss://" in failing(source.replace("redis://", "rediss://") + "?socket_timeout=0.2")


def test_server_that_is_none_of_redis() -> None:
    pytest.importorskip("redis", reason="redis-py is not installed: sources on a server were not tested")
    import threading

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)

        def answer() -> None:
            try:
                while True:
                    with listener.accept()[0] as taken:
                        said = taken.recv(1000)
                        taken.sendall(b"-ERR unknown command, with args beginning with: " + said.replace(b"\r\n", b" ") + b"\r\n")
            except OSError:
                return

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            said = failing(f"redis://me:sec%20ret@127.0.0.1:{listener.getsockname()[1]}/0")
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(30)
    assert "***" in said and "sec ret" not in said and "sec%20ret" not in said


def test_user_and_password(own_redis: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch) -> None:
    users = {"sees": "on >p1 ~session:a* +@all", "looks": "on >p2 ~* +scan", "cannot": "on >p3 ~* +get"}
    server = own_redis(password="s3cr&t", users=users)
    server.ask("MSET", "session:a", "{}", "session:b", "{}")
    place = f"127.0.0.1:{server.port}/0"
    for wrong in ("", ":wr0ng@", "sees:wr0ng@", "nobody:wr0ng@"):
        said = failing(f"redis://{wrong}{place}")
        assert "refuses the user or the password" in said and "wr0ng" not in said
    assert "asks for a password" in failing(f"redis://{place}")
    assert "lacks a right" in failing(f"redis://cannot:p3@{place}") and "+scan" in failing(f"redis://cannot:p3@{place}")
    with Store[Any](":memory:") as s:
        with pytest.raises(StorageError, match=r"lacks a right .*strlen"):
            list(import_into(s, "flask-session", f"redis://looks:p2@{place}"))
        results = run(s, "flask-session", f"redis://sees:p1@{place}")
        assert results[hashed("session:a")] == ("imported", "")
        assert results[hashed("session:b")][0] == "failed" and "give the user its pattern" in results[hashed("session:b")][1]
        s.clear()
        monkeypatch.setenv("REDISCLI_AUTH", "s3cr&t")
        assert len(run(s, "flask-session", f"redis://{place}")) == 2
        assert len(run(s, "flask-session", f"valkey://:s3cr%26t@{place}")) == 2


def test_tls(own_redis: Callable[..., RedisServer], certificates: Any) -> None:
    server = own_redis(certificates=certificates)
    server.ask("SET", "session:a", "{}")
    url = f"{server.url}?ssl_ca_certs={certificates.authority}"
    with Store[Any](":memory:") as s:
        assert len(run(s, "flask-session", url)) == 1
    assert "cannot be reached" in failing(server.url)
    assert "rediss://" in failing(server.url.replace("rediss", "redis"))


def test_socket_of_this_machine(own_redis: Callable[..., RedisServer], tmp_path: Path) -> None:
    server = own_redis(unixsocket="redis.sock")
    server.ask("SET", "session:a", "{}")
    with Store[Any](":memory:") as s:
        assert len(run(s, "flask-session", f"unix://{server.folder / 'redis.sock'}")) == 1


def test_server_that_dies_keeps_what_came_before_and_is_resumed(own_redis: Callable[..., RedisServer], place: str) -> None:
    server = own_redis(appendonly="yes", appendfsync="always")
    with server.client() as client:
        client.mset({f"session:{number}": "{}" for number in range(3000)})
    with Store[Any](place) as s:
        results = import_into(s, "flask-session", server.url)
        done = [next(results).outcome]
        server.kill()
        with pytest.raises(StorageError, match="cannot be reached"):
            done.extend(one.outcome for one in results)
        assert set(done) == {"imported"} and 0 < len(done) == len(s) < 3000
        server.start()
        again = [one.outcome for one in import_into(s, "flask-session", server.url)]
        assert (again.count("imported"), again.count("unchanged")) == (3000 - len(done), len(done))


@pytest.fixture
def without_hello(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Redis 5 and some services in front of it; redis-py itself would not start on such a server."""
    from redis import Redis, ResponseError

    execute = Redis.execute_command

    def refuse(self: Any, *arguments: Any, **options: Any) -> Any:
        if arguments[0] == "HELLO":
            raise ResponseError("unknown command `HELLO`")
        return execute(self, *arguments, **options)

    monkeypatch.setattr(Redis, "execute_command", refuse)


def test_server_without_hello(redis: RedisServer, source: str, without_hello: None) -> None:
    redis.ask("SET", "session:a", "{}")
    with Store[Any](":memory:") as s:
        assert len(run(s, "flask-session", source)) == 1


def test_sentinel_is_no_source(redis_program: Path, tmp_path: Path) -> None:
    import subprocess

    from redis_server import _end_with_parent

    port = free_port()
    (tmp_path / "sentinel.conf").write_text(f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n")
    running = subprocess.Popen([str(redis_program), str(tmp_path / "sentinel.conf"), "--sentinel"], stdout=subprocess.DEVNULL, preexec_fn=_end_with_parent)  # noqa: PLW1509
    try:
        for _ in range(1000):
            said = failing(f"redis://127.0.0.1:{port}")
            if "cannot be reached" not in said:
                break
        assert "is a Sentinel, which has no data" in said
    finally:
        running.kill()
        running.wait(30)


# -- a cluster


def fill(cluster: RedisCluster, count: int) -> dict[str, Any]:
    from redis.cluster import RedisCluster as Client

    with Client.from_url(cluster.url) as client, client.pipeline() as pipe:
        for number in range(count):
            pipe.set(f"session:{number}", as_json({"n": number}), ex=5000)
        pipe.execute()
    return {hashed(f"session:{number}"): {"n": number} for number in range(count)}


def test_all_nodes_of_a_cluster_are_read(cluster: RedisCluster, tmp_path: Path) -> None:
    expected = fill(cluster, 1500)
    cluster.primary_of("session:hash").ask("HSET", "session:hash", "a", "1")
    for node in (cluster.nodes[0], cluster.nodes[-1]):  # a primary and a replica
        with Store[Any](tmp_path / f"{node.port}.db") as s:
            results = run(s, "flask-session", node.url)
            assert dict(s) == expected
            assert results.pop(hashed("session:hash")) == ("skipped", "it is a hash, not a string, so another program wrote it")
            assert results == dict.fromkeys(expected, ("imported", ""))
            record = s.record(hashed("session:7"))
            assert record.expires is not None and 0 < (record.expires - record.created).total_seconds() < 5000


def test_cluster_has_one_database_and_says_where_nothing_is(cluster: RedisCluster) -> None:
    assert "a cluster has the database 0 alone" in failing(cluster.url[:-1] + "3")
    assert "no key begins with 'session:'" in failing(cluster.url)


@pytest.mark.heavy
def test_slots_that_move_are_reported_and_the_next_import_is_whole(own_cluster: Callable[..., RedisCluster]) -> None:
    cluster = own_cluster(replicas=0)
    expected = fill(cluster, 1500)
    slot = cluster.slot_of("session:7")
    target = next(node for node in cluster.nodes if node is not cluster.primary_of_slot(slot))
    with Store[Any](":memory:") as s:
        move = cluster.begin_move(slot, target)
        with pytest.raises(StorageError, match="slots of the cluster moved while it was read"):
            list(import_into(s, "flask-session", cluster.url))
        move.migrate()
        results = import_into(s, "flask-session", cluster.url)
        next(results)
        move.finish()
        with pytest.raises(StorageError, match="slots of the cluster moved while it was read"):
            list(results)
        assert {one.outcome for one in import_into(s, "flask-session", cluster.url)} <= {"imported", "unchanged"}
        assert dict(s) == expected


def test_cluster_whose_servers_lack_hello(cluster: RedisCluster, without_hello: None) -> None:
    expected = fill(cluster, 300)
    with Store[Any](":memory:") as s:
        run(s, "flask-session", cluster.url)
        assert dict(s) == expected


@pytest.mark.heavy
def test_cluster_that_lacks_a_primary_is_no_half_import(own_cluster: Callable[..., RedisCluster]) -> None:
    cluster = own_cluster(replicas=0)
    fill(cluster, 300)
    cluster.nodes[1].kill()
    with Store[Any](":memory:") as s, pytest.raises(StorageError, match=r"check that|cannot be reached"):
        list(import_into(s, "flask-session", cluster.nodes[0].url + "?socket_timeout=5"))


# -- the command line


def test_command(redis: RedisServer, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    redis.ask("SET", f"shop:2:django.contrib.sessions.cache{KEY}", pickle.dumps({"user": 7}, 0))
    redis.ask("SET", DJANGO + KEY, as_json({"user": 8}))
    path = tmp_path / "sessions.db"
    command = ["import", "django-sessions", source, str(path), "--sessions", "--key-prefix", "shop", "--key-version", "2"]
    assert main([*command, "--dry-run"]) == 0 and not path.exists()
    assert capsys.readouterr().out == "to be imported 1, skipped 1\n"
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert out == "imported 1, skipped 1\n" and err.startswith("store: :1: is skipped: ")
    with Sessions(path) as sessions:
        assert sessions.load(KEY) == {"user": 7}
    assert main(["import", "flask-session", source, str(tmp_path / "app.db"), "--namespace", "old", "--key-prefix", ":1:"]) == 0
    with Store[Any](tmp_path / "app.db", namespace="old") as s:
        assert dict(s) == {hashed(DJANGO + KEY): {"user": 8}}


def test_examples_of_the_help_work(redis: RedisServer, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    from redis import Redis

    with Redis.from_url(source[:-1] + "1") as client:
        client.set(f"shop{DJANGO}{KEY}", "{}")
    redis.ask("SET", "session:a", "{}")
    examples = re.findall(r"`store (import [^`]*redis://[^`]*)`", " ".join((import_.help or "").split()))
    assert len(examples) == 2
    for example in examples:
        assert main(example.replace("redis://localhost:6379/", source[:-1]).split()) == 0


def test_command_stores_objects_of_sessions_as_pickles(redis: RedisServer, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with redis.client() as client:
        client.set(DJANGO + KEY, pickle.dumps({"pair": (1, 2)}))
    command = ["import", "django-sessions", source, str(tmp_path / "sessions.db"), "--sessions"]
    assert main(command) == 1
    assert "use the codec 'pickle'" in capsys.readouterr().err
    assert main([*command, "--codec", "pickle"]) == 0
    with Sessions(tmp_path / "sessions.db", codec="pickle") as sessions:
        assert sessions.load(KEY) == {"pair": (1, 2)}


@pytest.mark.parametrize(
    "code, words, arguments",
    [
        (2, "are read from a server, not the kind 'shelve'", ["shelve", "URL"]),
        (2, "--key-prefix goes with django-sessions and flask-session on a server", ["shelve", "x", "--key-prefix", "a"]),
        (2, "--key-version goes with", ["django-sessions", "x.db", "--key-version", "2"]),
        (2, "go with files, not with sessions on a server", ["django-sessions", "URL", "--session-age", "1h"]),
        (2, "--codec goes with --sessions alone", ["django-sessions", "URL", "--codec", "pickle"]),
        (2, "the URL of a Redis server is", ["flask-session", "redis://:secret@h:x"]),
        (1, "cannot be reached", ["flask-session", "URL"]),
    ],
)
def test_command_that_is_wrong_makes_no_store(code: int, words: str, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("redis", reason="redis-py is not installed: sources on a server were not tested")
    url = f"redis://me:secret@127.0.0.1:{free_port()}/0"
    kind, place, *options = [url if word == "URL" else word for word in arguments]
    assert main(["import", kind, place, str(tmp_path / "app.db"), *options]) == code
    out, err = capsys.readouterr()
    assert words in err and "secret" not in err.replace("--secret-key-file", "") and out == ""
    assert not (tmp_path / "app.db").exists()
