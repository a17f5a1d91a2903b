"""The thread and the connections by which a process is told of entries in streams."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("redis", reason="redis-py is not installed: the engine on Redis was not tested")


from store import Store
from store.engines.redis import hearing, listening
from store.engines.redis.hearing import Hearing

SECONDS = 60


@pytest.fixture
def s(redis_url: str) -> Iterator[Store[Any]]:
    with Store[Any](redis_url) as opened:
        yield opened


class Looks:
    """A monitor that is asked by nobody; tells when it is woken."""

    def __init__(self, s: Store[Any]) -> None:
        self.woken = threading.Event()
        self.monitor = s.opened.engine.changes.watch(s.opened.name)  # type: ignore[union-attr]
        self.monitor.wake_by(self.woken.set)

    def wait(self) -> None:
        assert self.woken.wait(SECONDS)
        self.woken.clear()


@pytest.fixture
def attended(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released each time a connection has begun to wait. Nothing but an entry ends that."""
    begun = threading.Semaphore(0)
    attend = Hearing.attend

    def telling(self: Hearing) -> set[str]:
        was_waiting = self._is_waiting
        heard = attend(self)
        if not was_waiting:
            begun.release()
        return heard

    monkeypatch.setattr(Hearing, "attend", telling)
    monkeypatch.setattr(hearing, "BEAT_SECONDS", 3600.0)
    monkeypatch.setattr(listening, "BEAT_SECONDS", 3600.0)
    return begun


def listening_of(s: Store[Any]) -> Any:
    return s.opened.engine.handle.server.listening  # type: ignore[attr-defined]


def waiting(server: Any, number: int) -> list[dict[str, str]]:
    """The connections of the server that wait for entries, once there are so many."""
    deadline = time.monotonic() + SECONDS
    with server.client() as client:
        while True:
            found = [one for one in client.client_list() if one["cmd"] == "xread" and "b" in one["flags"]]
            if len(found) == number:
                return found
            assert time.monotonic() < deadline, found


def test_entries_wake_a_watch(s: Store[Any], attended: Any) -> None:
    looks = Looks(s)
    for write in (
        lambda: s.update(a=1),
        lambda: s.update(b=1, c=1),
        lambda: s.pop("b"),
        lambda: s.delete_many(["a", "c"]),
        lambda: s.update(d=1),
        s.clear,
        lambda: s.update(e=1),
    ):
        assert attended.acquire(timeout=SECONDS)
        looks.woken.clear()
        write()
        looks.wait()
    looks.monitor.close()


def test_entries_end_the_pause_of_an_iteration(s: Store[Any], attended: Any) -> None:
    found: list[str] = []
    with s.watch(interval=3600) as changes:
        assert attended.acquire(timeout=SECONDS)
        thread = threading.Thread(target=lambda: found.append(next(changes).name))
        thread.start()
        s["a"] = 1
        thread.join(SECONDS)
    assert found == ["a"]


def test_write_between_two_waits_is_heard(s: Store[Any], attended: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(s)
    assert attended.acquire(timeout=SECONDS)
    looks.woken.clear()
    hear = Hearing.hear

    def writing(self: Hearing) -> set[str]:
        heard = hear(self)
        monkeypatch.setattr(Hearing, "hear", hear)
        looks.woken.clear()
        s["late"] = 1
        return heard - {""}

    monkeypatch.setattr(Hearing, "hear", writing)
    s["a"] = 1
    looks.wait()
    looks.monitor.close()


def test_one_thread_and_one_connection_for_all_namespaces_of_a_server(
    s: Store[Any], attended: Any, redis: Any
) -> None:
    before = set(threading.enumerate())
    spaces = [s.within(f"n{number}") for number in range(5)]
    all_of_them = [Looks(one) for one in (s, *spaces, *spaces)]
    (thread,) = set(threading.enumerate()) - before
    group = ("", *(f"n{number}" for number in range(5)))
    while not (one := listening_of(s)._hearings.get(group)) or not one._is_waiting:
        assert attended.acquire(timeout=SECONDS)
    waiting(redis, 1)
    for looks in all_of_them:
        looks.woken.clear()
    spaces[3]["a"] = 1
    all_of_them[4].wait()
    all_of_them[9].wait()
    assert not any(looks.woken.is_set() for looks in all_of_them)
    for looks in all_of_them:
        assert thread.is_alive()
        looks.monitor.close()
    thread.join(SECONDS)
    assert not thread.is_alive()
    waiting(redis, 0)
    for space in spaces:
        space.close()


def test_one_thread_for_all_nodes_of_a_cluster(redis_cluster_url: str, attended: Any) -> None:
    before = set(threading.enumerate())
    with Store[Any](redis_cluster_url) as s:
        spaces = [s.within(f"n{number}") for number in range(5)]
        all_of_them = [Looks(one) for one in spaces]
        (thread,) = set(threading.enumerate()) - before
        for _ in spaces:
            assert attended.acquire(timeout=SECONDS)
        for space, looks in zip(spaces, all_of_them, strict=True):
            looks.woken.clear()
            space["a"] = 1
            looks.wait()
        for space in spaces:
            space.close()
    assert not thread.is_alive(), "the last handle has ended it"


def test_connection_that_is_killed_is_made_again(s: Store[Any], attended: Any, redis: Any) -> None:
    looks = Looks(s)
    for _ in range(3):
        assert attended.acquire(timeout=SECONDS)
        (one,) = waiting(redis, 1)
        looks.woken.clear()
        redis.ask("CLIENT", "KILL", "ID", one["id"])
        looks.wait()  # something may have gone unheard
    assert attended.acquire(timeout=SECONDS)
    looks.woken.clear()
    s["a"] = 1
    looks.wait()
    looks.monitor.close()


def test_node_that_answers_no_more_is_left(
    own_redis: Callable[..., Any], attended: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(hearing, "CONNECT_SECONDS", 0.2)
    server = own_redis()
    with Store[Any](f"{server.url}?prefix=t:") as s:
        looks = Looks(s)
        assert attended.acquire(timeout=SECONDS)
        server.pause()
        while not listening_of(s)._pauses:
            looks.wait()
        server.resume()
        while listening_of(s)._pauses:
            assert attended.acquire(timeout=SECONDS)
        looks.monitor.close()


def test_pauses_grow_while_there_is_no_connection() -> None:
    pause, lengths = None, []
    for _ in range(12):
        pause = listening.Pause(pause)
        lengths.append(pause.seconds)
    assert lengths[:3] == [0.05, 0.1, 0.2] and lengths[-1] == listening.LAST_PAUSE


def test_server_that_comes_back_is_heard_again(own_redis: Callable[..., Any], attended: Any) -> None:
    server = own_redis(appendonly="yes", appendfsync="always")
    with Store[Any](f"{server.url}?prefix=t:", timeout=30) as s:
        s["a"] = 1
        looks = Looks(s)
        assert attended.acquire(timeout=SECONDS)
        server.kill()
        looks.wait()
        server.start()
        assert attended.acquire(timeout=SECONDS)
        looks.woken.clear()
        s["b"] = 1
        looks.wait()
        looks.monitor.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forked_child_watches_by_itself_and_leaves_the_parent_its_own(s: Store[Any], attended: Any) -> None:
    looks = Looks(s)
    assert attended.acquire(timeout=SECONDS)
    child = os.fork()
    if child == 0:
        own = Looks(s)
        if not attended.acquire(timeout=SECONDS):
            os._exit(2)
        own.woken.clear()
        s["child"] = 1
        os._exit(0 if own.woken.wait(SECONDS) else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    looks.wait()
    assert attended.acquire(timeout=SECONDS)
    looks.woken.clear()
    s["parent"] = 1
    looks.wait()
    looks.monitor.close()
