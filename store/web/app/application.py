"""`application`: the routes of `store web`, and `Guard`, which all requests pass."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from store.errors import StoreError
from store.web import forms, routing
from store.web.app.bodies import BadBody, form_of
from store.web.app.door import NOTHING_HERE, Door, Refusal
from store.web.app.events import Events
from store.web.app.feeds import Feeds
from store.web.app.problems import problem_page
from store.web.app.refusing import response_of
from store.web.app.sources import WHOLE_STORE
from store.web.pages import marks
from store.web.pages.layout import HEADERS, document
from store.web.pages.query import BadQuery
from store.web.site import Page, Redirect, Site

MOST_PAGES = 8  # that are made at once: each may hold a value of `look.PAGE_BYTES`
ENDED = Refusal(503, "The program `store web` was ended before the page was made. After a form, look at the record.")
MOST_WRITES = 4  # of these: a write may wait for the lock of another program, and pages do not wait behind it
STATIC = {"page.css": "text/css", "page.js": "text/javascript"}
FOLDER = Path(routing.__file__).parent / "static"


def application(site: Site, door: Door, feeds: Feeds) -> ASGIApp:
    """The pages of a site as an ASGI application. `site.links` begin with the token of the door."""
    views = Views(site, feeds)
    routes = [
        Route("/events", Events(feeds, views.has_changed, site.clock), methods=["GET"]),
        Route("/static/{file}", views.static),
        Route("/do/{action}", views.act, methods=["POST"]),
        Route("/{path:path}", views.page),
    ]
    return Guard(Starlette(routes=routes), door)


class Guard:
    """Asks the door about each request, and gives each response the headers of pages."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            raise TypeError(f"{scope['type']!r} is not served: run it without lifespan and websockets")
        headers = Headers(scope=scope)
        refused = self._door.refusal(scope["method"], scope["path"], headers)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._app if refused is None else response_of(refused)
        await _ended_quietly(
            answer, scope if refused is not None else self._inside(scope), receive, send_with_headers
        )

    def _inside(self, scope: Scope) -> Scope:
        """The request as the routes see it, below the token."""
        return {**scope, "root_path": f"/{self._door.token}"}


async def _ended_quietly(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """An answer that the end of the server may cut off, which is no mistake, with a traceback."""
    has_begun = False

    async def send_noted(message: Message) -> None:
        nonlocal has_begun
        has_begun = True
        await send(message)

    try:
        await app(scope, receive, send_noted)
    except asyncio.CancelledError:  # the server has waited for the answer for as long as it does
        if not has_begun:
            await response_of(ENDED)(scope, receive, send)


class Views:
    """The endpoints of one site."""

    def __init__(self, site: Site, feeds: Feeds) -> None:
        self._site = site
        self._feeds = feeds
        self._static = {file: (FOLDER / file).read_bytes() for file in STATIC}
        self._free = asyncio.Semaphore(MOST_PAGES)
        self._may_write = asyncio.Semaphore(MOST_WRITES)

    async def page(self, request: Request) -> Response:
        """A page, as `routing.page_of` makes it."""
        path, query = request.path_params["path"], dict(request.query_params)
        if path or not self._site.live:
            return await self._answer(lambda: routing.page_of(self._site, path, query))
        async with self._feeds.kept(WHOLE_STORE):
            return await self._answer(lambda: routing.page_of(self._site, path, query))

    async def act(self, request: Request) -> Response:
        """The answer to a form."""
        try:
            fields = await form_of(request)
        except BadBody as exc:
            return response_of(Refusal(exc.status, str(exc)))
        action = request.path_params["action"]
        async with self._may_write:
            return await self._answer(lambda: forms.submit(self._site, action, fields))

    async def has_changed(self, query: Mapping[str, str]) -> bool:
        """Whether a page, whose events that query asks for, would show something else by now."""
        async with self._free:
            return await run_in_threadpool(self._would_differ, query)

    async def static(self, request: Request) -> Response:
        """The style sheet, or the script."""
        file = request.path_params["file"]
        if file not in STATIC:
            return response_of(NOTHING_HERE)
        return Response(self._static[file], media_type=STATIC[file])

    async def _answer(self, make: Callable[[], Page | Redirect]) -> Response:
        """Runs what reads or writes the store in a thread; a browser that goes away does not interrupt a write."""
        async with self._free:
            return await run_in_threadpool(self._response, make)

    def _response(self, make: Callable[[], Page | Redirect]) -> Response:
        try:
            return self._sent(make())
        except Exception as exc:  # all become a page that says what to do
            return self._sent(problem_page(exc))

    def _would_differ(self, query: Mapping[str, str]) -> bool:
        try:
            return marks.has_changed(self._site, query)
        except (StoreError, BadQuery):  # the page itself says what is wrong
            return True

    def _sent(self, made: Page | Redirect) -> Response:
        if isinstance(made, Redirect):
            return RedirectResponse(made.url, status_code=303)
        return HTMLResponse(document(self._site, made), made.status)
