"""`StoreSessionMiddleware`: `request.session` on the server, for Starlette and FastAPI."""

from __future__ import annotations

from typing import Literal, Unpack

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from store.integrations.starlette.access import Location, SessionAccess, load
from store.integrations.starlette.session import StoreSession
from store.sessions import TWO_WEEKS
from store.sessions.options import SessionsOptions

_WITH_HEADERS = {"http.response.start", "websocket.accept", "websocket.http.response.start"}


class StoreSessionMiddleware:
    """Gives each request a `StoreSession`, and the visitor a cookie with its id as soon as there is something in it.

        app.add_middleware(StoreSessionMiddleware, location="app.db")

    It is stored before the response starts, so the visitor has no answer to a change that is not stored: an error of
    the disk is a 500, and the stored session is unchanged. What is changed later, while a response is streamed or in
    a background task, comes too late, but for `session.edit`. A websocket's session is also stored when it is closed.
    A session that was deleted or rotated meanwhile is not stored, and nothing of it comes back.

    Args:
        location: a path or URL; or an open `Store`, which stays open, and has trust="own" (see `Sessions`). One
            middleware serves all event loops and threads, and each process that is forked.
        max_age: seconds that a session lives after it was changed, and the cookie with it. None: the cookie lives as
            long as the browser runs, and the session for the `ttl` among the options, or two weeks.
        sliding: each request renews both. The data are not written again for it.
        session_cookie, path, same_site, https_only, domain, partitioned: of the cookie, as Starlette's own have them.
        options: of `Sessions`: namespace, codec, key, timeout…

    Raises:
        TypeError, ValueError: as `Sessions`, and StoreError, at the startup of the application.
    """

    def __init__(
        self,
        app: ASGIApp,
        location: Location,
        *,
        session_cookie: str = "session",
        max_age: int | None = int(TWO_WEEKS),
        sliding: bool = False,
        path: str = "/",
        same_site: Literal["lax", "strict", "none"] = "lax",
        https_only: bool = False,
        domain: str | None = None,
        partitioned: bool = False,
        **options: Unpack[SessionsOptions],
    ) -> None:
        if max_age is not None and not max_age > 0:
            raise ValueError(f"max_age is a number of seconds above 0, or None for the browser's, not {max_age}")
        if max_age is not None and options.setdefault("ttl", max_age) != max_age:
            raise ValueError("max_age is the lifetime of a session: leave ttl out, or pass max_age=None")
        self.app, self.access = app, SessionAccess(location, options)
        self.session_cookie, self.max_age, self.sliding = session_cookie, max_age, sliding
        domain_flag = "" if domain is None else f"; domain={domain}"
        secure, apart = "; secure" if https_only else "", "; partitioned" if partitioned else ""
        self._lead, self._flags = f"path={path}; ", f"httponly; samesite={same_site}{secure}{domain_flag}{apart}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            async with self.access.serving():
                await self.app(scope, receive, send)
        elif scope["type"] in ("http", "websocket"):
            await self._serve(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        id = HTTPConnection(scope).cookies.get(self.session_cookie)
        data = None if id is None else await self.access.run(lambda sessions: load(sessions, id))
        scope["session"] = StoreSession(self.access, None if data is None else id, data or {})

        async def sending(message: Message) -> None:
            if message["type"] in _WITH_HEADERS:
                await self._save(scope["session"], message)
            elif message["type"] == "websocket.close":
                await self._save(scope["session"])
            await send(message)

        await self.app(scope, receive, sending)
        if scope["type"] == "websocket":
            await self._save(scope["session"])

    async def _save(self, session: StoreSession, message: Message | None = None) -> None:
        """Stores what has changed, and adds the cookie to a message that has headers."""
        was_accessed = session.accessed  # and not modified any more, once it is stored
        work = session.save if session.modified else session.touch if self.sliding and session.has_id else None
        id = None if work is None else await self.access.run(work)
        if message is None:
            return
        session.start()
        message["headers"] = list(message.get("headers", ()))
        headers = MutableHeaders(scope=message)
        if was_accessed:
            headers.add_vary_header("Cookie")
        if id is not None:
            age = "" if self.max_age is None else f"Max-Age={self.max_age}; "
            headers.append("Set-Cookie", f"{self.session_cookie}={id}; {self._lead}{age}{self._flags}")
        elif session.is_deleted:
            past = "expires=Thu, 01 Jan 1970 00:00:00 GMT; "
            headers.append("Set-Cookie", f"{self.session_cookie}=null; {self._lead}{past}{self._flags}")
