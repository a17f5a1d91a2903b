"""Connections and pools that wait in an event loop, with the interface of those that block a thread.

`AsyncStore` runs the engine in greenlets (`store.system.awaiting`). Opened there, a `Server` has these in place of
`blocking.Blocking`: psycopg's `AsyncConnectionPool` opens, keeps and closes the sessions, and the engine uses each
through an `AwaitedConnection`, whose cursors and pipelines are those of every `Connection`.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar
from weakref import WeakSet

import psycopg
from psycopg.abc import PQGen
from psycopg_pool import AsyncConnectionPool

from store.engines.postgres.sessions import Connection
from store.system import awaiting, reentry

T = TypeVar("T")

_INTERVAL_SECONDS = 0.1  # psycopg's own, after which it looks whether the socket was closed
_OWN = ("cursor_factory", "row_factory", "prepare_threshold", "autocommit")  # settings of the object, not the session
_ENDS = ("COMMIT", "ROLLBACK")


class Carrier(psycopg.AsyncConnection[Any]):
    """Has the session; the engine uses it through the `facade`."""

    facade: AwaitedConnection | None = None


class AwaitedConnection(Connection):
    """A `Connection` on the session of a `Carrier`: the event loop waits for the server.

    The task that is cancelled in a statement cancels it on the server, and waits until it has ended there: nothing is
    written later. Where the server cannot be reached for five seconds, the connection is closed. COMMIT and ROLLBACK
    are never cancelled.
    """

    def __init__(self, carrier: Carrier, settings: Mapping[str, Any]) -> None:
        super().__init__(carrier.pgconn)
        self.carrier = carrier
        for name in _OWN:
            if name in settings:
                setattr(self, name, settings[name])

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(query, str) and query.startswith(_ENDS):
            with awaiting.finishing():
                return super().execute(query, *args, **kwargs)
        return super().execute(query, *args, **kwargs)

    def wait(self, gen: PQGen[T], interval: float = _INTERVAL_SECONDS, *args: Any, **kwargs: Any) -> T:
        return awaiting.wait(self.carrier.wait(gen, interval, *args, **kwargs))

    def __del__(self, *_: Any) -> None:
        """No warning: the carrier has the session, and closes it."""


class Awaited:
    """Makes the connections and pools of one event loop; the contract `sessions.Connecting`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def connect(self, conninfo: str, settings: Mapping[str, Any], **more: Any) -> Connection:
        try:
            carrier = awaiting.wait(Carrier.connect(conninfo, **_of_session(settings), **more))
        except asyncio.CancelledError as exc:
            traceback.clear_frames(exc.__traceback__)  # only they refer to the session, which ends with them
            raise
        try:
            return connection_of(carrier, settings)
        except BaseException:
            carrier.pgconn.finish()
            raise

    def pool(
        self, conninfo: str, settings: Mapping[str, Any], *, max_size: int, configure: Callable[[Connection], None]
    ) -> AwaitedPool:
        return AwaitedPool(self._loop, conninfo, settings, max_size, configure)


class AwaitedPool:
    """An `AsyncConnectionPool` with the methods of a `ConnectionPool`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        conninfo: str,
        settings: Mapping[str, Any],
        max_size: int,
        configure: Callable[[Connection], None],
    ) -> None:
        self._loop, self._settings, self._configure = loop, settings, configure
        self._carriers: WeakSet[Carrier] = WeakSet()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_open = False
        self._pool = AsyncConnectionPool(
            conninfo,
            connection_class=Carrier,
            kwargs=_of_session(settings),
            min_size=1,
            max_size=max_size,
            configure=self._set_up,
            open=False,
            name="store",
        )

    def getconn(self, timeout: float) -> Connection:
        return connection_of(awaiting.wait(self._take(timeout)), self._settings)

    def putconn(self, conn: Connection) -> None:
        assert isinstance(conn, AwaitedConnection)
        carrier = conn.carrier
        if awaiting.can_wait(self._loop):
            with awaiting.finishing():
                awaiting.wait(self._pool.putconn(carrier))
        else:
            self._later(lambda: self._pool.putconn(carrier), (carrier,))

    def close(self, timeout: float) -> None:
        if awaiting.can_wait(self._loop) and not reentry.is_interrupting():
            with awaiting.finishing():
                awaiting.wait(self._pool.close(timeout))
        else:
            self._later(lambda: self._pool.close(timeout), self._carriers)

    async def _take(self, timeout: float) -> Carrier:
        if not self._is_open:
            self._is_open = True
            await self._pool.open()
        return await self._pool.getconn(timeout)

    async def _set_up(self, carrier: Carrier) -> None:
        self._carriers.add(carrier)
        await awaiting.call(lambda: self._configure(connection_of(carrier, self._settings)))

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


def connection_of(carrier: Carrier, settings: Mapping[str, Any]) -> AwaitedConnection:
    """The connection that the engine uses a session by; always the same one."""
    facade = carrier.facade
    if facade is None:
        facade = carrier.facade = AwaitedConnection(carrier, settings)
    return facade


def _of_session(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in _OWN} | {"autocommit": True}
