"""Django's sessions: files of the backend `file`, and the table of the backends `db` and `cached_db` in SQLite.

A session is JSON, signed. The name of its record is the session's key, the one in the cookie; its value is the dict.
Without `SECRET_KEY` the signature cannot be checked: then the data is what the file or the row says. Sessions of the
former `PickleSerializer` are decoded restricted. https://docs.djangoproject.com/en/stable/topics/http/sessions/

A row has its expiry. A file has only the time of its last change: a session ends at its own `_session_expiry`, or as
many seconds after that change as the setting `SESSION_COOKIE_AGE` says, which is two weeks unless it is given. Of a
pickled session in a file only the latter is known.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator, Iterable
from typing import Any

from store.errors import StorageError
from store.importers.contract import Found
from store.importers.files import beneath, header_of, is_pickle, names_in
from store.importers.formats.django.signing import payload_of
from store.importers.formats.django.times import moment_of
from store.importers.sqlite_source import has_columns, opened, selections

COOKIE_AGE_SECONDS = 1_209_600
"""Django's default of `SESSION_COOKIE_AGE`."""
MAX_FILE_BYTES = 64 * 1024 * 1024
_COLUMNS = ["session_key", "session_data", "expire_date"]
_SALT = "django.contrib.sessions.SessionStore"
_FILE = re.compile(r"(?P<prefix>.*?)(?P<key>[a-z0-9]{32})", re.DOTALL)  # the prefix is SESSION_COOKIE_NAME
_BEGINNING = re.compile(rb"\.?[A-Za-z0-9_-]+(?::[A-Za-z0-9_:-]*)?")  # of a text that is signed
_EXPIRY = "_session_expiry"


class DjangoSessionsImporter:
    """Reads a folder of session files, or an SQLite database with a table of sessions."""

    name = "django-sessions"

    def __init__(self, secret_keys: Iterable[bytes] = (), cookie_age: float = COOKIE_AGE_SECONDS) -> None:
        self._keys = tuple(secret_keys)
        self._cookie_age = cookie_age

    def configured(self, secret_keys: Iterable[bytes], cookie_age: float | None) -> DjangoSessionsImporter:
        """An importer that gives only sessions which one of these keys has signed, if there are any."""
        return DjangoSessionsImporter(secret_keys, self._cookie_age if cookie_age is None else cookie_age)

    def recognises(self, path: str) -> bool:
        if not os.path.isdir(path):
            return has_columns(path, _COLUMNS)
        try:
            names = os.listdir(path)
        except OSError:
            return False
        return not names or any(_looks_like_one(os.path.join(path, name)) for name in names if _FILE.fullmatch(name))

    def read(self, path: str, *, table: str | None = None) -> Generator[Found]:
        return self._of_folder(path) if os.path.isdir(path) else self._of_tables(path, table)

    def _of_folder(self, folder: str) -> Generator[Found]:
        for file in names_in(folder):
            match = _FILE.fullmatch(file)
            if match is None:
                yield Found(file, problem="its name has no session key at its end", skipped=True)
            else:
                yield self._of_file(folder, file, match["key"])

    def _of_file(self, folder: str, file: str, key: str) -> Found:
        try:
            text = beneath(folder, file, MAX_FILE_BYTES).decode()
            if not text:
                return Found(key, problem="its file is empty: the session was never saved", skipped=True)
            found = self._decoded(key, text)
            changed = os.stat(os.path.join(folder, file), follow_symlinks=False).st_mtime
            return found._replace(expires=self._end_of(found.value, changed))
        except (ValueError, OSError, OverflowError) as exc:
            return Found(key, problem=str(exc))

    def _of_tables(self, path: str, table: str | None) -> Generator[Found]:
        with opened(path) as conn:
            for statement, shown in selections(conn, path, _COLUMNS, table):
                for key, text, expires in conn.execute(statement):
                    yield self._of_row(key, text, expires)._replace(table=shown)

    def _of_row(self, key: Any, text: Any, expires: Any) -> Found:
        try:
            if not isinstance(text, str):
                raise ValueError(f"its data is a {type(text).__name__}, not text")
            return self._decoded(key, text)._replace(expires=moment_of(expires))
        except (ValueError, OverflowError) as exc:
            return Found(key, problem=str(exc))

    def _decoded(self, key: Any, text: str) -> Found:
        """The session, or its pickle. Raises: ValueError."""
        payload = payload_of(text, _SALT, self._keys)
        if is_pickle(payload):
            return Found(key, payload, "pickle")
        try:
            session = json.loads(payload)
        except (ValueError, RecursionError) as exc:
            raise ValueError(f"it is neither JSON nor a pickle: {exc}") from exc
        if not isinstance(session, dict):
            raise ValueError(f"it is a {type(session).__name__}, and a session is a dict")
        return Found(key, session)

    def _end_of(self, session: Any, changed: float) -> float:
        """When a session in a file ends; one that ends with the browser has the age of its cookie."""
        expiry = session.get(_EXPIRY) if isinstance(session, dict) else None
        if expiry and isinstance(expiry, str):
            return moment_of(expiry)
        if expiry and isinstance(expiry, int | float):
            return changed + expiry
        return changed + self._cookie_age


def _looks_like_one(path: str) -> bool:
    """Whether a file of the right name begins as a session does; one that cannot be read is reported later."""
    try:
        return _BEGINNING.fullmatch(header_of(path)) is not None
    except StorageError:
        return True


importer = DjangoSessionsImporter()
