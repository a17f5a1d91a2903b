"""`Connections`: how many there may be, and for how long one may wait. It stands between asyncio and uvicorn.

uvicorn closes a connection that is idle after an answer, and no other one: a client that sends nothing, half of a
request, or reads no answer keeps its connection for ever, until there are no descriptors left for a person's browser.
uvicorn takes a class of `asyncio.Protocol` as its option `http` (https://www.uvicorn.org/settings/#implementation);
`Connections.protocol` makes such a protocol around uvicorn's own, and `Connections.around` tells it, by the addresses
in the scope, when a request has come in whole and when it is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from store.web.pages.layout import HEADERS

MOST = 100  # a process may have 256 descriptors on some systems; a browser needs six connections
IDLE_SECONDS = 30  # after which uvicorn closes a connection that had an answer

Ends = tuple[object, ...]
"""The addresses of both ends of a connection, which no other open one has."""


@dataclass(frozen=True, slots=True)
class Waits:
    """For how many seconds a connection may wait."""

    head: float = 10.0
    """For the whole head of a request: from the connection, or from its first byte after an answer."""
    idle: float = IDLE_SECONDS + 5.0
    """For the next request after an answer; uvicorn closes it earlier, if the client reads to the end."""
    reading: float = 30.0
    """For a client that does not read what is sent to it."""
    closing: float = 5.0
    """For the client to read the last bytes once the connection is to be closed."""


class Connections:
    """The open connections of one server. To be used from one event loop.

    One more than `most` takes the place of the one that has waited for a request the longest: idle connections of one
    program keep nobody out. If none waits, since all have requests, the new one is closed.
    """

    def __init__(self, most: int = MOST, waits: Waits | None = None) -> None:
        self.waits = waits or Waits()
        self._most = most
        self._open: dict[Ends, Connection] = {}

    def __len__(self) -> int:
        return len(self._open)

    def protocol(self, **given: Any) -> Connection:
        """The protocol of a new connection: uvicorn's option `http`."""
        return Connection(Http(**given), self)

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application; while it answers a request, the connection of that waits for no other."""

        async def answering(scope: Scope, receive: Receive, send: Send) -> None:
            connection = self._open.get((*scope["client"], *scope["server"]))
            if connection is None:  # it was lost before the answer began
                await app(scope, receive, send)
                return
            with connection.answering():
                await app(scope, receive, send)

        return answering

    def add(self, ends: Ends, connection: Connection) -> bool:
        """Count a new connection; False if there is no place for it."""
        if len(self._open) >= self._most:
            waiting = [one for one in self._open.items() if one[1].waits_since is not None]
            if not waiting:
                return False
            longest, other = min(waiting, key=lambda one: one[1].waits_since or 0.0)
            del self._open[longest]
            other.abort()
        self._open[ends] = connection
        return True

    def discard(self, ends: Ends, connection: Connection) -> None:
        """Forget a connection that was lost."""
        if self._open.get(ends) is connection:
            del self._open[ends]


class Connection(asyncio.Protocol):
    """One connection: passes all to uvicorn's protocol, and closes it when the client takes too long."""

    def __init__(self, inner: Http, connections: Connections) -> None:
        self.waits_since: float | None = None
        """When it began to wait for a request, by the clock of the event loop; None while one is answered."""
        self._inner = inner
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._ends: Ends = ()
        self._timer: asyncio.TimerHandle | None = None
        self._answering = 0
        self._has_begun = True  # whether the limit is that of a head
        self._is_full = False  # whether the client is to read before more is written
        self._is_refused = False

    # -- from asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ends = (*transport.get_extra_info("peername", ())[:2], *transport.get_extra_info("sockname", ())[:2])
        self._is_refused = not self._connections.add(self._ends, self)
        if self._is_refused:
            transport.abort()
            return
        self.waits_since = self._loop.time()
        self._limit_request()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._answering == 0 and not self._has_begun:
            self._has_begun = True
            self._limit_request()  # further bytes do not extend it
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        self._inner.eof_received()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self._unlimit()
        if not self._is_refused:
            self._connections.discard(self._ends, self)
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._is_full = True
        self._limit(self._connections.waits.reading)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._is_full = False
        self._limit_request()
        self._inner.resume_writing()

    # -- from the application, and for others

    @contextmanager
    def answering(self) -> Iterator[None]:
        """While a request is answered. The next one may have begun before the end of the one before."""
        self._answering += 1
        self.waits_since = None
        self._limit_request()
        try:
            yield
        finally:
            self._answering -= 1
            if self._answering == 0:
                self.waits_since, self._has_begun = self._loop.time(), False
                self._limit_request()

    def abort(self) -> None:
        """Close it at once."""
        self._unlimit()
        if self._transport is not None:
            self._transport.abort()

    # -- the limit

    def _limit_request(self) -> None:
        """Limit the wait for the next request, unless one is answered, or the client has to read first."""
        if self._is_full:
            return
        if self._answering:
            self._unlimit()
        else:
            self._limit(self._connections.waits.head if self._has_begun else self._connections.waits.idle)

    def _limit(self, seconds: float) -> None:
        self._unlimit()
        if not self._is_refused:
            self._timer = self._loop.call_later(seconds, self._end)

    def _unlimit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        """The client took too long."""
        assert self._transport is not None
        if self._is_full or self._transport.is_closing():  # it does not read
            self.abort()
        else:
            self._transport.close()
            self._limit(self._connections.waits.closing)


class Http(H11Protocol):
    """uvicorn's protocol, whose answer to what is no HTTP has the headers of all others."""

    def send_400_response(self, msg: str) -> None:
        """The answer, or the end of the connection where another answer has begun."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        headers = {**HEADERS, "Content-Type": "text/plain; charset=utf-8", "Connection": "close"}
        body = f"{msg}\n".encode("ascii", "replace")
        for event in (
            h11.Response(status_code=400, headers=[*headers.items()], reason="Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event))
        self.transport.close()
