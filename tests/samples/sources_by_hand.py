"""Files of other programs, written byte by byte: for tests of importers that also run without those programs.

What a library must read again is checked with it in `tests/importers`; what none writes, a hostile program may.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import pickle
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

SECRET_KEY = b"of the program that wrote the sessions"
SESSION = "0123456789abcdefghijklmnopqrstuv"
SESSIONS = 'CREATE TABLE "{}" ("session_key" varchar(40) PRIMARY KEY, "session_data" text, "expire_date" datetime)'
ENTRIES = 'CREATE TABLE "{}" ("cache_key" varchar(255) PRIMARY KEY, "value" text, "expires" datetime)'
RESPONSES = "CREATE TABLE {} (key TEXT PRIMARY KEY, value BLOB, expires INTEGER)"
RESPONSES_BEFORE_1 = "CREATE TABLE {} (key TEXT PRIMARY KEY, value BLOB)"


def cachelib_file(folder: Path, key: str, body: bytes, expires: bytes = bytes(4), method: Callable[[bytes], Any] = hashlib.sha256) -> str:
    """Writes an entry of cachelib; returns its name."""
    name: str = method(key.encode()).hexdigest()
    (folder / name).write_bytes(expires + body)
    return name


def seconds(expires: int) -> bytes:
    """The expiry at the beginning of an entry of cachelib."""
    return struct.pack("I", expires)


def django_cache_file(folder: Path, key: str, body: bytes, expires: bytes = pickle.dumps(None)) -> str:
    """Writes an entry of Django's file-based cache; returns the name of its record."""
    name = hashlib.md5(f":1:{key}".encode()).hexdigest()
    (folder / f"{name}.djcache").write_bytes(expires + zlib.compress(body))
    return name


def signed(payload: bytes, key: bytes = SECRET_KEY, *, compressed: bool = False) -> str:
    """A session of Django as text."""
    text = ("." if compressed else "") + _text(zlib.compress(payload) if compressed else payload) + ":1vPZxk"
    derived = hashlib.sha256(b"django.contrib.sessions.SessionStore" + b"signer" + key).digest()
    return f"{text}:{_text(hmac.digest(derived, text.encode(), 'sha256'))}"


def session_file(folder: Path, value: Any, key: str = SESSION, *, prefix: str = "sessionid", secret: bytes = SECRET_KEY) -> Path:
    """Writes a file of Django's sessions."""
    file = folder / f"{prefix}{key}"
    file.write_text(signed(json.dumps(value).encode(), secret))
    return file


def database(path: Path, tables: Iterable[tuple[str, str, list[tuple[Any, ...]]]]) -> Path:
    """Writes an SQLite file: the names of tables, the statements that create them, and their rows."""
    with closing(sqlite3.connect(path)) as conn:
        for name, create, rows in tables:
            quoted = name.replace('"', '""')
            conn.execute(create.format(quoted))
            for row in rows:
                conn.execute(f'INSERT INTO "{quoted}" VALUES ({", ".join("?" * len(row))})', row)
        conn.commit()
    return path


def memory_result(folder: Path, name: str, data: bytes) -> Path:
    """Writes the result of a function, as joblib.Memory does."""
    (folder / name).mkdir(parents=True)
    (folder / name / "output.pkl").write_bytes(data)
    return folder


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
