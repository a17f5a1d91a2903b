"""A server that restarts, is full, ends sessions or has none left; and forks with open sessions."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from postgres_server import PostgresServer, new_folder, programs

from store import Store
from store.errors import LockTimeout, StorageError, StoreError


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that the test may stop."""
    pytest.importorskip("psycopg", reason="ENGINE postgres CANNOT BE HAD HERE: psycopg is not installed")
    found = programs()
    if found is None:
        pytest.skip("ENGINE postgres CANNOT BE HAD HERE: no PostgreSQL server is installed")
    folder = new_folder()
    server = PostgresServer(folder, free_port(), found, fsync="on")
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


def admin(url: str, *statements: str) -> list[Any]:
    import psycopg

    with psycopg.connect(url.partition("?")[0], autocommit=True) as conn:
        rows: list[Any] = []
        for statement in statements:
            cursor = conn.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
        return rows


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
def test_server_restarts_between_operations(own_server: PostgresServer, how: signal.Signals) -> None:
    with Store[Any](own_server.url, timeout=60) as s:
        s["a"] = 1
        own_server.stop(how)
        own_server.start()
        assert s["a"] == 1
        s["a"] = 2
        own_server.stop(how)
        own_server.start()
        s["a"] = 3
        own_server.stop(how)
        own_server.start()
        with s.transaction():  # begins on another connection
            s["a"] += 1
        assert s["a"] == 4


def test_operation_waits_for_a_server_that_restarts(own_server: PostgresServer) -> None:
    with Store[Any](own_server.url, timeout=60) as s:
        s["a"] = 1
        own_server.stop(signal.SIGINT)
        writing = threading.Thread(target=s.__setitem__, args=("a", 2))
        writing.start()
        own_server.start()  # in this thread: the server ends with the one that started it
        writing.join(60)
        assert s["a"] == 2


def test_transaction_ends_with_the_server(own_server: PostgresServer) -> None:
    with Store[Any](own_server.url, timeout=60) as s:
        s["a"] = 1
        with pytest.raises(StorageError, match="nothing of it was kept"):
            with s.transaction():
                s["a"] = 2
                own_server.stop(signal.SIGINT)
                s["b"] = 2
        own_server.start()
        assert dict(s) == {"a": 1}


def test_server_that_is_down_is_named_without_a_password(own_server: PostgresServer) -> None:
    url = own_server.url.replace("postgres@", "postgres:geheim@")
    own_server.stop(signal.SIGINT)
    with pytest.raises(StorageError, match="cannot be reached") as caught:
        Store(url, timeout=60)  # at once: another URL may be right
    assert "geheim" not in str(caught.value) and "geheim" not in repr(caught.value.__cause__)
    own_server.start()
    with Store[Any](url, timeout=1) as s:
        s["a"] = 1
        own_server.stop(signal.SIGINT)
        with pytest.raises(StorageError, match="nothing was written"):
            s["a"] = 2
        with pytest.raises(StorageError, match="cannot be reached"):
            s["a"]
        with pytest.raises(StorageError, match="cannot be reached"), s.transaction():
            pass
        own_server.start()
        assert s["a"] == 1


def small_disk(folder: Path) -> Path | None:
    """A file system of 16 MB that the server may write; None: it may not be mounted here."""
    place = folder / "small"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=16m,mode=0777", "tmpfs", str(place)]
    if shutil.which("mount") and subprocess.run(["mount", *options], check=False, capture_output=True).returncode == 0:
        return place
    return None


def test_disk_of_the_server_is_full(own_server: PostgresServer) -> None:
    place = small_disk(own_server.folder)
    if place is None:
        pytest.skip("A FULL DISK OF THE SERVER CANNOT BE HAD HERE: no small file system may be mounted")
    try:
        (place / "space").mkdir(mode=0o700)
        (place / "other").write_bytes(bytes(2**20))
        shutil.chown(place / "space", own_server.folder.stat().st_uid, own_server.folder.stat().st_gid)
        admin(
            own_server.url,
            f"CREATE TABLESPACE small LOCATION '{place / 'space'}'",
            "ALTER ROLE postgres SET default_tablespace = 'small'",
        )
        with Store[Any](own_server.url, timeout=60) as s:
            s["kept"] = 1
            with pytest.raises(StorageError, match="no space left") as caught:
                for number in range(1000):
                    s[f"large:{number}"] = os.urandom(1_000_000)
            assert caught.value.errno == errno.ENOSPC
            assert s["kept"] == 1
            full = len(s)
            with pytest.raises(StorageError, match="no space left"), s.transaction():
                s["kept"] = 2
                for number in range(1000):
                    s[f"more:{number}"] = os.urandom(1_000_000)
            assert s["kept"] == 1 and len(s) == full
            (place / "other").unlink()  # somebody makes room
            s.delete_prefix("large:")
            admin(own_server.url, "VACUUM store.records")
            s["kept"] = 3
            assert dict(s) == {"kept": 3}
    finally:
        own_server.stop(signal.SIGQUIT)
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def role_url(postgres: PostgresServer, postgres_url: str) -> Iterator[str]:
    """The URL of a store that belongs to a role of its own."""
    schema = postgres_url.partition("schema=")[2]
    admin(postgres_url, f"CREATE ROLE r_{schema} LOGIN", f"GRANT CREATE ON DATABASE postgres TO r_{schema}")
    yield postgres_url.replace("postgres@", f"r_{schema}@", 1)
    admin(postgres_url, f"DROP OWNED BY r_{schema} CASCADE", f"DROP ROLE r_{schema}")


def role_of(url: str) -> str:
    return url.partition("//")[2].partition("@")[0]


def set_for_role(url: str, setting: str) -> None:
    """Have sessions of the role of a URL begin with a setting, or without; those that there are end."""
    admin(
        url.replace(role_of(url), "postgres", 1),
        f"ALTER ROLE {role_of(url)} {setting}",
        f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = '{role_of(url)}'",
    )


def test_statement_timeout_of_the_role(role_url: str) -> None:
    """It is there only where a statement is to be ended: on a busy machine any may take as long."""
    admin_url = role_url.replace(role_of(role_url), "postgres", 1)
    with Store[Any](role_url, timeout=60) as s, Store[Any](admin_url, timeout=60) as other:
        s["a"] = 1
        other["a"] = 1
        with other.transaction():
            other["a"] = 2
            set_for_role(role_url, "SET statement_timeout = '300ms'")
            with pytest.raises(StorageError, match="statement_timeout") as caught:
                in_thread(lambda: s.__setitem__("a", 3))
            assert "nothing of it was kept" in str(caught.value)
        assert other["a"] == 2
        with other.transaction():
            with pytest.raises(StorageError, match="statement_timeout"):
                in_thread(lambda: s.incr("a"))
        set_for_role(role_url, "RESET statement_timeout")
        assert s.incr("a") == 3


def test_idle_transaction_is_ended_by_the_server(role_url: str) -> None:
    admin_url = role_url.replace(role_of(role_url), "postgres", 1)
    with Store[Any](role_url, timeout=60) as s:
        s["a"] = 1
        set_for_role(role_url, "SET idle_in_transaction_session_timeout = '100ms'")
        with pytest.raises(StorageError, match="nothing of it was kept"), s.transaction():
            s["a"] = 2
            while admin(admin_url, f"SELECT 1 FROM pg_stat_activity WHERE usename = '{role_of(role_url)}'"):
                pass
            s["b"] = 2
        with pytest.raises(StorageError, match="nothing of it was kept"), s.transaction():
            s["a"] = 2
            while admin(admin_url, f"SELECT 1 FROM pg_stat_activity WHERE usename = '{role_of(role_url)}'"):
                pass
        assert dict(s) == {"a": 1}


def in_thread(call: Any) -> None:
    """Call it in a thread of its own: this one is in a transaction. Raises what it raises."""
    caught: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as exc:
            caught.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if caught:
        raise caught[0]


def test_all_connections_are_in_use(postgres_url: str) -> None:
    with Store[Any](postgres_url + "&pool_size=1", timeout=0.05) as s:
        s["a"] = 1
        with s.transaction():
            s["a"] = 2
            with pytest.raises(LockTimeout, match="raise pool_size") as caught:
                in_thread(lambda: s["a"])
            assert "all 1 connections" in str(caught.value)
            assert s["a"] == 2
        in_thread(lambda: s.__setitem__("b", 3))
        assert dict(s) == {"a": 2, "b": 3}


def test_connection_that_is_collected_frees_its_place(postgres_url: str) -> None:
    """As after an interrupt between two instructions."""
    with Store[Any](postgres_url + "&pool_size=1", timeout=60) as s:
        sessions = s.opened.engine.handle.sessions
        sessions.pool().close()
        sessions.take(60)
        gc.collect()
        s["a"] = 1
        assert s["a"] == 1


def test_waiters_get_connections_in_turn(postgres_url: str) -> None:
    with Store[Any](postgres_url + "&pool_size=2", timeout=60) as s:
        s["n"] = 0

        def work() -> None:
            for _ in range(20):
                s.incr("n")

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert s["n"] == 160


def in_child(call: Any) -> int:
    """The exit code of a forked child that calls it: 0 if it returns True."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if call() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_fork_with_open_connections(postgres_url: str) -> None:
    with Store[Any](postgres_url, timeout=60) as s:
        s["a"] = 1

        def child() -> bool:
            import gc

            s["child"] = s["a"]
            gc.collect()
            s.close()
            return True

        assert in_child(child) == 0
        assert s["child"] == 1
        s["a"] = 2
        assert in_child(lambda: s["a"] == 2) == 0


def test_fork_in_a_transaction(postgres_url: str) -> None:
    with Store[Any](postgres_url, timeout=60) as s:
        s["a"] = 1

        def child() -> bool:
            # It reads what is committed, and the block of the parent is not its own.
            return s["a"] == 1

        with s.transaction():
            s["a"] = 2
            assert in_child(child) == 0
            assert s["a"] == 2
        assert s["a"] == 2


def test_fork_that_leaves_the_block_in_the_child(postgres_url: str) -> None:
    with Store[Any](postgres_url, timeout=60) as s:
        s["a"] = 1
        pid = -1
        code = 1
        try:
            with s.transaction():
                s["a"] = 2
                pid = os.fork()
            if pid == 0:
                code = 2  # the child's block must not end as if it had been committed by it
        except StoreError as exc:
            code = 0 if "nothing of it was kept" in str(exc) else 3
        finally:
            if pid == 0:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert s["a"] == 2
