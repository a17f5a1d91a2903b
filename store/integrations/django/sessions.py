"""Django's sessions on `store.sessions.Sessions`: a `SESSION_ENGINE`.

    SESSION_ENGINE = "store.integrations.django.sessions"
    STORE_SESSION_LOCATION = "sessions.db"          # a path, or a URL
    STORE_SESSION_OPTIONS = {"key": …}              # all options of `Sessions`; may be left out

A save writes the keys of the session that this request changed, so requests of one session that change different keys
lose nothing; for one key that several change, `request.session.modify` is one atomic step. The interface is that of
https://docs.djangoproject.com/en/stable/topics/http/sessions/#extending-database-backed-session-engines
"""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.serializers import JSONSerializer
from django.core.exceptions import ImproperlyConfigured

from store.errors import Conflict
from store.integrations.django.handles import handle
from store.sessions import Sessions

R = TypeVar("R")
Data = dict[str, Any]

_logger = logging.getLogger("django.security.SuspiciousSession")  # where Django reports sessions that it cannot decode
_ENDED = "The session was ended, perhaps by a logout in another request; the visitor begins a new one."


def sessions() -> Sessions:
    """The sessions that the settings name, which all threads of the process share.

    Raises: ImproperlyConfigured: `STORE_SESSION_LOCATION` is missing.
    """
    location = getattr(settings, "STORE_SESSION_LOCATION", None)
    if not location:
        raise ImproperlyConfigured(
            f"SESSION_ENGINE {__name__!r} takes the setting STORE_SESSION_LOCATION: a path, or a URL"
        )
    return handle(Sessions, str(location), getattr(settings, "STORE_SESSION_OPTIONS", {}))


class SessionStore(SessionBase):
    """The session of one visitor, as `request.session`.

    The file holds a hash of its key. A key that the client made up, or of a session that has ended, gives a new
    session with a key of its own; so does a record that cannot be read or trusted, which is logged.
    """

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        # What each key held when it was loaded or saved last; None: unknown, so that a save replaces everything.
        self._known: dict[str, object] | None = None

    def exists(self, session_key: str | None) -> bool:
        return sessions().record(session_key) is not None

    def load(self) -> Data:
        opened = sessions()
        stored = opened.load(self.session_key)
        if stored is None:
            if opened.record(self.session_key) is not None:
                _logger.warning("Session data of %s cannot be read or trusted; a new one begins", opened.location)
            self._session_key = None
            return {}
        self._known = _prints(stored)
        return _loaded(self, stored)

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
        """Writes the keys that changed since the session was loaded, and lets it live for its age from now.

        Where none changed, only the expiry is written.

        Raises:
            CreateError: `must_create`, and there is a session of that key. UpdateError: there is none any more.
            NotSerializable, StorageError…: as `Sessions.create`; the session stays as it was.
        """
        if self.session_key is None:
            self.create()
            return
        mine = _stored(self, self._get_session(no_load=must_create))
        seconds = self.get_expiry_age()
        if seconds <= 0:
            saved = must_create or sessions().delete(self.session_key)
        elif must_create:
            saved = self._make(mine, seconds)
        else:
            saved = self._write(mine, seconds)
        if not saved:
            raise CreateError if must_create else UpdateError
        self._known = _prints(mine)

    def modify(self, fn: Callable[[Data], R]) -> R:
        """Calls `fn` with the data, which it may change, and writes them: one step across threads and processes.

        Returns what `fn` returns. Be quick in it: other writers wait, and it may run again. Other changes that the
        request has made are saved before.

        Raises:
            SessionInterrupted: the session was ended; Django answers it with status 400.
        """
        if self.session_key is None or self.modified:
            self.save()
        results: list[R] = []

        def step(stored: Data) -> Data:
            data = _loaded(self, stored)
            results.append(fn(data))
            return _stored(self, data)

        stored = sessions().modify(self.session_key, step)
        if stored is None:
            raise SessionInterrupted(_ENDED)
        self._session_cache, self._known = _loaded(self, stored), _prints(stored)
        self.accessed = True
        return results[-1]

    async def amodify(self, fn: Callable[[Data], R]) -> R:
        """As `modify`, to be awaited; `fn` runs in a thread."""
        return await sync_to_async(self.modify)(fn)

    def clear(self) -> None:
        super().clear()
        self._known = None

    def delete(self, session_key: str | None = None) -> None:
        key = self.session_key if session_key is None else session_key
        if key is not None:
            sessions().delete(key)

    def cycle_key(self) -> None:
        """Moves the session to a new key, as one step: what other requests have saved stays.

        A session that has ended since it was loaded stays ended, and a new one begins without its data.
        """
        if self._session is None or self.session_key is None:
            super().cycle_key()
            return
        key = self._get_new_session_key()
        if sessions().rotate(self.session_key, to=key) is None:
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
        key = str(getattr(user, "pk", user))
        return sessions().delete_where(lambda data: data.get(SESSION_KEY) == key)

    def _make(self, mine: Data, seconds: float) -> bool:
        """Stores a new session; returns whether there was none of that key."""
        try:
            sessions().create(mine, id=self.session_key, ttl=seconds)
        except Conflict:
            return False
        return True

    def _write(self, mine: Data, seconds: float) -> bool:
        """Writes what changed of an existing session; returns whether there is one."""
        known, opened = self._known, sessions()
        if self.session_key is None:  # it was absent when it was loaded just now
            return False
        if known is None:
            return opened.save(self.session_key, mine, ttl=seconds)
        prints = _prints(mine)
        changed = {key: value for key, value in mine.items() if known.get(key) != prints[key]}
        removed = known.keys() - mine.keys()
        if not changed and not removed:
            return opened.touch(self.session_key, ttl=seconds)

        def step(stored: Data) -> Data:
            return {key: value for key, value in stored.items() if key not in removed} | changed

        return opened.modify(self.session_key, step, ttl=seconds) is not None


def _stored(session: SessionStore, data: Data) -> Data:
    """What is stored for the data of a session: with the codec "json", what `SESSION_SERIALIZER` makes of them."""
    if not _is_json():
        return data
    try:
        made = json.loads(session.serializer().dumps(data))
    except UnicodeDecodeError as exc:
        raise ImproperlyConfigured(_NO_JSON.format(settings.SESSION_SERIALIZER)) from exc
    return made


def _loaded(session: SessionStore, stored: Data) -> Data:
    """The data of a session of which that is stored."""
    if not _is_json() or session.serializer is JSONSerializer:
        return stored
    return session.serializer().loads(json.dumps(stored, separators=(",", ":")).encode())
