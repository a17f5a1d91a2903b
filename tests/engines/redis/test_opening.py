"""What is checked when a store is opened: each error says what to do, and doing it works."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("redis", reason="redis-py is not installed: the engine on Redis was not tested")

from free_ports import free_port
from redis_certificates import Certificates
from redis_cluster import NOTICING_MS, RedisCluster
from redis_fakes import ending, http, listening, protected, saying, silent
from redis_replicas import Replicated
from redis_server import RedisServer, hurried, without_pauses

from store import Store
from store.engines.redis.errors import RIGHTS
from store.engines.redis.health import Health, parsed
from store.errors import ReadOnly, StorageError, StoreNotFound, Unsupported

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def driver(request: pytest.FixtureRequest) -> None:
    if "redis" not in request.config.getoption("--engine"):
        pytest.skip("--engine does not name redis")


# -- what answers is no server


@pytest.mark.parametrize(("serve", "says", "quickly"), [
    (http, "no Redis or Valkey server .*check host and port", without_pauses),
    (ending, "cannot be reached.*if it speaks TLS, use rediss://", without_pauses),
    (silent, "cannot be reached.*Check that it is up", hurried),
    (protected, "protected mode.*requirepass.*or set protected-mode no", without_pauses),
])  # fmt: skip
def test_what_is_no_server(serve: Any, says: str, quickly: Any) -> None:
    with listening(serve) as port:
        with quickly(), pytest.raises(StorageError, match=says) as caught:  # not for ever: pytest's timeout bounds it
            Store(f"redis://:geheim@127.0.0.1:{port}/0", timeout=0.5)
        assert "geheim" not in str(caught.value) and str(port) in str(caught.value)


def test_port_where_nobody_listens() -> None:
    with without_pauses(), pytest.raises(StorageError, match=r"cannot be reached.*\(.*refused.*\).*Check that it is up"):
        Store(f"redis://127.0.0.1:{free_port()}/0")


def test_the_next_host_of_the_url_is_asked(redis: RedisServer, redis_url: str) -> None:
    url = redis_url.replace("127.0.0.1", f"127.0.0.1:{free_port()},127.0.0.1")
    with Store[Any](url) as s:
        s["a"] = 1
    with Store[Any](redis_url) as s:
        assert s["a"] == 1


# -- its version and its settings


@pytest.mark.parametrize("version", ["6.2.14", "5.0", "garbage"])
def test_server_that_is_too_old(version: str) -> None:
    with (
        listening(saying(redis_version=version)) as port,
        pytest.raises(Unsupported, match=f"is version {version}.*Redis 7.0 or later, or Valkey; upgrade"),
    ):
        Store(f"redis://127.0.0.1:{port}/0")


@pytest.mark.parametrize("version", ["7.0.0", "7.0", "10.1.2"])
def test_server_that_is_new_enough(version: str) -> None:
    with listening(saying(redis_version=version)) as port:
        Store(f"redis://127.0.0.1:{port}/0").close()


def test_sentinel_is_no_server_of_records() -> None:
    told = parsed(b"# Server\r\nredis_version:7.0.15\r\nredis_mode:sentinel\r\n")
    with pytest.raises(StorageError, match=r"a Sentinel.*name all servers that it watches.*redis://a:6379,b:6379"):
        Health([told], None, None).check("redis://s:26379")


def test_server_that_evicts(own_redis: Callable[..., RedisServer]) -> None:
    server = own_redis(maxmemory_policy="allkeys-lru")
    with pytest.raises(StorageError, match="CONFIG SET maxmemory-policy noeviction"):
        Store(server.url)
    server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    Store(server.url).close()


def test_server_that_keeps_nothing_on_its_disk(own_redis: Callable[..., RedisServer]) -> None:
    server = own_redis(save='""')
    with pytest.warns(UserWarning, match=r"keeps nothing on its disk.*CONFIG SET appendonly yes") as caught:
        Store(server.url).close()
    assert caught[0].filename == __file__
    Store(server.url, mode="r").close()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*keeps nothing on its disk")  # as the message says
        Store(server.url).close()
    server.ask("CONFIG", "SET", "appendonly", "yes")  # as it says too
    Store(server.url).close()


def test_replica_keeps_what_the_primary_does_not(replicated: Callable[..., Replicated]) -> None:
    Store(replicated(replicas=1, save='""').url).close()


# -- the user, the database


def test_password_that_is_wrong_or_missing(own_redis: Callable[..., RedisServer]) -> None:
    server = own_redis(password="geheim")
    for user in (":falsch", "", "nobody:geheim"):
        with pytest.raises(ReadOnly, match=r"refused the user.*redis://:password@host") as caught:
            Store(server.url_of(user))
        assert "geheim" not in str(caught.value) and "falsch" not in str(caught.value)
    Store(server.url_of(":geheim")).close()


def test_password_where_the_server_asks_for_none(own_redis: Callable[..., RedisServer]) -> None:
    server = own_redis()
    with pytest.raises(ReadOnly, match="asks for no password, so leave that out of the URL"):
        Store(server.url_of(":geheim"))


def test_database_that_is_not_there(own_redis: Callable[..., RedisServer]) -> None:
    server = own_redis(databases="2")
    with pytest.raises(StorageError, match="no database of that number; give another one in the URL"):
        Store(server.url.replace("/0", "/2"))
    Store(server.url.replace("/0", "/1")).close()


def test_database_other_than_0_of_a_cluster(redis_cluster: RedisCluster) -> None:
    with pytest.raises((StorageError, ValueError), match="a cluster has the database 0 only; leave it out"):
        Store(redis_cluster.url.replace("/0", "/1"))
    Store(redis_cluster.url.replace("/0", "")).close()


def operate(s: Store[Any]) -> None:
    """Each kind of operation."""
    s["a"] = 1
    s.update(b=2, c={"n": 1})
    assert s["a"] == 1 and len(s) == 3 and s.get_many(["a", "b"]) == {"a": 1, "b": 2}
    assert list(s.names("")) == ["a", "b", "c"] and dict(s.items()) == {"a": 1, "b": 2, "c": {"n": 1}}
    s.put("d", 1, ttl=100)
    assert s.incr("a") == 2 and s.pop("b") == 2 and s.delete_many(["d"]) == 1
    with s.edit("c") as value:
        value["n"] = 2
    with s.transaction():
        s["e"] = s["a"]
    if s.opened.engine.locks is not None:
        with s.lock("one"):
            s["f"] = 1
    s.purge()
    s.verify()
    with s.within("other") as other:
        other["a"] = 1
        assert "other" in s.namespaces()
        other.clear()
    s.clear()


def test_user_with_the_rights_that_the_error_names(own_redis: Callable[..., RedisServer]) -> None:
    server = own_redis(users={
        "app": "on >secret ~app:* -@all +info +client +select +hello",
        "full": "on >secret ~app:* &* +@all",
    })  # fmt: skip
    url = server.url_of("app:secret") + "?prefix=app:"
    with pytest.raises(ReadOnly, match=r"may not do that.*These rights suffice") as caught:
        Store(url)
    rights = str(caught.value).partition("~store:* ")[2]
    assert rights == RIGHTS
    server.ask("ACL", "SETUSER", "app", *rights.split())
    with Store[Any](url) as s:
        operate(s)
    with pytest.raises(ReadOnly, match="may not do that"):
        Store(url.replace("prefix=app:", "prefix=another:"))
    _each_right_is_needed(server, url)


def _each_right_is_needed(server: RedisServer, url: str) -> None:
    """Of those that are not of clusters or of servers with other commands."""
    for right in RIGHTS.split():
        if "cluster" in right or right in ("+@connection", "-@dangerous", "+config|get"):
            continue
        server.ask("ACL", "SETUSER", "app", "reset", "on", ">secret", "~app:*", *RIGHTS.split(), "-" + right[1:])
        server.ask("SCRIPT", "FLUSH")
        with pytest.raises(ReadOnly), Store[Any](url) as s:
            operate(s)
            pytest.fail(f"{right} is not needed")


def test_user_with_those_rights_on_a_cluster(own_cluster: Callable[..., RedisCluster]) -> None:
    cluster = own_cluster(replicas=0)
    for node in cluster.nodes:
        node.ask("ACL", "SETUSER", "app", "on", ">secret", "~app:*", *RIGHTS.split())
    url = cluster.url.replace("redis://", "redis://app:secret@") + "?prefix=app:"
    with Store[Any](url) as s:
        operate(s)


# -- TLS


def test_tls(own_redis: Callable[..., RedisServer], certificates: Certificates) -> None:
    server = own_redis(certificates=certificates)
    with pytest.raises(StorageError, match=r"no TLS connection.*\?ssl_ca_certs=file"):
        Store(server.url)
    with pytest.raises(StorageError, match="if it speaks TLS, use rediss://"):
        Store(server.url.replace("rediss:", "redis:"))
    with Store[Any](f"{server.url}?ssl_ca_certs={certificates.authority}") as s:
        operate(s)


def test_tls_with_a_certificate_of_the_client(own_redis: Callable[..., RedisServer], certificates: Certificates) -> None:
    certificates.asks_clients = True
    server = own_redis(certificates=certificates)
    url = f"{server.url}?ssl_ca_certs={certificates.authority}"
    with pytest.raises(StorageError, match=r"ssl_certfile= and ssl_keyfile="):
        Store(url)
    key = certificates.client.with_suffix(".key")
    with Store[Any](f"{url}&ssl_certfile={certificates.client}&ssl_keyfile={key}") as s:
        operate(s)


def test_tls_where_the_server_has_none(redis: RedisServer) -> None:
    with without_pauses(), pytest.raises(StorageError, match="has no TLS on this port, use redis://"):
        Store(redis.url.replace("redis:", "rediss:"))


# -- replicas


def test_replica_is_read_only(replicated: Callable[..., Replicated]) -> None:
    group = replicated(replicas=1)
    (replica,) = group.replicas
    with pytest.raises(StoreNotFound, match=r'check the prefix and the database of the URL; mode="c" makes one'):
        Store(replica.url, mode="r")
    with Store[Any](group.url) as s:
        s.update(a=1, b=[2])
        group.wait_until_ok()
    with without_pauses(), pytest.raises(ReadOnly, match=r'this server is a replica.*mode="r"'):
        Store(replica.url, timeout=0.5)
    with Store[Any](replica.url, mode="r") as s:
        assert dict(s.items()) == {"a": 1, "b": [2]} and s["a"] == 1 and len(s) == 2
        assert list(s.namespaces()) == [""] or not s.namespaces()
        with pytest.raises(ReadOnly, match='opened with mode="r"'):
            s["a"] = 2


def test_primary_beside_its_replica_in_the_url(replicated: Callable[..., Replicated]) -> None:
    group = replicated(replicas=1)
    url = f"redis://127.0.0.1:{group.replicas[0].port},127.0.0.1:{group.primary.port}/0"
    with Store[Any](url) as s:
        operate(s)


def test_replica_without_its_primary(replicated: Callable[..., Replicated]) -> None:
    group = replicated(replicas=1)
    (replica,) = group.replicas
    with Store[Any](group.url) as s:
        s["a"] = 1
        group.wait_until_ok()
    replica.ask("CONFIG", "SET", "replica-serve-stale-data", "no")
    group.primary.kill()
    with without_pauses(), pytest.raises(StorageError, match=r"has lost its primary.*name another server"):
        while True:  # until it has noticed
            Store(replica.url, mode="r", timeout=0.5).close()


# -- a server that is not ready


def test_server_that_loads_its_data(own_redis: Callable[..., RedisServer]) -> None:
    """It is waited for, within the timeout; then the error says what to do."""
    server = own_redis()
    with Store[Any](server.url) as s:
        s.update({str(number): number for number in range(1000)})
    server.ask("MSET", *[part for number in range(300) for part in (f"other:{number}", "x" * 10_000)])
    server.ask("SAVE")
    server.kill()
    server.settings["key-load-delay"] = "5000"  # microseconds for each key
    server.settings["loading-process-events-interval-bytes"] = "1024"
    server.start(wait=False)
    while not server.has_ended and not is_loading(server):
        time.sleep(0.001)
    with Store[Any](server.url, timeout=60) as s:
        assert len(s) == 1000


def is_loading(server: RedisServer) -> bool:
    import redis

    try:
        server.ask("PING")
    except redis.exceptions.BusyLoadingError:
        return True
    except redis.RedisError:
        return False
    raise AssertionError("it has loaded all before the test could look")


def test_error_of_a_server_that_loads() -> None:
    import redis

    from store.engines.redis.errors import translated

    error = translated(redis.exceptions.BusyLoadingError("LOADING Redis is loading the dataset in memory"), "redis://x")
    assert "still loading its data; try again, or open the store with a longer timeout" in str(error)


def test_cluster_that_is_down(own_cluster: Callable[..., RedisCluster]) -> None:
    cluster = own_cluster(replicas=0, timeout_ms=NOTICING_MS)
    lost = cluster.nodes[2]
    lost.kill()
    first = cluster.nodes[0]
    cluster.wait(lambda: first.ask("CLUSTER INFO")["cluster_state"] == "fail", "failed")
    with without_pauses(), pytest.raises(StorageError, match=r"(the cluster is down|does not serve all its slots).*CLUSTER INFO"):
        Store(cluster.url, timeout=0.5)
    cluster.restart()
    Store(cluster.url).close()


def test_cluster_that_comes_up_meanwhile(own_cluster: Callable[..., RedisCluster], start: Any) -> None:
    cluster = own_cluster(replicas=0, timeout_ms=NOTICING_MS)
    cluster.nodes[2].kill()
    first = cluster.nodes[0]
    cluster.wait(lambda: first.ask("CLUSTER INFO")["cluster_state"] == "fail", "failed")
    cluster.nodes[2].launch()
    with Store[Any](cluster.url, timeout=60) as s:
        operate(s)


def test_another_store_in_place_of_the_open_one(redis: RedisServer, redis_url: str) -> None:
    import store

    with Store[Any](redis_url) as s:
        s["a"] = 1
        redis.ask("FLUSHALL")
        with pytest.raises(StorageError, match="close all its handles"):
            Store(redis_url)
    store.destroy(redis_url)
    with Store[Any](redis_url) as s:
        s["a"] = 2
