"""Asks an ASGI application in this event loop, without a server: requests can be interleaved to the step."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

App = Callable[..., Awaitable[Any]]


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """As `asyncio.run`; threads that anyio has made for the loop have ended too."""
    before = set(threading.enumerate())
    try:
        return asyncio.run(main)
    finally:
        join_workers(before)


def join_workers(before: set[threading.Thread]) -> None:
    """Wait for threads that anyio has made since, and that end with their loop."""
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("AnyIO"):
            thread.join(60)


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def set_cookie(self) -> str | None:
        """The header that sets the cookie; None: there is none."""
        return next((value for name, value in self.headers if name == "set-cookie"), None)

    @property
    def cookie(self) -> str | None:
        """What the client sends back from now on."""
        return None if self.set_cookie is None else self.set_cookie.partition(";")[0]


def scope_of(kind: str, path: str, cookie: str | None, **more: Any) -> dict[str, Any]:
    headers = [] if cookie is None else [(b"cookie", cookie.encode())]
    return {
        "type": kind, "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": path, "raw_path": path.encode(),
        "scheme": "http", "query_string": b"", "root_path": "", "headers": headers, "server": ("testserver", 80), "client": ("c", 1),
        **more,
    }  # fmt: skip


async def ask(app: App, path: str, cookie: str | None = None) -> Answer:
    """The answer to a GET. What the application raises after it has answered is dropped, as servers do."""
    sent: list[dict[str, Any]] = []
    received = asyncio.Queue[dict[str, Any]]()
    received.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    try:
        await app(scope_of("http", path, cookie), received.get, send)
    except Exception:
        if not sent:
            raise
    start, *rest = sent
    headers = [(name.decode(), value.decode()) for name, value in start["headers"]]
    return Answer(start["status"], headers, b"".join(message.get("body", b"") for message in rest))


class Talk:
    """A websocket from the client's side."""

    def __init__(self, app: App, path: str, cookie: str | None) -> None:
        self.received, self.sent = asyncio.Queue[dict[str, Any]](), asyncio.Queue[dict[str, Any]]()
        self.received.put_nowait({"type": "websocket.connect"})
        scope = scope_of("websocket", path, cookie, subprotocols=[], scheme="ws")
        self.task = asyncio.create_task(app(scope, self.received.get, self.sent.put))  # type: ignore[arg-type]

    async def say(self, text: str) -> Any:
        """Sends a text; returns what is answered to it."""
        self.received.put_nowait({"type": "websocket.receive", "text": text})
        return (await self.sent.get()).get("text")

    async def hang_up(self) -> None:
        self.received.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await self.task


@asynccontextmanager
async def living(app: App) -> AsyncIterator[None]:
    """Between the startup and the shutdown of an application. Raises: what its startup raises."""
    received, sent = asyncio.Queue[dict[str, Any]](), asyncio.Queue[dict[str, Any]]()
    task = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, received.get, sent.put))  # type: ignore[arg-type]
    received.put_nowait({"type": "lifespan.startup"})
    answered = asyncio.create_task(sent.get())
    await asyncio.wait([task, answered], return_when=asyncio.FIRST_COMPLETED)
    answered.cancel()
    if task.done():
        await task
    try:
        yield
    finally:
        received.put_nowait({"type": "lifespan.shutdown"})
        await task
