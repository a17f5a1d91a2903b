"""Sessions of Flask-Session on a Redis server: `SESSION_TYPE = "redis"`. https://flask-session.readthedocs.io

A key is "session:", or `SESSION_KEY_PREFIX`, and the session id; a value is MessagePack or JSON, or a pickle if a
version before 0.7 wrote it. The record is named after the SHA-256 of the key, as one of the files of Flask-Session is
(`cachelib.py`): `store.integrations.flask.StoreSessionInterface(…, imported=…)` finds it, and no id is in the store.
"""

from __future__ import annotations

import hashlib

from store.importers.contract import Keys
from store.importers.formats.server_sessions import ServerSessions, as_pattern

KEY_PREFIX = "session:"


class FlaskLayout:
    """All keys that begin with the prefix."""

    def __init__(self, keys: Keys) -> None:
        if keys.version is not None:
            raise ValueError("key_version is for sessions of Django; the keys of Flask-Session have no version")
        self.beginning = KEY_PREFIX if keys.prefix is None else keys.prefix
        self.pattern = as_pattern(self.beginning) + "*"

    def name_of(self, key: bytes) -> str | None:
        return hashlib.sha256(key).hexdigest() if key.startswith(self.beginning.encode()) else None

    def other(self, key: bytes) -> str:
        return ""

    def hint(self, other: str) -> str:
        return ""


importer = ServerSessions("flask-session", FlaskLayout)
