"""Through pgbouncer in transaction mode, where all clients share two sessions of the server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from postgres_pooler import SESSIONS

from store import Store
from store.errors import LockTimeout

THREADS = 6
DISTURBED = {
    "default_transaction_isolation": "serializable",
    "search_path": "elsewhere",
    "synchronous_commit": "off",
    "lock_timeout": "1ms",
}


@pytest.fixture
def s(pgbouncer_url: str) -> Iterator[Store[Any]]:
    with Store[Any](pgbouncer_url) as opened:
        yield opened


def is_pooled(store: Store[Any]) -> bool:
    return bool(store.opened.engine.handle.sessions.is_pooled)


@contextmanager
def every_session(url: str) -> Iterator[list[Any]]:
    """A connection of the driver to each session behind the pooler, in transactions, so that they cannot be the same."""
    import psycopg

    with ExitStack() as opened:
        conns = [opened.enter_context(psycopg.connect(url.partition("?")[0], prepare_threshold=None)) for _ in range(SESSIONS)]
        for conn in conns:
            conn.execute("SELECT 1")
        yield conns


def test_pooler_is_recognised(s, postgres_url, pgbouncer_url):
    assert is_pooled(s)
    with Store(postgres_url) as direct, Store(f"{postgres_url}&pooler=none") as told:
        assert not is_pooled(direct)
        assert not is_pooled(told)
    with Store(f"{postgres_url}&pooler=transaction") as told:
        assert is_pooled(told)
        told["a"] = 1
        assert told["a"] == 1
    with pytest.raises(ValueError, match="transaction or none"):
        Store(f"{postgres_url}&pooler=session")


def test_nothing_is_left_in_the_sessions_that_others_share(s, pgbouncer_url):
    with every_session(pgbouncer_url) as conns:
        before = [_settings(conn) for conn in conns]
    for number in range(20):
        s[f"name:{number}"] = number
        s.incr("count")
        assert s[f"name:{number}"] == number
    with every_session(pgbouncer_url) as conns:
        assert sorted(map(_settings, conns)) == sorted(before)
        for conn in conns:
            assert conn.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
            assert conn.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)


def _settings(conn: Any) -> tuple[str, ...]:
    return tuple(conn.execute(f"SHOW {name}").fetchone()[0] for name in DISTURBED)


def test_settings_that_another_client_left_in_a_session_do_not_count(s, pgbouncer_url):
    with every_session(pgbouncer_url) as conns:
        for conn in conns:
            for name, value in DISTURBED.items():
                conn.execute(f"SET {name} = '{value}'")
            conn.commit()
    try:
        s["a"] = 1
        with s.transaction():
            s["b"] = s["a"] + 1
            conn = s.opened.engine.handle.server.visitors.current().conn
            assert _settings(conn)[1:] == ("pg_catalog, pg_temp", "local", "1min")
            assert conn.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
        assert dict(s) == {"a": 1, "b": 2}
    finally:
        with every_session(pgbouncer_url) as conns:
            for conn in conns:
                conn.execute("RESET ALL")
                conn.commit()


def test_clients_that_share_sessions_lose_no_edit(pgbouncer_url):
    with Store[Any](pgbouncer_url) as s:
        s.update({"count": 0, "list": []})
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with Store[Any](pgbouncer_url) as s:
                for step in range(5):
                    s.incr("count")
                    with s.edit("list") as value:
                        value.append((number, step))
                    with s.transaction():
                        s[f"of:{number}"] = s.get(f"of:{number}", 0) + 1
        except BaseException as exc:
            failed.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with Store[Any](pgbouncer_url) as s:
        assert s["count"] == THREADS * 5
        assert sorted(s["list"]) == [(number, step) for number in range(THREADS) for step in range(5)]
        assert [s[f"of:{number}"] for number in range(THREADS)] == [5] * THREADS


def test_rolled_back_transaction_leaves_nothing_and_the_handle_works_on(s):
    s["a"] = 1
    with pytest.raises(ZeroDivisionError), s.transaction():
        s["a"] = 2
        assert s["a"] == 2
        1 / 0
    assert s["a"] == 1


def test_waiting_for_a_lock_ends_by_the_timeout(s, pgbouncer_url):
    s["a"] = 1
    with Store[Any](pgbouncer_url, timeout=0.2) as other, s.transaction():
        s["a"] = 2
        with ThreadOf(lambda: other.__setitem__("a", 3)) as thread:
            pass
        assert isinstance(thread.error, LockTimeout)
    assert s["a"] == 2


def test_clock_is_not_measured_by_a_second_connection_inside_a_transaction(s, monkeypatch):
    server = s.opened.engine.handle.server
    take, taken = server.sessions.take, []
    monkeypatch.setattr(server.sessions, "take", lambda *args, **how: taken.append(1) or take(*args, **how))
    with s.transaction():
        monkeypatch.setattr(server, "_offset_at", -1e9)
        s["a"] = s.get("b", 0)
        assert len(taken) == 1  # that of the transaction
        assert server._offset_at > 0
    assert s["a"] == 0


class ThreadOf:
    """Runs something in a thread for a block; `error` is what it raised."""

    def __init__(self, work: Any) -> None:
        self._work = work
        self.error: BaseException | None = None

    def __enter__(self) -> ThreadOf:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as exc:
            self.error = exc


def test_large_values_and_maintenance(s, tmp_path):
    big = bytes(3 << 20)
    s["big"], s["small"] = big, 1
    assert s["big"] == big and s.verify().files == []
    s["big"] = big[1:]
    s.compact()
    s.backup(str(tmp_path / "backup.db"))
    with Store[Any](str(tmp_path / "backup.db"), mode="r") as backup:
        assert backup | {} == {"big": big[1:], "small": 1}


def test_snapshot_of_one_moment(s, tmp_path):
    """Each transaction has another session, so a snapshot is one transaction."""
    from store.engines.postgres.snapshot import Snapshot

    s["a"] = 1
    with Snapshot(s.opened.engine.handle) as snapshot:
        assert [row.name for row in snapshot.rows()] == ["a"]
        s["b"] = 2
        assert [row.name for row in snapshot.rows()] == ["a"]
