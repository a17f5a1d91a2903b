"""`StarsessionsStore`: the contract of a store of starsessions, and what it does for simultaneous and late requests.

The first part says anew what starsessions' own tests of a store ask for: its source distribution has no tests.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

starsessions = pytest.importorskip("starsessions", reason="starsessions is not installed: its store is not tested")

import asgi  # noqa: E402
from asgi import Answer, ask, living  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.middleware.base import BaseHTTPMiddleware  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import JSONResponse  # noqa: E402
from starlette.routing import Route  # noqa: E402
from starsessions import SessionAutoloadMiddleware, SessionMiddleware, load_session  # noqa: E402

from store import Store  # noqa: E402
from store.errors import StorageError  # noqa: E402
from store.integrations.starlette import StarsessionsStore  # noqa: E402
from store.integrations.starlette.starsessions import IN_FLIGHT, Readings  # noqa: E402
from store.sessions import Sessions  # noqa: E402

Test = Callable[[StarsessionsStore], Awaitable[None]]


@pytest.fixture
def run(place: str) -> Callable[..., None]:
    """Runs a test in an event loop with a store, and closes that."""

    def run_one(test: Test, **options: Any) -> None:
        async def main() -> None:
            store = StarsessionsStore(place, **options)
            try:
                await test(store)
            finally:
                store.close()

        asgi.run(main())

    return run_one


# -- a store by itself


def test_read_gives_what_was_written(run):
    async def test(store):
        id = await store.write("session_id", b"data", lifetime=60, ttl=60)
        assert await store.read(id, lifetime=60) == b"data"
        assert await store.write(id, b"other", lifetime=60, ttl=60) == id
        assert await store.read(id, lifetime=60) == b"other"

    run(test)


def test_write_of_a_session_that_lasts_as_long_as_the_browser(run, clock):
    async def test(store):
        id = await store.write("session_id", b"data", lifetime=0, ttl=0)
        clock.advance(99)
        assert await store.read(id, lifetime=0) == b"data"
        clock.advance(2)
        assert await store.read(id, lifetime=0) == b""

    run(test, ttl=100, clock=clock)


@pytest.mark.parametrize("ttl, lives", [(60, 60), (0, 1), (-5, 1)])
def test_write_with_a_ttl(run, clock, ttl, lives):
    async def test(store):
        id = await store.write("session_id", b"data", lifetime=3600, ttl=ttl)
        clock.advance(lives - 0.5)
        assert await store.read(id, lifetime=3600) == b"data"
        clock.advance(1)
        assert await store.read(id, lifetime=3600) == b""

    run(test, clock=clock)


def test_remove(run):
    async def test(store):
        id = await store.write("session_id", b"data", lifetime=60, ttl=60)
        await store.remove(id)
        assert await store.read(id, lifetime=60) == b""
        await store.remove(id)
        await store.remove("missing")

    run(test)


def test_read_of_an_unknown_id_is_empty(run):
    async def test(store):
        for id in ("unknown", "", "A" * 43, "\0"):
            assert await store.read(id, lifetime=60) == b""

    run(test)


def test_write_never_adopts_an_unknown_id(run, place):
    async def test(store):
        for theirs in ("A" * 43, "0" * 32, "session_id"):
            assert await store.read(theirs, lifetime=60) == b""
            id = await store.write(theirs, b"data", lifetime=60, ttl=60)
            assert id != theirs
            assert await store.read(theirs, lifetime=60) == b""

    run(test)
    with Sessions(place, namespace="starsessions") as sessions:
        assert len(sessions) == 3


# -- in an application


class App:
    """Pages on starsessions; those at `/slow/…` wait, with their session loaded, until they may go on."""

    def __init__(self, store: StarsessionsStore, *, own_task: bool = False, **options: Any) -> None:
        self.store = store
        self.arrived, self.go_on = asyncio.Semaphore(0), asyncio.Event()
        app = Starlette(routes=[Route("/{name}", self.page), Route("/slow/{name}", self.slow)])
        if own_task:
            app.add_middleware(BaseHTTPMiddleware, dispatch=self.pass_on)
        else:
            app.add_middleware(SessionAutoloadMiddleware)
        app.add_middleware(SessionMiddleware, store=store, cookie_https_only=False, **options)
        self.app = app

    async def pass_on(self, request: Request, call_next: Any) -> Any:
        return await call_next(request)

    async def page(self, request: Request) -> JSONResponse:
        await load_session(request)
        match request.path_params["name"]:
            case "login":
                self.store.rotate(request)
                request.session["user"] = "ann"
            case "logout":
                request.session.clear()
            case "show":
                pass
            case item:
                request.session.setdefault("cart", {})[item] = 1
        return JSONResponse({key: value for key, value in request.session.items() if key != "__metadata__"})

    async def slow(self, request: Request) -> JSONResponse:
        await load_session(request)
        self.arrived.release()
        await self.go_on.wait()
        return await self.page(request)

    async def both(self, first: str, second: str, cookie: str | None) -> tuple[Answer, Answer]:
        """Two requests that have both read the session before one of them is answered; the first is answered last."""
        late = asyncio.create_task(ask(self.app, f"/slow/{first}", cookie))
        await self.arrived.acquire()
        answer = await ask(self.app, f"/{second}", cookie)
        self.go_on.set()
        return await late, answer


OWN_TASK = pytest.mark.parametrize("own_task", [False, True], ids=["one task", "task of its own"])


@OWN_TASK
def test_session_of_a_visitor(run, own_task):
    async def test(store):
        app = App(store, lifetime=60, own_task=own_task).app
        assert (await ask(app, "/show")).cookie is None
        answer = await ask(app, "/tea")
        assert "max-age=" in answer.set_cookie
        assert (await ask(app, "/cups", answer.cookie)).json == {"cart": {"tea": 1, "cups": 1}}
        assert "01 Jan 1970" in (await ask(app, "/logout", answer.cookie)).set_cookie
        assert (await ask(app, "/show", answer.cookie)).json == {}

    run(test)


@OWN_TASK
def test_client_cannot_choose_its_id(run, own_task):
    async def test(store):
        app = App(store, own_task=own_task).app
        theirs = "session=" + "A" * 43
        answer = await ask(app, "/tea", theirs)
        assert answer.cookie != theirs
        assert (await ask(app, "/show", theirs)).json == {}
        assert (await ask(app, "/show", answer.cookie)).json == {"cart": {"tea": 1}}

    run(test)


@OWN_TASK
def test_rotate_kills_the_old_id(run, place, own_task):
    async def test(store):
        app = App(store, own_task=own_task).app
        guest = (await ask(app, "/tea")).cookie
        ann = (await ask(app, "/login", guest)).cookie
        assert ann != guest
        assert (await ask(app, "/show", guest)).json == {}
        assert (await ask(app, "/show", ann)).json == {"cart": {"tea": 1}, "user": "ann"}
        assert (await ask(app, "/login")).json == {"user": "ann"}  # without a session it is a new one

    run(test)
    with Sessions(place, namespace="starsessions") as sessions:
        assert len(sessions) == 2


@OWN_TASK
def test_two_requests_at_once_lose_nothing(run, own_task):
    async def test(store):
        app = App(store, own_task=own_task)
        cookie = (await ask(app.app, "/tea")).cookie
        await app.both("cups", "spoons", cookie)
        assert (await ask(app.app, "/show", cookie)).json == {"cart": {"tea": 1, "cups": 1, "spoons": 1}}

    run(test)


@OWN_TASK
@pytest.mark.parametrize("end", ["logout", "login"])
@pytest.mark.parametrize("late", ["cups", "login"])
def test_late_response_brings_nothing_back(run, place, own_task, end, late):
    async def test(store):
        app = App(store, own_task=own_task)
        cookie = (await ask(app.app, "/tea")).cookie
        answer, ended = await app.both(late, end, cookie)
        assert (await ask(app.app, "/show", answer.cookie)).json == {}
        if end == "login":
            assert (await ask(app.app, "/show", ended.cookie)).json == {"cart": {"tea": 1}, "user": "ann"}

    run(test)
    with Sessions(place, namespace="starsessions") as sessions:
        assert len(sessions) == (end == "login")


def test_stale_cookie_is_no_hindrance_to_a_new_session(run):
    async def test(store):
        app = App(store).app
        cookie = (await ask(app, "/tea")).cookie
        await ask(app, "/logout", cookie)
        new = (await ask(app, "/login", cookie)).cookie
        assert (await ask(app, "/show", new)).json == {"user": "ann"}

    run(test)


class Pickles(starsessions.Serializer):
    def serialize(self, data):
        return pickle.dumps(data)

    def deserialize(self, data):
        return pickle.loads(data) if data else {}


class Opaque(Pickles):
    """Its data are no dicts to the store."""

    def deserialize(self, data):
        return [super().deserialize(data)]


@pytest.mark.parametrize("known, cart", [(Pickles(), {"tea": 1, "cups": 1, "spoons": 1}), (Opaque(), {"tea": 1, "cups": 1})])
def test_serializer_of_the_program(run, known, cart):
    async def test(store):
        app = App(store, serializer=Pickles())
        cookie = (await ask(app.app, "/tea")).cookie
        await app.both("cups", "spoons", cookie)
        assert (await ask(app.app, "/show", cookie)).json == {"cart": cart}

    run(test, serializer=known)


@pytest.mark.filterwarnings("ignore:.*taken for absent")
def test_broken_record_is_a_new_session_and_a_logged_warning(run, place, caplog):
    async def test(store):
        app = App(store).app
        cookie = (await ask(app, "/tea")).cookie
        with Store(place, namespace="starsessions") as s:
            for name in s:
                s.put(name, ["no session"])
        assert (await ask(app, "/cups", cookie)).json == {"cart": {"cups": 1}}
        assert "taken for absent" in caplog.text and cookie.partition("=")[2] not in caplog.text

    with caplog.at_level(logging.WARNING, "store.integrations.starlette"):
        run(test)


def test_session_that_another_program_put_there_is_a_new_one(run, place):
    with Sessions(place, namespace="starsessions") as sessions:
        id = sessions.create({"user": "ann"})

    async def test(store):
        answer = await ask(App(store).app, "/show", f"session={id}")
        assert (answer.status, answer.json) == (200, {})

    run(test)


def test_error_of_the_store_is_a_500_and_the_session_stands(run, monkeypatch):
    def fail(*_):
        raise StorageError("the disk is full")

    async def test(store):
        app = App(store).app
        cookie = (await ask(app, "/tea")).cookie
        monkeypatch.setattr(Sessions, "edit", fail)
        answer = await ask(app, "/cups", cookie)
        assert (answer.status, answer.set_cookie) == (500, None)
        monkeypatch.undo()
        assert (await ask(app, "/show", cookie)).json == {"cart": {"tea": 1}}

    run(test)


def test_own_lifespan_waits_in_the_loop(place):
    """A program may open and close it with its own; a store that is closed opens again."""

    async def main():
        store = StarsessionsStore(place)
        app = Starlette(routes=App(store).app.routes, lifespan=lambda app: store.serving())
        app.add_middleware(SessionMiddleware, store=store)
        for _ in range(2):
            async with living(app):
                assert (await ask(app, "/tea")).json == {"cart": {"tea": 1}}

    asgi.run(main())


def test_readings_are_of_one_request_and_bounded():
    readings, first, second = Readings(), "".join(["i", "d"]), "".join(["i", "d"])
    readings.add(first, b"x")
    assert readings.pop(second) is None
    assert readings.pop(first).data == b"x"
    assert readings.pop(first) is None
    ids = ["".join(["id", str(n)]) for n in range(IN_FLIGHT + 1)]
    for id in ids:
        readings.add(id, b"")
    assert [readings.pop(id) is None for id in (ids[0], ids[1], ids[-1])] == [True, False, False]
