"""Sessions in FastAPI: dependencies, also those whose two halves run on different threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

fastapi = pytest.importorskip("fastapi", reason="fastapi is not installed: sessions in it are not tested")

import asgi  # noqa: E402
from asgi import Talk, ask, living  # noqa: E402
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket  # noqa: E402

from store import Store  # noqa: E402
from store.integrations.starlette import StoreSession, StoreSessionMiddleware, session_of  # noqa: E402

REQUESTS = 6


def count(data: dict[str, Any], key: str) -> int:
    data[key] = data.get(key, 0) + 1
    return int(data[key])


def test_halves_of_a_synchronous_dependency_on_different_threads_lose_nothing(place):
    """Nothing of ours is held open between the two halves: each is a step of its own."""
    together = threading.Barrier(REQUESTS)  # the threads of all requests are taken at once, so that halves change them

    def halves(request: Request) -> Iterator[StoreSession]:
        session: StoreSession = request.session  # type: ignore[assignment]
        session.edit(lambda data: count(data, "before"))
        together.wait(60)
        yield session
        session.edit(lambda data: count(data, "after"))

    app = FastAPI()
    app.add_middleware(StoreSessionMiddleware, location=place)

    @app.get("/start")
    def begin(request: Request) -> None:
        request.session["items"] = {}

    @app.get("/add/{item}")
    def add(item: str, session: StoreSession = Depends(halves)) -> None:  # noqa: B008
        session["items"][item] = 1

    @app.get("/show")
    def show(request: Request) -> dict[str, Any]:
        return request.session

    async def main() -> Any:
        async with living(app):
            cookie = (await ask(app, "/start")).cookie
            answers = await asyncio.gather(*(ask(app, f"/add/{n}", cookie) for n in range(REQUESTS)))
            assert [answer.status for answer in answers] == [200] * REQUESTS
            return (await ask(app, "/show", cookie)).json

    assert asgi.run(main()) == {
        "items": {str(n): 1 for n in range(REQUESTS)}, "before": REQUESTS, "after": REQUESTS,
    }  # fmt: skip


def test_session_as_a_dependency(place):
    app = FastAPI()
    app.add_middleware(StoreSessionMiddleware, location=place)

    @app.get("/login")
    def login(session: StoreSession = Depends(session_of)) -> dict[str, Any]:  # noqa: B008
        session.rotate()
        session["user"] = "ann"
        return session

    @app.websocket("/talk")
    async def talk(socket: WebSocket, session: StoreSession = Depends(session_of)) -> None:  # noqa: B008
        await socket.accept()
        await socket.send_text(session["user"])

    async def main() -> None:
        async with living(app):
            answer = await ask(app, "/login")
            assert (answer.json, dict(answer.headers)["vary"]) == ({"user": "ann"}, "Cookie")
            talk = Talk(app, "/talk", answer.cookie)
            assert [(await talk.sent.get()).get("text") for _ in range(2)] == [None, "ann"]
            await talk.task

    asgi.run(main())
    with pytest.raises(TypeError, match="add_middleware"):
        session_of(Request({"type": "http", "session": {}}))


def test_dependency_that_refuses_stores_what_was_changed_as_starlette_does(place):
    def user(request: Request) -> str:
        request.session["asked"] = True
        if "user" not in request.session:
            raise HTTPException(401)
        return str(request.session["user"])

    app = FastAPI()
    app.add_middleware(StoreSessionMiddleware, location=place)

    @app.get("/me")
    def me(name: str = Depends(user)) -> str:
        return name

    @app.get("/fails")
    def fails(request: Request) -> None:
        request.session["half"] = True
        raise ZeroDivisionError

    async def main() -> Any:
        async with living(app):
            return await ask(app, "/me"), await ask(app, "/fails")

    refused, failed = asgi.run(main())
    assert (refused.status, refused.cookie is not None) == (401, True)
    assert (failed.status, failed.cookie) == (500, None)
    with Store(place, namespace="sessions") as s:
        assert list(s.values()) == [{"asked": True}]
