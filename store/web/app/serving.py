"""`serve`: uvicorn, until it is interrupted, or has had no request for some time."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from starlette.types import ASGIApp

from store.system.clock import steady_clock
from store.web.app.application import application
from store.web.app.connections import IDLE_SECONDS, Connections
from store.web.app.door import Door
from store.web.app.feeds import Feeds
from store.web.site import Site

LOOK_SECONDS = 0.1  # uvicorn looks as often whether it is to end
GRACE_SECONDS = 5  # for pages that are being made when the server ends
ACCEPTED = 64  # connections that asyncio accepts before it counts any of them
QUEUE = 4096  # connections that the system keeps until they are accepted; a client behind a full queue waits seconds


def serve(site: Site, door: Door, sock: socket.socket, timeout: float | None = None) -> None:
    """Serves the pages on a socket until SIGINT or SIGTERM, whose effect then follows.

    `timeout`: also ends after so many seconds without a request.
    """
    asyncio.run(Serving(site, door, sock).run(timeout))


class Serving:
    """A server of the pages, and the streams of events that end with it."""

    def __init__(self, site: Site, door: Door, sock: socket.socket, connections: Connections | None = None) -> None:
        self._feeds = Feeds(site)
        self._health = site.health
        app = application(site, door, self._feeds)
        self._server = uvicorn.Server(configured(app, Connections() if connections is None else connections))
        self._sock = sock

    async def run(self, timeout: float | None = None) -> None:
        """Serves until `stop` is called, a signal comes, or there is no request for `timeout` seconds."""
        serving = asyncio.create_task(self._server.serve(sockets=[self._sock]))
        idle = Idle(self._server)
        has_queue = False
        while not self._server.should_exit and not serving.done():
            await asyncio.sleep(LOOK_SECONDS)
            if self._server.started and not has_queue:
                has_queue = True
                self._sock.listen(QUEUE)  # once more: asyncio has used one number for both
            if timeout is not None and idle.seconds() >= timeout:
                self.stop()
        self._feeds.end_streams()  # uvicorn waits for the end of each response
        try:
            await serving
        finally:
            self._feeds.join()
            self._health.end(GRACE_SECONDS)

    def stop(self) -> None:
        """Ends it soon. Any thread may call this."""
        self._server.should_exit = True


def configured(app: ASGIApp, connections: Connections) -> uvicorn.Config:
    """How uvicorn serves: it logs no request, since each has the token in it, and believes no header of a proxy."""
    return uvicorn.Config(
        connections.around(app), http=connections.protocol, backlog=ACCEPTED, ws="none", lifespan="off",
        interface="asgi3", loop="asyncio", access_log=False, log_config=None, log_level="error", server_header=False,
        proxy_headers=False, timeout_keep_alive=IDLE_SECONDS, timeout_graceful_shutdown=GRACE_SECONDS,
    )  # fmt: skip


class Idle:
    """For how long a server has had nothing to do."""

    def __init__(self, server: uvicorn.Server) -> None:
        self._state = server.server_state
        self._requests = 0
        self._since = steady_clock()

    def seconds(self) -> float:
        """The seconds since the last call that met a request, or one that has ended since the call before."""
        if self._state.tasks or self._state.total_requests != self._requests:
            self._requests = self._state.total_requests
            self._since = steady_clock()
        return steady_clock() - self._since
