"""Flask: sessions on a store, in place of the signed cookie.

    from store.integrations.flask import StoreSessionInterface

    app.session_interface = StoreSessionInterface("app.db")

The cookie has an id, and the store has the data under a hash of it; no `SECRET_KEY` is needed. At login call
`app.session_interface.regenerate(session)`, as with Flask-Session. https://flask.palletsprojects.com/en/stable/api/
"""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Unpack

from flask import Flask, Request, Response
from flask.sessions import SessionInterface, SessionMixin
from markupsafe import Markup
from werkzeug.datastructures import CallbackDict

from store.errors import Conflict, Unsupported
from store.mapping.store import Store
from store.opened.sentinels import UNSET, Unset
from store.sessions import Sessions
from store.sessions.merging import is_same, merge
from store.sessions.options import SessionsOptions
from store.sessions.tagged import Tag, TaggedJSON

CODEC = TaggedJSON({Markup: Tag("markup", str, Markup)})


class StoreSession(CallbackDict, SessionMixin):
    """The `flask.session` of one request; not for several threads.

    Attributes:
        id: what the cookie has; None while the session is new.
        before: the data as they are stored, to tell what the request changed, inside of lists and dicts too.
        regenerates: whether it gets a new id when it is saved, and then it is `user`'s.
    """

    modified = False
    before: dict[str, Any]
    user: str | Unset | None

    def __init__(self, data: dict[str, Any] | None = None, id: str | None = None) -> None:
        super().__init__(data, _mark_modified)
        self.new = id is None
        self.stored(id)

    def is_changed(self) -> bool:
        """Whether the data are other than those that are stored."""
        return not is_same(self.before, dict(self))

    def stored(self, id: str | None) -> None:
        """Remember that the data are stored as they are now, under that id; None: there are none."""
        self.id, self.regenerates, self.user = id, False, UNSET
        self.before = copy.deepcopy(dict(self))

    def rebase(self, data: dict[str, Any]) -> None:
        """Take over stored data, with what the request changed."""
        mine = merge(self.before, dict(self), data)
        self.before = copy.deepcopy(data)
        dict.clear(self)
        dict.update(self, mine)


def _merge_into(data: dict[str, Any], session: StoreSession) -> None:
    """Changes stored data as the request changed the session."""
    merged = merge(session.before, dict(session), data)
    data.clear()
    data.update(merged)


def _mark_modified(session: StoreSession) -> None:
    session.modified = True


class StoreSessionInterface(SessionInterface):
    """Opens and saves the sessions of an application. Safe across threads, greenlets, processes and forks.

    Two requests of one session at once lose nothing: what a request changed is merged into the session as it is then,
    as `store.sessions.merging` says; for counting up, there is `edit`. What a request changed of a session that ended
    meanwhile, by logout, `regenerate` or expiry, is dropped, and its response leaves the cookie alone.

    Lifetime and cookie are as Flask's configuration has them (`PERMANENT_SESSION_LIFETIME`,
    `SESSION_REFRESH_EACH_REQUEST`, `SESSION_COOKIE_…`). A session lives that long in the store also where its cookie
    ends with the browser.

    Attributes:
        sessions: the `Sessions`, to list, count or end them.

    Args:
        location: a path or URL, or an open `Store`, as of `Sessions`.
        imported: the namespace with sessions that `store import flask-session` copied: a visitor who comes with such
            an id keeps the data, and the id where it is a long and random one.
        key_prefix: the `SESSION_KEY_PREFIX` that those had.
        options: of `Sessions`, but for `ttl`, which is Flask's. The codec is JSON with tags for tuples, dates, sets,
            bytes, `Decimal`, `UUID` and `Markup`; "pickle" holds any object.

    Raises:
        As `Sessions`.
    """

    session_class = StoreSession

    def __init__(
        self,
        location: str | os.PathLike[str] | Store[Any],
        *,
        imported: str | None = None,
        key_prefix: str = "session:",
        **options: Unpack[SessionsOptions],
    ) -> None:
        if "ttl" in options:
            raise TypeError("ttl: set PERMANENT_SESSION_LIFETIME of the application instead")
        options.setdefault("codec", CODEC)
        self.sessions = Sessions(location, **options)
        self.pickle_based = options["codec"] == "pickle"  # for extensions that ask Flask
        self._imported = None if imported is None else self.sessions.store.within(imported)
        self._key_prefix = key_prefix

    def open_session(self, app: Flask, request: Request) -> StoreSession:
        """The session of the request's cookie; a new one where the cookie has no id that is known here."""
        id = request.cookies.get(self.get_cookie_name(app))
        rejected = self.sessions.rejected
        data = self.sessions.load(id)
        if self.sessions.rejected > rejected:
            app.logger.warning("A session in %s cannot be read; the visitor gets a new one", self.sessions.location)
        if data is not None:
            return self.session_class(data, id)
        adopted = None
        if id and self._imported is not None:
            adopted = self._adopt(self._imported, id, app.permanent_session_lifetime.total_seconds())
        return self.session_class() if adopted is None else adopted

    def save_session(self, app: Flask, session: StoreSession, response: Response) -> None:
        """Stores what the request changed, and sets the cookie. Flask calls it again for its page of an error."""
        if session.accessed:
            response.vary.add("Cookie")
        session.modified = session.modified or session.is_changed()
        if session:
            if self._save(app, session) and self.should_set_cookie(app, session):
                expires = self.get_expiration_time(app, session)
                response.set_cookie(value=session.id, expires=expires, **self._cookie(app))
                response.vary.add("Cookie")
        elif session.modified:
            self.sessions.delete(session.id)
            session.stored(None)
            response.delete_cookie(**self._cookie(app))
            response.vary.add("Cookie")

    def is_null_session(self, obj: object) -> bool:
        """Whether there is nothing to save; opening the session failed, and this is the page of the error, too."""
        return obj is None or super().is_null_session(obj)

    def regenerate(self, session: StoreSession, user: str | Unset | None = UNSET) -> None:
        """Gives the session a new id, in the step that saves it. Call it whenever the visitor's rights change.

        `user` names whose session it is from then on, None nobody's: `sessions.by(user)` finds it.
        """
        session.regenerates = session.modified = True
        session.user = user

    @contextmanager
    def edit(self, session: StoreSession) -> Iterator[dict[str, Any]]:
        """Gives the data as they are stored now, and writes them back: one atomic step, as `Sessions.edit`.

        The session has them afterwards, beside what the request changed before. Raises: NoSuchSession: it has ended.
        """
        if session.id is None or session.regenerates:  # nobody else has the id that it gets
            yield session
            return
        with self.sessions.edit(session.id) as data:
            yield data
        session.rebase(data)

    def close(self) -> None:
        """Closes; a second call does nothing. A `Store` that was passed in stays open."""
        if self._imported is not None:
            self._imported.close()
        self.sessions.close()

    # -- how it is done

    def _save(self, app: Flask, session: StoreSession) -> bool:
        """Whether the session lives, and is stored; False: it has ended since the request began."""
        seconds = app.permanent_session_lifetime.total_seconds()
        if session.id is not None and session.regenerates:
            self._regenerate(session, seconds)
        if session.id is None:
            user = None if session.user is UNSET else session.user
            session.stored(self.sessions.create(dict(session), ttl=seconds, user=user))
            return True
        refreshes = session.modified or app.config["SESSION_REFRESH_EACH_REQUEST"]
        if session.is_changed():
            if not self._write(session.id, session, seconds if refreshes else UNSET):
                return False
            session.stored(session.id)
        elif refreshes:
            return self.sessions.touch(session.id, ttl=seconds)
        return True

    def _write(self, id: str, session: StoreSession, ttl: float | Unset = UNSET) -> bool:
        """Stores what the request changed, with a new lifetime if one is given; returns whether it lives."""
        return self.sessions.modify(id, lambda data: merge(session.before, dict(session), data), ttl=ttl)

    def _regenerate(self, session: StoreSession, seconds: float) -> None:
        """Moves the session to a new id with what the request changed: the old id never has the new rights."""
        change = partial(_merge_into, session=session)
        id = self.sessions.rotate(session.id, ttl=seconds, user=session.user, change=change)
        if id is None:  # it has ended: what this request changed begins another one
            session.rebase({})
            session.id = None
        else:
            session.stored(id)

    def _adopt(self, imported: Store[Any], id: str, seconds: float) -> StoreSession | None:
        """An imported session, which is one of `sessions` from now on."""
        key = (self._key_prefix + id).encode("utf-8", "surrogateescape")
        for method in ("sha256", "md5"):  # the latter by old releases of cachelib
            name = hashlib.new(method, key, usedforsecurity=False).hexdigest()
            if name in imported:
                try:
                    adopted = self._move(imported, name, id, seconds)
                except (Unsupported, Conflict):  # transactions of this engine are of one namespace, or optimistic
                    adopted = self._copy_and_delete(imported, name, id, seconds)
                if adopted is not None:
                    return adopted
        data = self.sessions.load(id)  # another request may have been first
        return None if data is None else self.session_class(data, id)

    def _move(self, imported: Store[Any], name: str, id: str, seconds: float) -> StoreSession | None:
        """Moves an imported session in one step. Raises: Unsupported."""
        with self.sessions.store.transaction(imported):
            data = imported.pop(name, None)
            return self._take_over(data, id, seconds) if isinstance(data, dict) else None

    def _copy_and_delete(self, imported: Store[Any], name: str, id: str, seconds: float) -> StoreSession | None:
        """Moves it in two steps: of several requests at once one makes the session, and the others find it."""
        try:
            data, record = imported.get_with_record(name)
            if not isinstance(data, dict):
                imported.delete(name, if_version=record)
                return None
            adopted = self._take_over(data, id, seconds)
        except (KeyError, Conflict):
            return None
        try:
            imported.delete(name, if_version=record)
        except Conflict:  # another request had moved it already, and that session has ended
            self.sessions.delete(adopted.id)
            return None
        return adopted

    def _take_over(self, data: dict[str, Any], id: str, seconds: float) -> StoreSession:
        try:
            return self.session_class(data, self.sessions.create(data, id=id, ttl=seconds))
        except ValueError:  # an id that is too short, or no random one, is replaced
            session = self.session_class(data, self.sessions.create(data, ttl=seconds))
            session.modified = True  # so that the cookie is set
            return session

    def _cookie(self, app: Flask) -> dict[str, Any]:
        return {
            "key": self.get_cookie_name(app),
            "domain": self.get_cookie_domain(app),
            "path": self.get_cookie_path(app),
            "secure": self.get_cookie_secure(app),
            "httponly": self.get_cookie_httponly(app),
            "samesite": self.get_cookie_samesite(app),
            "partitioned": self.get_cookie_partitioned(app),
        }
