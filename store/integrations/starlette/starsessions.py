"""`StarsessionsStore`: a store for the `SessionMiddleware` of starsessions."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from threading import Lock
from typing import Any, Unpack

from starlette.requests import HTTPConnection
from starsessions import JsonSerializer, Serializer, SessionStore, get_session_id

from store.integrations.starlette.access import Location, SessionAccess, load
from store.opened.sentinels import UNSET, Unset
from store.sessions import NoSuchSession, Sessions
from store.sessions.merging import merge
from store.sessions.options import SessionsOptions

IN_FLIGHT = 10_000  # requests whose sessions were read and not yet written; beyond it the oldest are forgotten


class StarsessionsStore(SessionStore):
    """Sessions of starsessions, for all event loops and threads of a process.

        app.add_middleware(starsessions.SessionMiddleware, store=StarsessionsStore("app.db"), lifetime=3600)

    An unknown id of a client is never taken: `write` returns a new one, which starsessions puts into the cookie. What
    two requests change at once is merged key by key. A session that was deleted or rotated since the request read it
    is not written. starsessions writes with each response, so a rolling lifetime rewrites the session.

    At a login call `store.rotate(request)`. starsessions 2.2 has `regenerate_session_id` for it, which leaves the
    session under the old id as it is, in any store.

    Args:
        location: a path or URL; or an open `Store`, which stays open, and has trust="own".
        serializer: that of the middleware, by which changes of two requests are merged. If what it makes is no
            dict, the last one to write wins.
        options: of `Sessions`: namespace ("starsessions"), key, timeout…; `ttl` is for sessions that last as long as
            the browser runs.
    """

    def __init__(
        self, location: Location, *, serializer: Serializer | None = None, **options: Unpack[SessionsOptions]
    ) -> None:
        options.setdefault("namespace", "starsessions")  # its records are not those of the middleware
        options.setdefault("codec", "pickle")  # for bytes
        self._access = SessionAccess(location, options)
        self._serializer = serializer or JsonSerializer()
        self._readings = Readings()

    async def read(self, session_id: str, lifetime: int) -> bytes:
        """The data of a session, empty where there is none."""
        data = await self._access.run(lambda sessions: load(sessions, session_id))
        found = None if data is None else data.get("data")
        if not isinstance(found, bytes):  # written by another program, as a session of its own
            return b""
        self._readings.add(session_id, found)
        return found

    async def write(self, session_id: str, data: bytes, lifetime: int, ttl: int) -> str:
        """Stores a session, for `ttl` seconds if it has a lifetime; returns its id, which may be a new one."""
        reading = self._readings.pop(session_id)
        seconds = max(1, ttl) if lifetime else UNSET
        return await self._access.run(lambda sessions: self._put(sessions, session_id, data, seconds, reading))

    async def remove(self, session_id: str) -> None:
        """Deletes a session, if there is one."""
        self._readings.pop(session_id)
        await self._access.run(lambda sessions: sessions.delete(session_id))

    def rotate(self, connection: HTTPConnection) -> None:
        """Gives the visitor a new id with this response; the old one is dead. Call it at each login, once loaded."""
        self._readings.mark_rotated(get_session_id(connection))

    def serving(self) -> AbstractAsyncContextManager[None]:
        """For the lifespan of an application: `Starlette(lifespan=lambda app: store.serving())`. Closes at its end.

        A server such as PostgreSQL is waited for in the event loop then, and otherwise in threads.
        """
        return self._access.serving()

    def close(self) -> None:
        """Closes the sessions, where no lifespan does it; the next use opens them again."""
        self._access.close()

    def _put(self, sessions: Sessions, id: str, data: bytes, seconds: float | Unset, reading: Reading | None) -> str:
        def change(stored: dict[str, Any]) -> None:
            stored["data"] = data if reading is None else self._merged(reading.data, data, stored["data"])

        if reading is not None and reading.rotates:
            return sessions.rotate(id, ttl=seconds, change=change) or id
        try:
            sessions.touch(id, ttl=seconds)  # first: a disk that is full then leaves the data unchanged
            with sessions.edit(id) as stored:
                change(stored)
        except NoSuchSession:
            if reading is None:
                return sessions.create({"data": data}, ttl=seconds)
        return id

    def _merged(self, before: bytes, after: bytes, stored: bytes) -> bytes:
        if before == stored:
            return after
        old, new, there = map(self._serializer.deserialize, (before, after, stored))
        if not (isinstance(old, dict) and isinstance(new, dict) and isinstance(there, dict)):
            return after
        return self._serializer.serialize(merge(old, new, there))


class Reading:
    """What a request read. `id` is its own str object, which starsessions hands to `write` again."""

    def __init__(self, id: str, data: bytes) -> None:
        self.id, self.data, self.rotates = id, data, False


class Readings:
    """Which requests have read which session: by the identity of the str that each has parsed from its own cookie.

    The interface of starsessions tells neither which request writes, nor whether it had found the session. A context
    variable does not either: a `BaseHTTPMiddleware` runs the endpoint in a context of its own.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_identity: dict[int, Reading] = {}  # each keeps its str alive, so no other one has that identity

    def add(self, session_id: str, data: bytes) -> None:
        with self._lock:
            self._by_identity.pop(id(session_id), None)
            self._by_identity[id(session_id)] = Reading(session_id, data)
            if len(self._by_identity) > IN_FLIGHT:
                del self._by_identity[next(iter(self._by_identity))]

    def pop(self, session_id: str) -> Reading | None:
        with self._lock:
            return self._by_identity.pop(id(session_id), None)

    def mark_rotated(self, session_id: str | None) -> None:
        with self._lock:
            reading = self._by_identity.get(id(session_id))
            if reading is not None:
                reading.rotates = True
