"""Named locks on a server: held here and by another process, and as the server has them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pytest
from postgres_tables import server_url, table

from store import Store
from store.errors import StorageError
from store.opened.locks import Lock

HOLDER = """
    import sys
    from store import Store
    with Store(sys.argv[1]) as s, s.lock("job") as lock:
        print(lock.fence, flush=True)
        input()
    print("1")
    """


def leases(s: Store[Any]) -> Any:
    return s.opened.engine.locks.leases  # type: ignore[union-attr]


def held(s: Store[Any], name: str = "job") -> Lock:
    lock = s.lock(name)
    assert lock.acquire(timeout=0)
    return lock


def fence_of(lock: Lock) -> int:
    assert lock.fence is not None
    return lock.fence


def thread_renewed(patched: pytest.MonkeyPatch) -> threading.Event:
    """An event that is set each time that a thread has renewed leases, which it does many times a second now."""
    from store.engines import leases as module

    done = threading.Event()
    renew = module.Leases._renew

    def renew_and_tell(self: Any, session: Any) -> bool:
        is_done = renew(self, session)
        if is_done and self._held:
            done.set()
        return is_done

    patched.setattr(module.Leases, "_renew", renew_and_tell)
    patched.setattr(module, "RENEWALS", 3000)
    return done


def nothing_renewed(patched: pytest.MonkeyPatch) -> None:
    """Leases that are taken from now on are renewed by the test alone: the thread would come after ten seconds."""
    patched.setattr("store.engines.leases.RENEWALS", 1e-3)


class ServerLocks(Protocol):
    """What an operator sees and changes of the lock `job`, and what its process asks. Time passes by a change."""

    def end_lease(self) -> None:
        """The lease is over, by the server's clock."""

    def seconds_left(self) -> float:
        """Those of the lease, by the server's clock."""

    def has_owner(self) -> bool: ...

    def content(self) -> object:
        """All that the server keeps of it: the same as long as nothing is written."""

    def forget(self) -> None:
        """Nobody held it for so long that the server keeps nothing of it."""

    def renew(self) -> bool:
        """Renew all leases of the store now, as the thread does."""

    def fail_renewals(self, patched: pytest.MonkeyPatch) -> None:
        """The thread's next renewals cannot be asked for."""


class PostgresLocks:
    """The contract `ServerLocks`, by `sql`, which runs a statement on the tables of the store."""

    def __init__(self, s: Store[Any], conn: Any) -> None:
        self._engine: Any = s.opened.engine
        self._conn = conn

    def sql(self, statement: str, *values: Any) -> list[Any]:
        cursor = self._conn.execute(statement, values)
        return [] if cursor.description is None else cursor.fetchall()

    def end_lease(self) -> None:
        self.sql("UPDATE locks SET until = clock_timestamp() - interval '1 second'")

    def seconds_left(self) -> float:
        ((left,),) = self.sql("SELECT extract(epoch FROM until - clock_timestamp()) FROM locks")
        return float(left)

    def has_owner(self) -> bool:
        ((number,),) = self.sql("SELECT count(*) FROM locks WHERE owner IS NOT NULL")
        assert number in (0, 1)
        return bool(number)

    def content(self) -> object:
        return self.sql("SELECT locks.xmin::text, locks.xmax::text, last_value FROM locks, fences")

    def forget(self) -> None:
        self.sql("UPDATE locks SET until = now() - interval '2 hours'")
        self.tidy()
        assert self.sql("SELECT count(*) FROM locks") == [(0,)]

    def tidy(self) -> None:
        """Delete the rows of locks that nobody has held for an hour."""
        self.sql(self._engine.handle.server.lock_statements.tidy)

    def renew(self) -> bool:
        with self.session() as session:
            return bool(self._engine.locks.leases._renew(session))

    @contextmanager
    def session(self) -> Iterator[Any]:
        """A session as the thread has one."""
        from store.engines.postgres.dedicated import Dedicated

        session = Dedicated(self._engine.handle.sessions)
        try:
            yield session
        finally:
            session.close()

    def fail_renewals(self, patched: pytest.MonkeyPatch) -> None:
        from store.engines.postgres.dedicated import Dedicated

        patched.setattr(Dedicated, "run", _fail)


class RedisLocks:
    """The contract `ServerLocks`, by `ask`: `ask("HGET", "owner")` is a command on the key of the lock."""

    def __init__(self, s: Store[Any], operator: Store[Any]) -> None:
        self._engine: Any = s.opened.engine
        self._server: Any = operator.opened.engine.handle.server  # type: ignore[attr-defined]

    def ask(self, command: str, *arguments: Any, name: str = "job") -> Any:
        key = f"{self._server.location.prefix}{{@{name}}}:lock".encode()
        return self._server.command(key, command, key, *arguments)

    def end_lease(self) -> None:
        self.ask("HSET", "until", 1)

    def seconds_left(self) -> float:
        return float(self.ask("HGET", "until")) - float(self._server.now())

    def has_owner(self) -> bool:
        return bool(self.ask("HEXISTS", "owner"))

    def content(self) -> object:
        return self.ask("HGETALL"), self.ask("PEXPIRETIME")

    def forget(self) -> None:
        self.ask("DEL")

    def renew(self) -> bool:
        return bool(self._engine.locks.leases._renew(None))

    def fail_renewals(self, patched: pytest.MonkeyPatch) -> None:
        patched.setattr(self._engine.handle.server, "run", _fail)


def _fail(*_: Any) -> None:
    raise StorageError("away")


@contextmanager
def postgres_locks(s: Store[Any], url: str) -> Iterator[PostgresLocks]:
    import psycopg

    with psycopg.connect(server_url(url), autocommit=True) as conn:
        conn.execute(f"SET search_path TO {table(url, '').partition('.')[0]}")
        yield PostgresLocks(s, conn)


@contextmanager
def redis_locks(s: Store[Any], url: str) -> Iterator[RedisLocks]:
    # By another location to this process, which is open after the last handle on that of `s` is closed.
    with Store[Any](f"{url}&health_check_interval=0") as operator:
        yield RedisLocks(s, operator)


def server_locks(s: Store[Any], url: str) -> Any:
    """A context manager for the locks of the server of that URL."""
    return (postgres_locks if url.startswith("postgres") else redis_locks)(s, url)
