"""Sessions of aiohttp-session in a store, over HTTP on loopback: what its own tests ask of a storage, and peers' faults."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from strangers import FOREIGN_KEY, MINE, THEIRS, Marker

from store import Store
from store.sessions import Sessions

pytest.importorskip("aiohttp_session", reason="aiohttp-session is not installed: its storage is not tested")
from aiohttp import CookieJar, web
from aiohttp.test_utils import TestClient as Client
from aiohttp.test_utils import TestServer as Server
from aiohttp_session import get_session, new_session, setup

from store.integrations.aiohttp import StoreStorage

COOKIE = "AIOHTTP_SESSION"
pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey")  # of aiohttp-session's own


class Site:
    """A small application; `waits` holds up the requests to /slow between reading the session and saving it."""

    def __init__(self) -> None:
        self.inside, self.go_on = asyncio.Event(), asyncio.Event()

    async def show(self, request: web.Request) -> web.Response:
        session = await get_session(request)
        return web.json_response({"new": session.new, "data": dict(session)})

    async def put(self, request: web.Request) -> web.Response:
        session = await get_session(request)
        session.update(await request.json())
        return web.json_response(dict(session))

    async def drop(self, request: web.Request) -> web.Response:
        del (await get_session(request))[(await request.json())]
        return web.Response()

    async def nested(self, request: web.Request) -> web.Response:
        session = await get_session(request)
        session["cart"].append("cups")
        session.changed()
        return web.Response()

    async def slow(self, request: web.Request) -> web.Response:
        session = await get_session(request)
        session["slow"] = True
        self.inside.set()
        await self.go_on.wait()
        return web.Response()

    async def login(self, request: web.Request) -> web.Response:
        session = await new_session(request)
        session["user"] = "ann"
        return web.Response()

    async def logout(self, request: web.Request) -> web.Response:
        (await get_session(request)).invalidate()
        return web.Response()

    async def wrong(self, request: web.Request) -> web.Response:
        (await get_session(request))["x"] = object()
        return web.Response()


Program = Callable[[Client, Site], Awaitable[Any]]


def run(place: str | Path, program: Program, **options: Any) -> Any:
    async def main() -> Any:
        site, app, storage = Site(), web.Application(), StoreStorage(place, **options)
        setup(app, storage)
        for name in "show put drop nested slow login logout wrong".split():
            app.router.add_post(f"/{name}", getattr(site, name))
        try:
            async with Client(Server(app), cookie_jar=CookieJar(unsafe=True)) as client:
                return await program(client, site)
        finally:
            storage.close()

    return asyncio.run(main())


async def shown(client: Client) -> Any:
    return await (await client.post("/show")).json()


def id_of(client: Client) -> str | None:
    return next((morsel.value or None for morsel in client.session.cookie_jar if morsel.key == COOKIE), None)


def with_id(client: Client, id: str) -> None:
    client.session.cookie_jar.update_cookies({COOKIE: id}, client.make_url("/"))


def test_session_is_made_by_its_first_change(place: str) -> None:
    async def program(client: Client, _: Site) -> None:
        assert await shown(client) == {"new": True, "data": {}}
        assert id_of(client) is None
        answer = await client.post("/put", json={"a": 1, "b": [2]})
        assert re.fullmatch(r"[\w-]{32,}", answer.cookies[COOKIE].value)
        assert (answer.cookies[COOKIE]["httponly"], answer.cookies[COOKIE]["path"]) == (True, "/")
        assert await shown(client) == {"new": False, "data": {"a": 1, "b": [2]}}
        await client.post("/drop", json="a")
        assert (await shown(client))["data"] == {"b": [2]}

    run(place, program)
    with Sessions(place) as sessions:
        assert len(sessions) == 1


def test_file_has_no_id(path: Path) -> None:
    async def program(client: Client, _: Site) -> str:
        await client.post("/put", json={"a": 1})
        return id_of(client) or "none"

    id = run(path, program)
    assert not any(id.encode() in file.read_bytes() for file in path.parent.iterdir() if file.is_file())


def test_max_age_is_of_the_cookie_and_of_the_record(place: str) -> None:
    async def program(client: Client, _: Site) -> None:
        answer = await client.post("/put", json={"a": 1})
        assert answer.cookies[COOKIE]["max-age"] == "100"

    run(place, program, max_age=100)
    with Sessions(place) as sessions:
        (record,) = sessions.records()
        assert 90 < (record.expires - record.modified).total_seconds() <= 100


def test_value_changed_in_place_is_saved_after_changed(place: str) -> None:
    async def program(client: Client, _: Site) -> None:
        await client.post("/put", json={"cart": ["tea"]})
        await client.post("/nested")
        assert (await shown(client))["data"] == {"cart": ["tea", "cups"]}

    run(place, program)


def test_logout_ends_the_session_and_its_cookie(place: str) -> None:
    async def program(client: Client, _: Site) -> None:
        await client.post("/put", json={"a": 1})
        id = id_of(client)
        await client.post("/logout")
        assert id_of(client) is None
        with_id(client, id)
        assert await shown(client) == {"new": True, "data": {}}

    run(place, program)
    with Sessions(place) as sessions:
        assert len(sessions) == 0


def test_login_gives_a_new_id_and_ends_the_old_session(place: str) -> None:
    async def program(client: Client, _: Site) -> None:
        await client.post("/put", json={"a": 1})
        before = id_of(client)
        await client.post("/login")
        assert id_of(client) not in (None, before)
        assert (await shown(client))["data"] == {"user": "ann"}
        with_id(client, before)
        assert (await shown(client))["new"]

    run(place, program)


@pytest.mark.parametrize("id", ["chosen", "a" * 43, "../../etc", "%00", "x" * 3000])
def test_unknown_id_is_never_adopted(place: str, id: str) -> None:
    async def program(client: Client, _: Site) -> None:
        with_id(client, id)
        assert (await shown(client))["new"]
        await client.post("/put", json={"a": 1})
        assert id_of(client) != id
        with_id(client, id)
        assert (await shown(client))["new"]

    run(place, program)


def test_requests_at_once_lose_nothing(place: str) -> None:
    async def program(client: Client, site: Site) -> None:
        await client.post("/put", json={"a": 1, "gone": 1})
        slow = asyncio.create_task(client.post("/slow"))
        await site.inside.wait()
        await client.post("/drop", json="gone")
        await asyncio.gather(*(client.post("/put", json={f"k{i}": i}) for i in range(8)))
        site.go_on.set()
        assert (await slow).status == 200
        assert (await shown(client))["data"] == {"a": 1, "slow": True, **{f"k{i}": i for i in range(8)}}

    run(place, program)


@pytest.mark.parametrize("ending", ["/logout", "/login"])
def test_late_response_brings_nothing_back(place: str, ending: str) -> None:
    async def program(client: Client, site: Site) -> None:
        await client.post("/put", json={"a": 1})
        before = id_of(client)
        slow = asyncio.create_task(client.post("/slow"))
        await site.inside.wait()
        await client.post(ending)
        after = id_of(client)
        site.go_on.set()
        answer = await slow
        assert (answer.status, COOKIE in answer.cookies) == (200, False)
        assert id_of(client) == after
        with_id(client, before)
        assert (await shown(client))["new"]

    run(place, program)


def test_value_that_cannot_be_saved_is_an_error_and_the_session_stands(place: str) -> None:
    async def program(client: Client, _: Site) -> None:
        await client.post("/put", json={"a": 1})
        assert (await client.post("/wrong")).status == 500
        assert (await shown(client))["data"] == {"a": 1}

    run(place, program)


@pytest.mark.damaged
@pytest.mark.filterwarnings(FOREIGN_KEY)
@pytest.mark.filterwarnings("ignore:.*has a session that is taken for absent")
def test_foreign_record_runs_nothing_and_is_a_new_session(place: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ran = tmp_path / "ran"
    with Sessions(place, key=THEIRS, codec="pickle") as sessions:
        ids = [sessions.create({"session": {"admin": True}, "created": 1}), sessions.create({"session": Marker(ran)})]

    async def program(client: Client, _: Site) -> None:
        for id in ids:
            with_id(client, id)
            assert await shown(client) == {"new": True, "data": {}}
        await client.post("/put", json={"a": 1})
        assert id_of(client) not in ids

    run(place, program, options={"key": MINE})
    assert not ran.exists()
    with Sessions(place, key=THEIRS) as sessions:
        assert all(sessions.record(id) for id in ids)  # a key that is missing for a while costs no session
    assert "cannot be read or trusted" in caplog.text
    assert not any(id in caplog.text for id in ids)


def test_record_of_another_shape_is_a_new_session(place: str) -> None:
    with Sessions(place) as sessions:
        id = sessions.create({"session": 5})

    async def program(client: Client, _: Site) -> None:
        with_id(client, id)
        assert (await shown(client))["new"]

    run(place, program)


def test_open_store_is_used_and_stays_open(place: str) -> None:
    async def program(client: Client, _: Site) -> None:
        await client.post("/put", json={"a": 1})

    with Store(place, trust="own") as s:
        run(s, program)
        assert s.namespaces() == ["sessions"]
        assert json.loads(json.dumps(next(iter(s.within("sessions").values()))["session"])) == {"a": 1}
