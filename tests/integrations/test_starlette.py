"""`StoreSessionMiddleware`: what a visitor's cookie gives, and what simultaneous, late and failing requests do."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

starlette = pytest.importorskip("starlette", reason="starlette is not installed: its sessions are not tested")

import asgi  # noqa: E402
from asgi import Answer, Talk, ask, living  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.background import BackgroundTask  # noqa: E402
from starlette.middleware.base import BaseHTTPMiddleware  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import JSONResponse, StreamingResponse  # noqa: E402
from starlette.routing import Route, WebSocketRoute  # noqa: E402
from starlette.websockets import WebSocket, WebSocketDisconnect  # noqa: E402

from store import Store  # noqa: E402
from store.errors import NotSerializable, StoreError  # noqa: E402
from store.integrations.starlette import NoSuchSession, StoreSession, StoreSessionMiddleware  # noqa: E402
from store.integrations.starlette.access import SessionAccess  # noqa: E402
from store.sessions import Sessions  # noqa: E402

ID = re.compile(r"session=([\w-]{43}); path=/; Max-Age=1209600; httponly; samesite=lax")


class Shop:
    """An application. What its requests wait for at `/slow/…` is told by events."""

    def __init__(self, location: Any, **options: Any) -> None:
        self.location = location
        self.arrived, self.go_on = asyncio.Semaphore(0), asyncio.Event()
        names = [name for name in dir(self) if name.startswith("at_")]
        routes = [Route(f"/{name[3:]}", getattr(self, name)) for name in names]
        routes += [Route("/slow/{name}", self.slow), WebSocketRoute("/talk", self.talk)]
        self.app = Starlette(routes=routes)
        self.app.add_middleware(StoreSessionMiddleware, location=location, **options)

    async def at_show(self, request: Request) -> JSONResponse:
        return JSONResponse(request.session)

    async def at_nothing(self, request: Request) -> JSONResponse:
        return JSONResponse(None)

    async def at_tea(self, request: Request) -> JSONResponse:
        request.session.setdefault("cart", []).append("tea")
        return JSONResponse(request.session)

    async def at_cups(self, request: Request) -> JSONResponse:
        request.session.setdefault("cart", []).append("cups")
        request.session.setdefault("sizes", {})["cups"] = 2
        return JSONResponse(request.session)

    async def at_theme(self, request: Request) -> JSONResponse:
        request.session["theme"] = "dark"
        request.session.setdefault("sizes", {})["page"] = 10
        return JSONResponse(request.session)

    async def at_count(self, request: Request) -> JSONResponse:
        await request.session.aedit(lambda data: data.update(count=data.get("count", 0) + 1))
        return JSONResponse(request.session)

    def at_count_in_thread(self, request: Request) -> JSONResponse:
        request.session.edit(lambda data: data.update(count=data.get("count", 0) + 1))
        return JSONResponse(request.session)

    async def at_mixed(self, request: Request) -> JSONResponse:
        request.session["theme"] = "dark"
        count = await request.session.aedit(lambda data: data.setdefault("count", 7))
        return JSONResponse([count, request.session])

    async def at_login(self, request: Request) -> JSONResponse:
        request.session.rotate()
        request.session["user"] = "ann"
        return JSONResponse(request.session)

    async def at_login_named(self, request: Request) -> JSONResponse:
        request.session.rotate(user="ann")
        request.session["user"] = "ann"
        return JSONResponse(request.session)

    async def at_end_others(self, request: Request) -> JSONResponse:
        return JSONResponse(await request.session.end_others("ann"))

    async def at_logout(self, request: Request) -> JSONResponse:
        request.session.clear()
        return JSONResponse(request.session)

    async def at_change_user(self, request: Request) -> JSONResponse:
        request.session.clear()
        request.session["user"] = "bob"
        return JSONResponse(request.session)

    async def at_forget(self, request: Request) -> JSONResponse:
        request.session.pop("cart", None)
        return JSONResponse(request.session)

    async def at_unwritable(self, request: Request) -> JSONResponse:
        request.session.rotate()
        request.session["object"] = object()
        return JSONResponse(None)

    async def at_late(self, request: Request) -> StreamingResponse:
        session: StoreSession = request.session  # type: ignore[assignment]

        async def stream() -> Any:
            session["streamed"] = True
            await session.aedit(lambda data: data.update(edited=True))
            yield b"[]"

        async def afterwards() -> None:
            session["afterwards"] = True
            with pytest.raises(StoreError, match="has started"):
                session.rotate()

        return StreamingResponse(stream(), background=BackgroundTask(afterwards))

    async def slow(self, request: Request) -> JSONResponse:
        """Answers as the endpoint of that name, which it asked for its session before it is told to go on."""
        assert request.session is not None
        self.arrived.release()
        await self.go_on.wait()
        answer: JSONResponse = await getattr(self, f"at_{request.path_params['name']}")(request)
        return answer

    async def talk(self, socket: WebSocket) -> None:
        """Each text is a key to set, or one of three commands."""
        session: StoreSession = socket.session  # type: ignore[assignment]
        if not session:
            session["met"] = True
        await socket.accept()
        try:
            while True:
                match await socket.receive_text():
                    case "edit":
                        await session.aedit(lambda data: data.update(edited=True))
                    case "login":
                        with pytest.raises(StoreError, match="has started"):
                            session.rotate()
                    case "close":
                        return await socket.close()
                    case key:
                        session[key] = True
                await socket.send_text("done")
        except WebSocketDisconnect:
            pass

    async def both(self, first: str, second: str, cookie: str | None) -> tuple[Answer, Answer]:
        """Two requests that have both read the session before one of them is answered; the first is answered last."""
        late = asyncio.create_task(ask(self.app, f"/slow/{first}", cookie))
        await self.arrived.acquire()
        answer = await ask(self.app, f"/{second}", cookie)
        self.go_on.set()
        return await late, answer


Run = Callable[[Callable[[Shop], Awaitable[None]]], None]


@pytest.fixture
def run(place: str) -> Run:
    """Runs a test in an event loop, with an application that is started and stopped."""

    def run_one(test: Callable[[Shop], Awaitable[None]], **options: Any) -> None:
        async def main() -> None:
            shop = Shop(place, **options)
            async with living(shop.app):
                await test(shop)

        asgi.run(main())

    return run_one


@pytest.fixture
def sessions(place: str) -> Iterator[Sessions]:
    """What is stored, as another program sees it."""
    with Sessions(place) as opened:
        yield opened


async def show(shop: Shop, cookie: str | None) -> Any:
    return (await ask(shop.app, "/show", cookie)).json


def id_in(cookie: str | None) -> str:
    assert cookie is not None
    return cookie.partition("=")[2]


# -- one visitor


def test_cookie_comes_with_the_first_change_and_not_with_reading(run, sessions):
    async def test(shop):
        assert [(await ask(shop.app, path)).set_cookie for path in ("/nothing", "/show", "/logout")] == [None] * 3
        answer = await ask(shop.app, "/tea")
        assert ID.fullmatch(answer.set_cookie)
        assert sessions.load(id_in(answer.cookie)) == {"cart": ["tea"]}
        again = await ask(shop.app, "/show", answer.cookie)
        assert (again.json, again.set_cookie) == ({"cart": ["tea"]}, None)

    run(test)


def test_vary_where_the_session_was_asked_for(run):
    async def test(shop):
        vary = [dict((await ask(shop.app, path)).headers).get("vary") for path in ("/nothing", "/show", "/tea")]
        assert vary == [None, "Cookie", "Cookie"]

    run(test)


def test_change_inside_a_value_is_stored(run):
    async def test(shop):
        cookie = (await ask(shop.app, "/tea")).cookie
        answer = await ask(shop.app, "/tea", cookie)
        assert answer.cookie == cookie
        assert await show(shop, cookie) == {"cart": ["tea", "tea"]}

    run(test)


def test_reading_writes_nothing(run, sessions):
    async def test(shop):
        cookie = (await ask(shop.app, "/tea")).cookie
        before = sessions.record(id_in(cookie))
        await show(shop, cookie)
        assert sessions.record(id_in(cookie)) == before

    run(test)


def test_logout_deletes_the_session_and_the_cookie(run, sessions):
    async def test(shop):
        cookie = (await ask(shop.app, "/tea")).cookie
        answer = await ask(shop.app, "/logout", cookie)
        assert answer.set_cookie == (
            "session=null; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly; samesite=lax"
        )
        assert (await show(shop, cookie), len(sessions)) == ({}, 0)

    run(test)


def test_cookie_settings(place):
    async def main():
        shop = Shop(
            place, session_cookie="sid", max_age=None, path="/shop", same_site="none", https_only=True, domain="example.com",
            partitioned=True, namespace="shop", ttl=60,
        )  # fmt: skip
        async with living(shop.app):
            answer = await ask(shop.app, "/tea")
            assert re.fullmatch(
                r"sid=[\w-]{43}; path=/shop; httponly; samesite=none; secure; domain=example.com; partitioned",
                answer.set_cookie,
            )
            with Sessions(place, namespace="shop") as sessions:
                record = sessions.record(id_in(answer.cookie))
                assert (record.expires - record.modified).total_seconds() == 60

    asgi.run(main())


def test_change_renews_the_life_and_reading_does_only_if_it_is_sliding(place, clock):
    async def main(sliding):
        with Sessions(place, clock=clock) as sessions:
            shop = Shop(place, clock=clock, max_age=100, sliding=sliding)
            async with living(shop.app):
                cookie = (await ask(shop.app, "/tea")).cookie
                before = sessions.record(id_in(cookie))
                clock.advance(60)
                answer = await ask(shop.app, "/nothing", cookie)
                after = sessions.record(id_in(cookie))
                assert ((after.expires - before.expires).total_seconds(), answer.cookie) == ((60, cookie) if sliding else (0, None))
                clock.advance(30)
                await ask(shop.app, "/tea", cookie)
                assert sessions.record(id_in(cookie)).expires.timestamp() == clock.now + 100

    asgi.run(main(True))
    asgi.run(main(False))


def test_sliding_writes_no_data_again(place, monkeypatch):
    async def main():
        shop = Shop(place, sliding=True)
        async with living(shop.app):
            cookie = (await ask(shop.app, "/tea")).cookie
            for name in ("edit", "save", "create", "rotate"):
                monkeypatch.setattr(Sessions, name, None)
            assert (await ask(shop.app, "/show", cookie)).cookie == cookie
            monkeypatch.undo()

    asgi.run(main())


# -- ids


def test_unknown_id_is_never_adopted(run, sessions):
    async def test(shop):
        for theirs in ("x", "A" * 43, "0" * 32, "null", "=;", "é"):
            answer = await ask(shop.app, "/tea", f"session={theirs}")
            assert (answer.status, answer.json) == (200, {"cart": ["tea"]})
            assert ID.fullmatch(answer.set_cookie) and id_in(answer.cookie) != theirs
            assert sessions.load(theirs) is None

    run(test)


def test_rotate_at_login_kills_the_old_id(run, sessions):
    async def test(shop):
        guest = (await ask(shop.app, "/tea")).cookie
        ann = (await ask(shop.app, "/login", guest)).cookie
        assert ann not in (None, guest)
        assert await show(shop, guest) == {}
        assert await show(shop, ann) == {"cart": ["tea"], "user": "ann"}
        assert len(sessions) == 1

    run(test)


def test_rotate_where_there_is_no_session_makes_one(run):
    async def test(shop):
        assert await show(shop, (await ask(shop.app, "/login")).cookie) == {"user": "ann"}

    run(test)


def test_clear_and_fill_is_a_new_session(run, sessions):
    async def test(shop):
        ann = (await ask(shop.app, "/login")).cookie
        bob = (await ask(shop.app, "/change_user", ann)).cookie
        assert (await show(shop, ann), await show(shop, bob), len(sessions)) == ({}, {"user": "bob"}, 1)

    run(test)


def test_session_shows_and_copies_without_its_id(run):
    async def test(shop):
        cookie = (await ask(shop.app, "/tea")).cookie
        session = StoreSession(None, id_in(cookie), {"cart": ["tea"]})
        assert repr(session) == str(session) == "{'cart': ['tea']}"
        for copied in (copy.deepcopy(session), copy.copy(session), pickle.loads(pickle.dumps(session))):
            assert (type(copied), copied) == (dict, {"cart": ["tea"]})

    run(test)


def test_user_is_found_and_logged_out_everywhere_else(run, sessions):
    async def test(shop):
        here, there = (await ask(shop.app, "/login_named")).cookie, (await ask(shop.app, "/login_named")).cookie
        guest = (await ask(shop.app, "/login_named", (await ask(shop.app, "/tea")).cookie)).cookie
        assert len(sessions.by("ann")) == 3
        assert (await ask(shop.app, "/end_others", here)).json == 2
        assert [await show(shop, cookie) for cookie in (here, there, guest)] == [{"user": "ann"}, {}, {}]
        bob = (await ask(shop.app, "/change_user", here)).cookie
        assert (len(sessions.by("ann")), await show(shop, bob)) == (0, {"user": "bob"})

    run(test)


# -- simultaneous and late requests


def test_two_requests_at_once_lose_nothing(run):
    async def test(shop):
        cookie = (await ask(shop.app, "/tea")).cookie
        await shop.both("cups", "theme", cookie)
        shop.go_on.clear()
        await shop.both("tea", "cups", cookie)
        assert await show(shop, cookie) == {
            "cart": ["tea", "cups", "cups", "tea"], "theme": "dark", "sizes": {"cups": 2, "page": 10},
        }  # fmt: skip

    run(test)


def test_key_that_one_request_deletes_is_not_brought_back_by_another(run):
    async def test(shop):
        cookie = (await ask(shop.app, "/tea")).cookie
        await shop.both("theme", "forget", cookie)
        assert await show(shop, cookie) == {"theme": "dark", "sizes": {"page": 10}}

    run(test)


@pytest.mark.parametrize("path", ["/count", "/count_in_thread"])
def test_edit_counts_every_request(run, path):
    async def test(shop):
        cookie = (await ask(shop.app, "/tea")).cookie
        answers = await asyncio.gather(*(ask(shop.app, path, cookie) for _ in range(20)))
        assert sorted(answer.json["count"] for answer in answers) == list(range(1, 21))
        assert await show(shop, cookie) == {"cart": ["tea"], "count": 20}

    run(test)


def test_edit_keeps_the_other_changes_of_the_request(run):
    async def test(shop):
        first = await ask(shop.app, "/mixed")  # before there is an id
        assert first.json == [7, {"theme": "dark", "count": 7}]
        cookie = (await ask(shop.app, "/tea")).cookie
        assert (await ask(shop.app, "/mixed", cookie)).json == [7, {"cart": ["tea"], "theme": "dark", "count": 7}]
        assert await show(shop, cookie) == {"cart": ["tea"], "theme": "dark", "count": 7}

    run(test)


@pytest.mark.parametrize("end", ["logout", "login", "change_user"])
@pytest.mark.parametrize("late", ["theme", "login", "tea", "forget"])
def test_late_response_brings_nothing_back(run, sessions, end, late):
    async def test(shop):
        cookie = (await ask(shop.app, "/tea")).cookie
        answer, ended = await shop.both(late, end, cookie)
        assert (answer.status, answer.set_cookie) == (200, None)
        assert await show(shop, cookie) == {}
        assert [record.revision for record in sessions.records()] == [] if end == "logout" else [1]
        if end != "logout":
            assert await show(shop, ended.cookie) == ended.json

    run(test)


def test_late_edit_is_refused(run, sessions):
    async def test(shop):
        cookie = (await ask(shop.app, "/tea")).cookie
        answer, _ = await shop.both("count", "logout", cookie)
        assert (answer.status, answer.set_cookie, len(sessions)) == (500, None, 0)
        session = StoreSession(SessionAccess(shop.location, {}), id_in(cookie), {"cart": ["tea"]})
        with pytest.raises(NoSuchSession):
            await session.aedit(lambda data: data.clear())
        with pytest.raises(NoSuchSession):
            session.edit(lambda data: data.clear())

    run(test)


def test_changes_after_the_start_come_too_late_but_edits(run):
    async def test(shop):
        cookie = (await ask(shop.app, "/tea")).cookie
        assert (await ask(shop.app, "/late", cookie)).json == []
        assert await show(shop, cookie) == {"cart": ["tea"], "edited": True}

    run(test)


def test_middleware_that_runs_the_endpoint_in_a_task_of_its_own(place):
    async def main():
        shop = Shop(place)

        async def pass_on(request, call_next):
            return await call_next(request)

        app = Starlette(routes=shop.app.routes)
        app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
        app.add_middleware(StoreSessionMiddleware, location=place)
        async with living(app):
            cookie = (await ask(app, "/login")).cookie
            assert (await ask(app, "/tea", cookie)).json == {"user": "ann", "cart": ["tea"]}

    asgi.run(main())


# -- what fails


def test_error_of_the_store_leaves_the_session_and_is_a_500(run, sessions):
    async def test(shop):
        cookie = (await ask(shop.app, "/tea")).cookie
        answer = await ask(shop.app, "/unwritable", cookie)
        assert (answer.status, answer.set_cookie) == (500, None)
        assert (await show(shop, cookie), len(sessions)) == ({"cart": ["tea"]}, 1)

    run(test)


def test_error_page_of_the_application_is_sent(place):
    async def page(request, exc):
        return JSONResponse(["sorry"], 503)

    async def main():
        app = Starlette(routes=Shop(place).app.routes, exception_handlers={500: page})
        app.add_middleware(StoreSessionMiddleware, location=place)
        async with living(app):
            return await ask(app, "/unwritable")

    answer = asgi.run(main())
    assert (answer.status, answer.json, answer.set_cookie) == (503, ["sorry"], None)


def test_answer_that_follows_a_failed_one_is_not_sent_without_its_session(place):
    async def main():
        async def twice(scope, receive, send):
            scope["session"]["object"] = object()
            for _ in range(2):
                with pytest.raises(NotSerializable):
                    await send({"type": "http.response.start", "status": 200, "headers": []})
            scope["session"]["object"] = 1
            await send({"type": "http.response.start", "status": 200})

        middleware = StoreSessionMiddleware(twice, place)
        answer = await ask(middleware, "/")
        middleware.access.close()
        return answer

    assert ID.fullmatch(asgi.run(main()).set_cookie)


FULL_DISK = """
import asyncio, json, resource, signal, sys
for folder in sys.argv[2:]:
    sys.path.insert(0, folder)
from asgi import ask, living
from test_starlette import Shop, show

async def main(folder):
    shop = Shop(folder + "/app.db")
    async with living(shop.app):
        cookie = (await ask(shop.app, "/tea")).cookie
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        full = [(await ask(shop.app, path, cookie)) for path in ("/theme", "/login", "/tea")]
        new = await ask(shop.app, "/tea")
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        print(json.dumps([[one.status for one in [*full, new]], [one.set_cookie for one in [*full, new]], await show(shop, cookie)]))

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.slow
def test_full_disk_is_a_500_and_the_session_stands(tmp_path, start):
    folders = [file.rpartition("/")[0] for file in (__file__, asgi.__file__)]
    found = start(FULL_DISK, tmp_path, *folders).result()
    assert found == [[500] * 4, [None] * 4, {"cart": ["tea"]}]


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*(taken for absent|a key this program does not hold)")
def test_session_of_another_key_is_a_new_one_and_a_logged_warning(place, caplog):
    with Sessions(place) as ours, Sessions(place, key="of another application") as theirs:
        ours.create({})
        id = theirs.create({"user": "ann"})

    async def main():
        shop = Shop(place)
        async with living(shop.app):
            return await ask(shop.app, "/tea", f"session={id}")

    with caplog.at_level(logging.WARNING, "store.integrations.starlette"):
        answer = asgi.run(main())
    assert (answer.status, answer.json) == (200, {"cart": ["tea"]})
    assert id not in answer.set_cookie
    (record,) = [record for record in caplog.records if record.name == "store.integrations.starlette"]
    assert "taken for absent" in record.getMessage() and "store verify" in record.getMessage()
    assert id not in caplog.text


@pytest.mark.filterwarnings("ignore:.*taken for absent")
def test_record_that_is_no_session_is_a_new_one(place, caplog):
    with Sessions(place) as sessions, Store(place, namespace="sessions") as s:
        id = sessions.create({"user": "ann"})
        (record,) = sessions.records()
        s.put(record.name, ["no session"])

    async def main():
        shop = Shop(place)
        async with living(shop.app):
            return await ask(shop.app, "/tea", f"session={id}")

    assert asgi.run(main()).json == {"cart": ["tea"]}
    assert id not in caplog.text


def test_location_that_is_no_store_is_an_error_at_the_startup(tmp_path):
    async def main():
        async with living(Shop(tmp_path / "nowhere" / "app.db").app):
            pytest.fail("it started")

    with pytest.raises(StoreError, match="nowhere"):
        asgi.run(main())


@pytest.mark.parametrize("options", [{"max_age": 0}, {"max_age": -1}, {"max_age": 10, "ttl": 20}])
def test_lifetime_that_makes_no_sense_is_refused(path, options):
    with pytest.raises(ValueError, match="max_age is"):
        StoreSessionMiddleware(None, path, **options)


# -- websockets


def test_websocket_gets_a_cookie_and_stores_at_its_end(run):
    async def test(shop):
        talk = Talk(shop.app, "/talk", None)
        accepted = await talk.sent.get()
        cookie = Answer(101, [(n.decode(), v.decode()) for n, v in accepted["headers"]], b"").cookie
        assert await show(shop, cookie) == {"met": True}
        assert await talk.say("edit") == await talk.say("seen") == await talk.say("login") == "done"
        assert await show(shop, cookie) == {"met": True, "edited": True}
        await talk.hang_up()
        assert await show(shop, cookie) == {"met": True, "edited": True, "seen": True}

    run(test)


def test_websocket_that_the_server_closes_stores_before_that(run):
    async def test(shop):
        cookie = (await ask(shop.app, "/tea")).cookie
        talk = Talk(shop.app, "/talk", cookie)
        assert (await talk.sent.get())["headers"] == [(b"vary", b"Cookie")]
        await talk.say("seen")
        await talk.say("close")
        assert await show(shop, cookie) == {"cart": ["tea"], "seen": True}
        await talk.task

    run(test)


def test_websocket_that_outlives_its_session_brings_nothing_back(run, sessions):
    async def test(shop):
        cookie = (await ask(shop.app, "/tea")).cookie
        talk = Talk(shop.app, "/talk", cookie)
        await talk.sent.get()
        await talk.say("seen")
        await ask(shop.app, "/logout", cookie)
        await talk.hang_up()
        assert (await show(shop, cookie), len(sessions)) == ({}, 0)

    run(test)


# -- loops, threads, handles


def test_one_application_in_several_loops_and_threads(place):
    shop = Shop(place)
    cookie = asgi.run(ask(shop.app, "/tea")).cookie

    def visit() -> None:
        for _ in range(5):
            assert asyncio.run(ask(shop.app, "/count", cookie)).status == 200

    before = set(threading.enumerate())
    threads = [threading.Thread(target=visit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asgi.join_workers(before)

    async def end():
        async with living(shop.app):
            return await show(shop, cookie)

    assert asgi.run(end()) == {"cart": ["tea"], "count": 20}


def test_application_that_is_started_again(place):
    shop = Shop(place)

    async def visit(cookie=None):
        async with living(shop.app):
            return await ask(shop.app, "/tea", cookie)

    cookie = asgi.run(visit()).cookie
    assert asgi.run(visit(cookie)).json == {"cart": ["tea", "tea"]}


FORKED = """
import asyncio, json, os, sys
for folder in sys.argv[2:]:
    sys.path.insert(0, folder)
from asgi import ask, living
from test_starlette import Shop, show

shop = Shop(sys.argv[1])
cookie = asyncio.run(ask(shop.app, "/tea")).cookie
children = []
for _ in range(3):
    if not (child := os.fork()):
        async def work():
            async with living(shop.app):
                for _ in range(5):
                    assert (await ask(shop.app, "/count", cookie)).status == 200
        asyncio.run(work())
        os._exit(0)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
print(json.dumps(asyncio.run(show(shop, cookie))))
"""


@pytest.mark.slow
def test_application_that_was_used_before_a_fork(place, start):
    folders = [file.rpartition("/")[0] for file in (__file__, asgi.__file__)]
    assert start(FORKED, place, *folders).result() == {"cart": ["tea"], "count": 15}


def test_open_store_is_used_and_stays_open(place):
    async def main(s):
        shop = Shop(s)
        async with living(shop.app):
            return (await ask(shop.app, "/tea")).cookie

    with Store(place, trust="own") as s:
        cookie = asgi.run(main(s))
        with Sessions(s) as sessions:
            assert sessions.load(id_in(cookie)) == {"cart": ["tea"]}


def test_other_scopes_pass(place):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    asgi.run(StoreSessionMiddleware(app, place)({"type": "other"}, None, None))
    assert seen == ["other"]
