"""The servers that the tests start: what their fixtures promise is so."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis_server
from children import Start
from free_ports import BUS, free_port
from redis_certificates import Certificates
from redis_replicas import Replicated
from redis_server import RedisServer

Own = Callable[..., RedisServer]


def test_shared_server_is_on_loopback_and_loses_nothing_by_eviction(redis: RedisServer) -> None:
    with redis.client() as client:
        assert client.config_get("bind")["bind"] == "127.0.0.1"
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


def test_bus_of_a_port_is_below_those_of_outgoing_connections() -> None:
    assert free_port() + BUS < 32_768


def test_port_that_is_taken_is_changed(own_redis: Own, redis_program: Path, tmp_path: Path) -> None:
    first = own_redis()
    second = RedisServer(tmp_path, redis_program)
    second.port = first.port
    try:
        second.start()
        assert second.port != first.port
        assert second.ask("PING")
    finally:
        second.kill()


def test_password_is_asked_for(own_redis: Own) -> None:
    import redis

    server = own_redis(password="secret")
    assert urlsplit(server.url).password == "secret"
    with server.client(f"redis://127.0.0.1:{server.port}") as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_users_have_their_rules(own_redis: Own) -> None:
    import redis

    server = own_redis(users={"ann": "on >secret ~a:* +@all"})
    with server.client(server.url_of("ann:secret")) as client:
        client.set("a:1", "x")
        with pytest.raises(redis.ResponseError, match="permission"):
            client.set("b:1", "x")


@pytest.mark.parametrize("asks", [False, True], ids=["server alone", "clients too"])
def test_tls(own_redis: Own, certificates: Certificates, asks: bool) -> None:
    import redis

    certificates.asks_clients = asks
    server = own_redis(certificates=certificates)
    assert server.url.startswith("rediss://")
    assert server.ask("PING")
    with server.client(f"redis://127.0.0.1:{server.port}") as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_small_memory_refuses_writes(own_redis: Own) -> None:
    import redis

    server = own_redis(maxmemory="2mb")
    with pytest.raises(redis.OutOfMemoryError):
        for number in range(10):
            server.ask("SET", f"k{number}", "x" * 500_000)


def test_append_only_server_has_its_data_after_a_crash(own_redis: Own) -> None:
    server = own_redis(appendonly="yes", appendfsync="always")
    server.ask("SET", "a", "1")
    server.kill()
    server.start()
    assert server.ask("GET", "a") == "1"


def test_paused_server_answers_when_it_is_resumed(own_redis: Own) -> None:
    import redis

    server = own_redis()
    with server.client() as client, server.client(socket_timeout=0.05) as impatient:
        client.ping()
        server.pause()
        with pytest.raises(redis.TimeoutError):
            impatient.ping()
        server.resume()
        assert client.ping() and server.ask("PING")


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from redis_server import RedisServer
server = RedisServer(Path(sys.argv[2]), Path(sys.argv[3]))
server.start()
print(server.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="others have no signal at the end of a parent")
def test_server_ends_with_a_test_run_that_is_killed(redis_program: Path, tmp_path: Path, start: Start) -> None:
    run = start(KILLED, Path(redis_server.__file__).parent, tmp_path, redis_program)
    server, deadline = Path(f"/proc/{int(run.hear())}/stat"), time.monotonic() + 30
    assert run.process.wait(30) == -signal.SIGKILL
    while _is_running(server):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_running(stat: Path) -> bool:
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_most_advanced_replica_is_promoted(replicated: Callable[..., Replicated]) -> None:
    group = replicated(replicas=2)
    group.primary.ask("SET", "a", "1")
    assert group.primary.ask("WAIT", 2, 10_000) == 2
    behind = group.replicas[0]
    group.cut_off(behind)
    with group.primary.client() as client:
        client.set("a", "2")
        assert client.wait(1, 10_000) == 1
    dead = group.primary
    dead.kill()
    behind.resume()
    assert behind.ask("GET", "a") == "1"
    group.promote()
    assert group.primary.ask("GET", "a") == behind.ask("GET", "a") == "2"
    group.rejoin(dead)
    assert dead.ask("GET", "a") == "2"


def test_primary_that_is_killed_has_a_successor(replicated: Callable[..., Replicated]) -> None:
    group = replicated(replicas=1)
    group.primary.ask("SET", "a", "1")
    group.wait_until_ok()
    url = group.url
    dead = group.fail_over()
    assert group.url != url
    assert (group.primary.ask("GET", "a"), group.replicas) == ("1", [])
    group.rejoin(dead)
    assert dead.ask("GET", "a") == "1"
