"""`StoreSession`: what `request.session` is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.requests import HTTPConnection

from store.errors import StoreError
from store.integrations.starlette.access import SessionAccess
from store.opened.sentinels import UNSET, Unset
from store.sessions import NoSuchSession, Sessions
from store.sessions.merging import is_same, merge

T = TypeVar("T")


class StoreSession(dict[str, Any]):
    """The data of a visitor, as a dict of this request; they are stored just before the response starts.

    What two requests change at once is merged: different keys, also of dicts inside, and what both append to a list.
    For any other change that depends on what is there, a counter for example, use `edit` or `aedit`.
    """

    def __init__(self, access: SessionAccess, id: str | None, data: dict[str, Any]) -> None:
        super().__init__(data)
        self._access, self._id = access, id
        self._before = copy.deepcopy(data)
        self._was_asked_for = False
        self._marked = self._cleared = self._rotates = self._has_started = False
        self._user: str | Unset | None = UNSET
        self.is_deleted = False  # the visitor's cookie has to go

    # -- for the application

    def rotate(self, *, user: str | Unset | None = UNSET) -> None:
        """Gives the visitor a new id with this response; the old one is dead. Call it at each login.

        With the name of the `user`, `Sessions.by(user)` lists and ends the session; None is nobody's.

        Raises:
            StoreError: the response, or the websocket, has started without the new cookie.
        """
        if self._has_started:
            raise StoreError("the response has started, and its cookie cannot be changed: call rotate() before")
        self._rotates, self._user = True, user

    def edit(self, change: Callable[[dict[str, Any]], T]) -> T:
        """Returns `change(data)`, one atomic step on what is stored, which is written at once.

        For `def` endpoints: it waits for the store. Other changes of this request are stored with the response as
        ever. A session that has no id yet is changed in this request alone, since no other one can have it.

        Raises:
            NoSuchSession: a `KeyError`; somebody has logged the visitor out meanwhile.
        """
        if self._id is None:
            return change(self)
        return self._edited(*_edit(self._access.sessions, self._id, change))

    async def aedit(self, change: Callable[[dict[str, Any]], T]) -> T:
        """As `edit`, for `async def` endpoints and websockets; `change` is an ordinary function."""
        id = self._id
        if id is None:
            return change(self)
        return self._edited(*await self._access.run(lambda sessions: _edit(sessions, id, change)))

    async def end_others(self, user: str) -> int:
        """Logs a user out everywhere else; returns how many sessions were ended.

        This one, if it is of that user, goes on; `clear` it to end it too.
        """
        return await self._access.run(lambda sessions: sessions.by(user).end(but=self._id))

    def clear(self) -> None:
        """Empties the session: with the response it is deleted, and what is set afterwards is in a new one."""
        self._cleared = True
        super().clear()

    @property
    def modified(self) -> bool:
        """Whether it differs from the stored data, in a value inside too, or was marked so."""
        return self._marked or self._cleared or self._rotates or not is_same(self._before, dict(self))

    @property
    def accessed(self) -> bool:
        """Whether the request asked for it, so that the answer depends on the cookie."""
        return self._was_asked_for or self.modified

    def mark_accessed(self) -> None:
        """Starlette calls it for `request.session`."""
        self._was_asked_for = True

    def mark_modified(self) -> None:
        """Store it, and renew its life, even if it is unchanged."""
        self._marked = True

    # -- for the middleware

    @property
    def has_id(self) -> bool:
        """Whether the visitor has a cookie of a session that is there, as far as this request knows."""
        return self._id is not None

    def start(self) -> None:
        """The headers are sent: from now on there is neither a new session nor a new id, as no cookie can say so."""
        self._has_started = True

    def save(self, sessions: Sessions) -> str | None:
        """Stores the changes; returns the visitor's id, or None where there is no such session, or no more.

        Raises: as `Sessions`; the stored session is unchanged.
        """
        if self._id is not None and self._cleared and not self:
            sessions.delete(self._id)
            self.is_deleted, id = True, None
        elif self._id is not None:
            id = self._replace(sessions, self._id)
        else:
            user = None if self._user is UNSET else self._user
            id = sessions.create(dict(self), user=user) if self and not self._has_started else None
        if id is not None or self.is_deleted:  # else it keeps the id of what is gone, which `edit` will not find
            self._id = id
        self._before = copy.deepcopy(dict(self))
        self._marked = self._cleared = self._rotates = False
        return id

    def touch(self, sessions: Sessions) -> str | None:
        """Renews the life of the session; returns the visitor's id, or None where there is no such session."""
        return self._id if sessions.touch(self._id) else None

    def _replace(self, sessions: Sessions, id: str) -> str | None:
        if (self._rotates or self._cleared) and not self._has_started:
            user = None if self._cleared and self._user is UNSET else self._user
            return sessions.rotate(id, ttl=sessions.ttl, user=user, change=self._change)
        try:
            sessions.touch(id)  # first: a disk that is full then leaves the data unchanged
            with sessions.edit(id) as data:
                self._change(data)
        except NoSuchSession:
            return None
        return id

    def _change(self, data: dict[str, Any]) -> None:
        if self._cleared:
            data.clear()
        merged = merge(self._before, dict(self), data)
        data.clear()
        data.update(merged)

    def _edited(self, result: T, stored: dict[str, Any]) -> T:
        """Shows what is stored now, with the changes of this request that are not."""
        shown = merge(self._before, dict(self), copy.deepcopy(stored))
        self._before = stored
        super().clear()
        self.update(shown)
        return result

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return dict, (dict(self),)  # a copy is plain data, without the id


def session_of(connection: HTTPConnection) -> StoreSession:
    """The session of a request or a websocket; `Depends(session_of)` is a dependency of FastAPI.

    Raises:
        TypeError: there is none, or one of another middleware.
    """
    session = connection.scope.get("session")
    if not isinstance(session, StoreSession):
        raise TypeError("there is no session of a store: app.add_middleware(StoreSessionMiddleware, location=…)")
    session.mark_accessed()
    return session


def _edit(sessions: Sessions, id: str, change: Callable[[dict[str, Any]], T]) -> tuple[T, dict[str, Any]]:
    with sessions.edit(id) as data:
        result = change(data)
    return result, copy.deepcopy(data)
