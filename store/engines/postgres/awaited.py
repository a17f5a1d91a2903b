"""Connections and pools that wait in an event loop, with the interface of those that block a thread.

`AsyncStore` runs the engine in greenlets (`store.system.awaiting`). Opened there, a `Server` has these in place of
`sessions.Blocking`: psycopg's `AsyncConnectionPool` opens, keeps and closes the sessions, and the engine uses each
through a `Connection` on the same session, whose waiting is done `InLoop`.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Iterable, Mapping
from itertools import count
from typing import Any, TypeVar
from weakref import WeakSet

import psycopg
from psycopg.abc import PQGen
from psycopg_pool import AsyncConnectionPool

from store.engines.postgres.connection import Connection
from store.engines.postgres.sessions import SETTINGS, Sessions
from store.system import awaiting, reentry
from store.system.clock import steady_clock

T = TypeVar("T")

_INTERVAL_SECONDS = 0.1  # psycopg's own, after which it looks whether the socket was closed
CONNECT_SECONDS, CLOSE_SECONDS = 10.0, 5.0
_numbers = count(1)


class Carrier(psycopg.AsyncConnection[Any]):
    """Has the session; the engine uses it through the `facade`."""

    facade: Connection | None = None


class InLoop:
    """The contract `connection.Waiting`: the event loop waits for the server.

    The task that is cancelled in a statement cancels it on the server, and waits until it has ended there: nothing is
    written later. Where the server cannot be reached for five seconds, the connection is closed.
    """

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier
        self.finishing = awaiting.finishing

    def wait(self, gen: PQGen[T]) -> T:
        result: T = awaiting.wait(self.carrier.wait(gen, _INTERVAL_SECONDS))
        return result


class Awaited:
    """Makes the connections and pools of one event loop; the contract `sessions.Connecting`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def connect(self, arguments: Mapping[str, Any]) -> Connection:
        try:
            carrier = awaiting.wait(Carrier.connect(autocommit=True, **arguments))
        except asyncio.CancelledError as exc:
            traceback.clear_frames(exc.__traceback__)  # only they refer to the session, which ends with them
            raise
        try:
            return connection_of(carrier)
        except BaseException:
            carrier.pgconn.finish()
            raise

    def pool(self, sessions: Sessions) -> AwaitedPool:
        return AwaitedPool(self._loop, sessions)


class AwaitedPool:
    """An `AsyncConnectionPool` with the methods of `sessions.Connections`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sessions: Sessions) -> None:
        self._loop, self._sessions = loop, sessions
        self._carriers: WeakSet[Carrier] = WeakSet()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_open = False
        self._name = f"store-{next(_numbers)}"
        conninfo, *settings = sessions.arguments(steady_clock() + CONNECT_SECONDS).items()
        self._pool = AsyncConnectionPool(
            conninfo[1],
            connection_class=Carrier,
            kwargs={**dict(settings), "autocommit": True},
            min_size=1,
            max_size=sessions.location.pool_size,
            configure=self._set_up,
            open=False,
            name=self._name,
        )

    def take(self, deadline: float) -> Connection:
        return connection_of(awaiting.wait(self._take(max(deadline - steady_clock(), 0.001))))

    def put_back(self, conn: Connection) -> None:
        assert isinstance(conn.waiting, InLoop)
        carrier = conn.waiting.carrier
        if awaiting.can_wait(self._loop):
            with awaiting.finishing():
                awaiting.wait(self._pool.putconn(carrier))
        else:
            self._later(lambda: self._pool.putconn(carrier), (carrier,))

    def close(self) -> None:
        if awaiting.can_wait(self._loop) and not reentry.is_interrupting():
            with awaiting.finishing():
                awaiting.wait(self._pool.close(CLOSE_SECONDS))
        elif not self._loop.is_running() or _is_in(self._loop):
            self._drop()
        else:
            self._later(lambda: self._pool.close(CLOSE_SECONDS), self._carriers)

    async def _take(self, timeout: float) -> Carrier:
        if not self._is_open:
            self._is_open = True
            await self._pool.open()
        return await self._pool.getconn(timeout)

    async def _set_up(self, carrier: Carrier) -> None:
        self._carriers.add(carrier)
        deadline = steady_clock() + CONNECT_SECONDS
        await awaiting.call(lambda: self._sessions.configure(connection_of(carrier), deadline))

    def _drop(self) -> None:
        """End it at once, for a finalizer: a loop that is about to end would not wait for the pool to be closed."""
        for task in [] if self._loop.is_closed() else asyncio.all_tasks(self._loop):
            if task.get_name().startswith(f"{self._name}-"):  # so the pool names its own
                task.cancel()
        for carrier in list(self._carriers):
            carrier.pgconn.finish()

    def _later(self, make: Callable[[], Coroutine[Any, Any, None]], carriers: Iterable[Carrier]) -> None:
        """Await what `make` returns in a task, for a caller that is a finalizer or in another thread.

        Where the loop has ended, nothing can be awaited any more, and the sessions of the carriers are dropped.
        """
        try:
            self._loop.call_soon_threadsafe(self._begin, make)
        except RuntimeError:
            for carrier in list(carriers):
                carrier.pgconn.finish()

    def _begin(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = self._loop.create_task(make())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _is_in(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the caller is in that loop."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def connection_of(carrier: Carrier) -> Connection:
    """The connection that the engine uses a session by; always the same one."""
    facade = carrier.facade
    if facade is None:
        facade = carrier.facade = Connection(carrier.pgconn)
        facade.waiting = InLoop(carrier)
        for name, value in SETTINGS.items():
            setattr(facade, name, value)
    return facade
