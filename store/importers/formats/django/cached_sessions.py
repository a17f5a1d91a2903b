"""Django's sessions in a cache on a Redis server: of the engines `cache` and `cached_db`.

A key is `KEY_PREFIX:VERSION:django.contrib.sessions.cache` or `….cached_db`, and the session's key; the first two are
those of `CACHES`, and by default empty and 1. A value is a pickle; with the package django-redis it may be JSON or
MessagePack too, and compressed. https://docs.djangoproject.com/en/stable/topics/cache/#cache-key-prefixing

A cache may evict sessions. `cached_db` has all of them in its database too, which has the same kind of source.
"""

from __future__ import annotations

import re

from store.importers.contract import Keys
from store.importers.formats.server_sessions import ServerSessions, as_pattern
from store.importers.names import as_text

VERSION = 1
_OF_DJANGO = "django.contrib.sessions.cache"
_KEY = re.compile(rb"(?s)(?P<of>.*?)django\.contrib\.sessions\.(?:cached_db|cache)(?P<name>.+)")
_MADE = re.compile(r"(?s)(?P<prefix>.*):(?P<version>[0-9]+):")


class DjangoLayout:
    """The keys of one prefix and version: those of other ones are sessions of another site, or have been given up."""

    pattern = f"*{as_pattern(_OF_DJANGO)}*"

    def __init__(self, keys: Keys) -> None:
        version = VERSION if keys.version is None else keys.version
        self._of = f"{keys.prefix or ''}:{version}:"
        self.beginning = self._of + _OF_DJANGO

    def name_of(self, key: bytes) -> str | bytes | None:
        found = _KEY.fullmatch(key)
        return as_text(found["name"]) if found and found["of"] == self._of.encode() else None

    def other(self, key: bytes) -> str:
        found = _KEY.fullmatch(key)
        return found["of"].decode("utf-8", "backslashreplace") if found else ""

    def hint(self, other: str) -> str:
        made = _MADE.fullmatch(other)
        if made is None:
            return f"keys that begin with {other!r} are made by a KEY_FUNCTION, and cannot be imported"
        return (
            f"key_prefix={made['prefix']!r}, key_version={made['version']} (--key-prefix, --key-version) import "
            f"those that begin with {other!r}"
        )


importer = ServerSessions("django-sessions", DjangoLayout)
