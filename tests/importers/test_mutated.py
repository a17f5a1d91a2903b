"""Files with changed bytes: each record is imported, skipped, refused or fails; no other error, and no code runs."""

from __future__ import annotations

import json
import pickle
import random
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sources import Hostile
from sources_by_hand import (
    ENTRIES,
    RESPONSES,
    SESSIONS,
    cachelib_file,
    database,
    django_cache_file,
    memory_result,
    session_file,
    signed,
)

from store import Store
from store.importers import import_into
from store.importers.run import OUTCOMES

MUTATIONS = 40  # of each file; the seed is fixed, so a failure repeats
LATER = "2127-01-15 08:00:00"
HASH = "0123456789abcdef" * 2


def mutated(data: bytes, source: random.Random) -> bytes:
    """The bytes with one to four changes."""
    found = bytearray(data)
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(found) + 1)
        match source.randrange(4):
            case 0:
                found[at : at + 1] = bytes([source.randrange(256)])
            case 1:
                del found[at : at + source.randint(1, 9)]
            case 2:
                found[at:at] = source.randbytes(source.randint(1, 9))
            case _:
                del found[at:]
    return bytes(found)


def fill_cachelib(folder: Path, value: Any) -> None:
    cachelib_file(folder, "it", pickle.dumps(value))


def fill_django_cache(folder: Path, value: Any) -> None:
    django_cache_file(folder, "it", pickle.dumps(value), pickle.dumps(9e9))


def fill_django_sessions(folder: Path, value: Any) -> None:
    session_file(folder, {"a": [1, "text"], "_session_expiry": 1000}).write_text(signed(pickle.dumps(value), compressed=True))
    session_file(folder, {"a": [1, "text"], "_session_expiry": 1000}, "z" * 32)


def fill_joblib_memory(folder: Path, value: Any) -> None:
    memory_result(folder, f"mod/f/{HASH}", pickle.dumps(value))
    memory_result(folder, f"mod/g/{HASH}", zlib.compress(pickle.dumps(value)))


FILL: dict[str, Callable[[Path, Any], None]] = {
    "cachelib": fill_cachelib, "django-cache": fill_django_cache, "django-sessions": fill_django_sessions, "joblib-memory": fill_joblib_memory,
}  # fmt: skip


@pytest.mark.parametrize("kind", FILL)
def test_files_of_a_folder(kind: str, tmp_path: Path) -> None:
    marker, source = tmp_path / "code has run", random.Random(kind)
    folder = tmp_path / "source"
    folder.mkdir()
    FILL[kind](folder, {"a": [1, b"x" * 50], "evil": Hostile(marker)})
    files = [(file, file.read_bytes()) for file in folder.rglob("*") if file.is_file()]
    for _ in range(MUTATIONS):
        for file, data in files:
            file.write_bytes(mutated(data, source))
        if kind != "django-sessions":
            check(kind, folder)
            continue
        session_file(folder, {"a": 1}, "y" * 32)  # so that the folder is one of sessions
        check(kind, folder)
    assert not marker.exists()


ROWS = {
    "django-sessions": ("django_session", SESSIONS, ["it", signed(json.dumps({"a": 1}).encode()), LATER]),
    "django-cache": ("entries", ENTRIES, ["it", "gASVCwAAAAAAAABdlChLAUsCZS4=", LATER]),
    "requests-cache": ("responses", RESPONSES, ["it", pickle.dumps({"url": "x"}), 9_000_000_000]),
}
ODD = [None, "", b"", 0, -1, 1.5, float("inf"), 2**62, "\ud7ff", b"\xff\xfe", b"\x80\x05.", "x" * 3000, LATER, "9999-12-31 23:59:59", "0001-01-01", "{}"]


@pytest.mark.parametrize("kind", ROWS)
def test_rows_of_a_table(kind: str, tmp_path: Path) -> None:
    source = random.Random(kind)
    table, create, row = ROWS[kind]
    rows = [tuple(row)]
    for _ in range(300):
        changed: list[Any] = list(row)
        at = source.randrange(3)
        changed[at] = source.choice(ODD)
        if source.random() < 0.5 and isinstance(row[at], str | bytes):
            data = row[at].encode() if isinstance(row[at], str) else row[at]
            changed[at] = mutated(data, source).decode("utf-8", "replace" if source.random() < 0.8 else "surrogateescape").encode("utf-8", "replace").decode()
        rows.append((f"{changed[0]}{len(rows)}" if at else changed[0], *changed[1:]))
    unique = list({str(row[0]): row for row in rows}.values())
    file = database(tmp_path / "file.sqlite", [(table, create, unique), ("redirects", RESPONSES, [])])
    check(kind, file)
    with closing(sqlite3.connect(file)) as conn:
        assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (len(unique),)


def check(kind: str, path: Path) -> None:
    with Store[Any](":memory:") as s:
        results = list(import_into(s, kind, path))
        assert {one.outcome for one in results} <= set(OUTCOMES)
        assert len(s) == sum(one.outcome == "imported" for one in results)
