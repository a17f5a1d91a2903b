"""Django's sessions on `store.sessions.Sessions`: a `SESSION_ENGINE`.

    SESSION_ENGINE = "store.integrations.django.sessions"
    STORE_SESSION_LOCATION = "sessions.db"          # a path, or a URL
    STORE_SESSION_OPTIONS = {"key": …}              # all options of `Sessions`; may be left out

A save merges what this request changed into the session as it is stored then, so two requests at once lose nothing;
`request.session.edit()` is for what depends on the old value, such as a number that is counted up. The interface is
that of https://docs.djangoproject.com/en/stable/topics/http/sessions/#extending-database-backed-session-engines
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.serializers import JSONSerializer
from django.core.exceptions import ImproperlyConfigured

from store.errors import Conflict, RecordError
from store.integrations.django.handles import handle
from store.sessions import NoSuchSession, Sessions
from store.sessions.merging import is_same, merge

R = TypeVar("R")
Data = dict[str, Any]

# Where Django reports sessions that it cannot decode.
_logger = logging.getLogger("django.security.SuspiciousSession")


def sessions() -> Sessions:
    """The sessions that the settings name, which all threads of the process share.

    Raises: ImproperlyConfigured: `STORE_SESSION_LOCATION` is missing, or there is a ttl beside Django's own.
    """
    location = getattr(settings, "STORE_SESSION_LOCATION", None)
    if not location:
        raise ImproperlyConfigured(
            f"SESSION_ENGINE {__name__!r} takes the setting STORE_SESSION_LOCATION: a path, or a URL"
        )
    options = getattr(settings, "STORE_SESSION_OPTIONS", {})
    if "ttl" in options:
        raise ImproperlyConfigured("STORE_SESSION_OPTIONS: leave ttl out, and set SESSION_COOKIE_AGE instead")
    return handle(Sessions, str(location), options)


class SessionStore(SessionBase):
    """The session of one visitor, as `request.session`.

    The file holds a hash of its key. A key that the client made up, or of a session that has ended, gives a new
    session with a key of its own; so does a record that cannot be read or trusted, which is logged.
    """

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self._before: Data | None = None  # the data stored at the last load or save; None: replace them all

    def exists(self, session_key: str | None) -> bool:
        return sessions().record(session_key) is not None

    def load(self) -> Data:
        opened = sessions()
        stored = opened.load(self.session_key)
        if stored is None:
            if opened.record(self.session_key) is not None:
                _logger.warning("A session of %s cannot be read or trusted; a new one begins", opened.location)
            self._session_key = None
            return {}
        self._before = copy.deepcopy(stored)
        return self._loaded(stored)

    def create(self) -> None:
        while True:
            self._session_key = self._get_new_session_key()
            try:
                self.save(must_create=True)
            except CreateError:
                continue
            self.modified = True
            return

    def save(self, must_create: bool = False) -> None:
        """Writes what changed since the session was loaded, and lets it live for its age from now.

        What others have saved meanwhile stays, as `store.sessions.merging` says. Where nothing changed, only the
        expiry is written.

        Raises:
            CreateError: `must_create`, and there is a session of that key. UpdateError: there is none any more.
            NotSerializable, StorageError…: as `Sessions.create`; the stored session does not change.
        """
        if self.session_key is None:
            self.create()
            return
        mine = self._stored(self._get_session(no_load=must_create))
        if must_create:
            self._make(mine)
        else:
            self._write(mine)
        self._before = copy.deepcopy(mine)

    @contextmanager
    def edit(self) -> Iterator[Data]:
        """Gives the data as they are stored now, to change: one atomic step between all threads and processes.

        Other writers wait, so be quick inside. What the request has changed already is saved before. An exception
        writes nothing. Call no other method of the session inside.

        Raises:
            SessionInterrupted: the session was ended meanwhile; Django answers with status 400.
        """
        self._get_session()  # a key that is unknown gives a new session
        try:
            if self.session_key is None or self.modified:
                self.save()
            with sessions().edit(self.session_key) as stored:
                data = self._loaded(copy.deepcopy(stored))
                yield data
                made = self._stored(data)
                stored.clear()
                stored.update(made)
        except (NoSuchSession, UpdateError):
            raise SessionInterrupted("The session was ended, perhaps by a logout in another request.") from None
        self._session_cache, self._before = data, copy.deepcopy(made)
        self.accessed = True

    async def amodify(self, fn: Callable[[Data], R]) -> R:
        """Calls `fn` with the data inside of `edit`, in a thread, and returns what it returns."""

        def modify() -> R:
            with self.edit() as data:
                return fn(data)

        return await sync_to_async(modify)()

    def clear(self) -> None:
        super().clear()
        self._before = None

    def delete(self, session_key: str | None = None) -> None:
        key = self.session_key if session_key is None else session_key
        if key is not None:
            sessions().delete(key)

    def cycle_key(self) -> None:
        """Moves the session to a new key, as one step: what other requests have saved stays.

        One that has ended since it was loaded stays ended, and a new one begins without its data.
        """
        self._get_session()
        old = self.session_key
        if old is None:
            super().cycle_key()
            return
        key = self._get_new_session_key()
        if sessions().rotate(old, new=key, ttl=max(self.get_expiry_age(), 1)) is None:
            self.clear()
            self.create()
            return
        self._session_key = key
        self.modified = True

    async def acycle_key(self) -> None:
        await sync_to_async(self.cycle_key)()

    @classmethod
    def clear_expired(cls) -> None:
        """Deletes the expired sessions; `manage.py clearsessions` calls it."""
        sessions().clear_expired()

    @classmethod
    def end_all(cls, user: Any) -> int:
        """Ends all sessions that a user is logged in to; returns how many. It reads every session.

        `user` is a user of `django.contrib.auth`, or its primary key.
        """
        key, ended, store = str(getattr(user, "pk", user)), 0, sessions().store
        while True:
            found = [_user_of(store, name) for name in list(store)]
            ended += sum(store.delete(name) for name, of in found if of == key)
            if all(of is not _MOVED and of != key for _, of in found):
                return ended

    @classmethod
    async def aend_all(cls, user: Any) -> int:
        """As `end_all`, to be awaited."""
        return await sync_to_async(cls.end_all)(user)

    # -- how it is done

    def _make(self, mine: Data) -> None:
        """Stores a new session. Raises: CreateError."""
        seconds = self.get_expiry_age()
        if seconds <= 0:
            return
        try:
            sessions().create(mine, id=self.session_key, ttl=seconds)
        except Conflict:
            raise CreateError from None

    def _write(self, mine: Data) -> None:
        """Changes the stored session. Raises: UpdateError."""
        key, before, seconds, opened = self.session_key, self._before, self.get_expiry_age(), sessions()
        if seconds <= 0:
            saved = opened.delete(key)
        elif before is None:
            saved = opened.save(key, mine, ttl=seconds)
        elif is_same(before, mine):
            saved = opened.touch(key, ttl=seconds)
        else:
            saved = opened.modify(key, lambda theirs: merge(before, mine, theirs), ttl=seconds)
        if not saved:
            raise UpdateError

    def _stored(self, data: Data) -> Data:
        """What is stored of these data: with the codec "json" that which `SESSION_SERIALIZER` makes of them."""
        if not _uses_serializer():
            return data
        try:
            return json.loads(self.serializer().dumps(data))
        except ValueError as exc:
            raise ImproperlyConfigured(
                f"SESSION_SERIALIZER {settings.SESSION_SERIALIZER!r} does not make JSON: set STORE_SESSION_OPTIONS = "
                '{"codec": "pickle"}, which stores the objects of a session themselves'
            ) from exc

    def _loaded(self, stored: Data) -> Data:
        """The data of which that is stored."""
        if not _uses_serializer() or self.serializer is JSONSerializer:
            return stored
        return self.serializer().loads(json.dumps(stored, separators=(",", ":")).encode())


_MOVED = object()


def _uses_serializer() -> bool:
    return getattr(settings, "STORE_SESSION_OPTIONS", {}).get("codec", "json") == "json"


def _user_of(store: Mapping[str, Any], name: str) -> tuple[str, object]:
    """The name of a record, and the user who is logged in to it; _MOVED: it is gone, perhaps to another name."""
    try:
        data = store.get(name, _MOVED)
    except RecordError:  # no session to anybody
        return name, None
    return name, data.get(SESSION_KEY) if isinstance(data, dict) else data
