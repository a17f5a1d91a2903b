"""A storage of aiohttp-session: `setup(app, StoreStorage("app.db", max_age=3600))`. Only an id is in the cookie."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp_session import AbstractStorage, Session

from store.mapping.store import Store
from store.opened.sentinels import MISSING, UNSET
from store.sessions import NoSuchSession, Sessions
from store.sessions.sessions import TWO_WEEKS

log = logging.getLogger(__name__)
# Where a request has the session that was loaded; aiohttp warns of keys that are text since it has others.
_LOADED = getattr(web, "RequestKey", lambda name, _: name)("store.integrations.aiohttp.loaded", dict)


class StoreStorage(AbstractStorage):
    """Sessions in one location. Safe across threads and their event loops, processes and forks.

    Requests of one session at once lose nothing: of each, the keys that it changed are saved. One that is late by a
    logout saves nothing. An id that is unknown gives a new session, and `new_session(request)`, which belongs in a
    login, ends the one that the visitor had. Use `session.changed()` after changing a value in place.

    Args:
        location, options: those of `store.sessions.Sessions`, such as key, codec, namespace and ttl.
        cookie: of aiohttp-session: cookie_name, domain, max_age, path, secure, httponly, samesite. A session lives
            for `max_age` seconds from its last change; without it, for the `ttl`.
    """

    def __init__(
        self,
        location: str | os.PathLike[str] | Store[Any],
        *,
        options: Mapping[str, Any] | None = None,
        **cookie: Any,
    ) -> None:
        super().__init__(**cookie)
        self.sessions = Sessions(location, **{"ttl": self.max_age or TWO_WEEKS, **(options or {})})

    async def load_session(self, request: web.Request) -> Session:
        """Returns the visitor's session, or a new one."""
        id = self.load_cookie(request)
        data = await asyncio.to_thread(self._load, id) if id else None
        request[_LOADED] = copy.deepcopy(data or {})
        return Session(None if data is None else id, data=data, new=data is None, max_age=self.max_age)

    def _load(self, id: str) -> Any:
        rejected = self.sessions.rejected
        data = self.sessions.load(id)
        if self.sessions.rejected != rejected:
            log.warning("a session cannot be read or trusted, and the visitor gets a new one")
        return data if data is None or isinstance(data.get("session"), dict) else None

    async def save_session(self, request: web.Request, response: web.StreamResponse, session: Session) -> None:
        """Saves what the request changed, and sets or deletes the cookie. Raises: NotSerializable, StorageError."""
        id = await asyncio.to_thread(self._save, request, session, self._get_session_data(session))
        if id is not None:
            self.save_cookie(response, id, max_age=session.max_age)

    def _save(self, request: web.Request, session: Session, data: Any) -> str | None:
        """The id for the cookie: empty, to delete it; None, to leave it as it is."""
        ttl = session.max_age or UNSET
        if session.new:
            id = self.sessions.create(data, id=session.identity, ttl=ttl) if data else ""
            if request.get(_LOADED, True):  # a record that could not be read stays
                self.sessions.delete(self.load_cookie(request))
            return id
        if not data:
            self.sessions.delete(session.identity)
            return ""
        try:
            with self.sessions.edit(session.identity) as stored:
                _merge(request[_LOADED].get("session", {}), data["session"], stored["session"])
                stored["created"] = data["created"]
        except NoSuchSession:
            log.info("a request was late: its session had been ended, and was not saved")
            return None
        self.sessions.touch(session.identity, ttl=ttl)
        return str(session.identity)

    def close(self) -> None:
        """Closes the sessions; a second call does nothing."""
        self.sessions.close()


def _merge(before: dict[str, Any], after: dict[str, Any], stored: dict[str, Any]) -> None:
    """Makes the changes from `before` to `after` in `stored`, key by key."""
    for key in before.keys() | after.keys():
        value = after.get(key, MISSING)
        if value is MISSING:
            stored.pop(key, None)
        elif value != before.get(key, MISSING):
            stored[key] = value
