"""Asks the application of `store web` in this event loop, with the headers that a browser sends."""

from __future__ import annotations

import asyncio
from typing import Any

from asgi import Answer, App, scope_of

from store.web.app.door import Door
from store.web.app.listening import Listening

TOKEN = "a-token_of-these-tests~0123"
PORT = 8123
DOOR = Door(TOKEN, Listening("127.0.0.1", "127.0.0.1", PORT))
HOST = f"127.0.0.1:{PORT}"
OWN_FORM = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}
FORM = {**OWN_FORM, "content-type": "application/x-www-form-urlencoded"}


async def ask(
    app: App, path: str, query: str = "", method: str = "GET", headers: dict[str, str] | None = None, body: bytes = b"",
) -> Answer:  # fmt: skip
    """The answer to a request; `path` is the whole one, with the token. A header of None is left out."""
    given = {"host": HOST, **(headers or {})}
    scope = scope_of(
        "http", path, None, method=method, query_string=query.encode(), client=("127.0.0.1", 1),
        headers=[(name.encode(), value.encode()) for name, value in given.items() if value is not None],
    )  # fmt: skip
    sent: list[dict[str, Any]] = []
    received = asyncio.Queue[dict[str, Any]]()
    received.put_nowait({"type": "http.request", "body": body, "more_body": False})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, received.get, send)
    start, *rest = sent
    answered = [(name.decode(), value.decode()) for name, value in start["headers"]]
    return Answer(start["status"], answered, b"".join(message.get("body", b"") for message in rest))
