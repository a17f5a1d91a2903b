"""Sound stores of shapes that damage can make endless: deep trees, few large pages, chains, free pages, a log."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from store import Store
from store.rows.spilled import new_file

from .damage_templates import KEY, NOW, Buffered

Files = dict[str, bytes]
"""By what their names have behind that of the database."""


def _store(path: Path, **options: Any) -> Store[Any]:
    return Store(path, key=KEY, clock=lambda: NOW, **options)


def _fill(s: Store[Any], count: int) -> None:
    for number in range(count):
        there = s.within(("", "a", "ä", "b")[number % 4])
        there.put(f"name {number:04}", {"n": number}, ttl=number % 3 + 1 if number % 5 == 0 else None)


def _vacuumed(path: Path, page_size: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = DELETE").fetchone()
        conn.execute(f"PRAGMA page_size = {page_size}")
        conn.execute("VACUUM")
        conn.execute("PRAGMA journal_mode = WAL").fetchone()


def deep(path: Path) -> None:
    """Pages so small that the trees of a few hundred records have four levels."""
    with _store(path) as s:
        _fill(s, 400)
    _vacuumed(path, 512)


def wide(path: Path) -> None:
    """Few large pages."""
    with _store(path) as s:
        _fill(s, 500)
    _vacuumed(path, 65536)


def tables(path: Path) -> None:
    """All four tables have several pages."""
    with _store(path) as s:
        _fill(s, 80)
        prefix = s.opened.engine.blobs.prefix("", "x") if s.opened.engine.blobs else ""
    with closing(sqlite3.connect(path)) as conn:
        conn.executemany("INSERT INTO garbage VALUES (?)", [(new_file(prefix),) for _ in range(300)])
        conn.executemany("INSERT INTO sealers VALUES (?)", [(os.urandom(8),) for _ in range(600)])
        conn.commit()


def chained(path: Path) -> None:
    """Bodies and names that go on in overflow pages."""
    with _store(path) as s:
        for number in range(20):
            s[f"{number} {'long ' * (300 * (number % 3))}"] = [number, "x" * (3000 + 6000 * (number % 4))]
    _vacuumed(path, 1024)


def freed(path: Path) -> None:
    """More free pages than used ones."""
    with _store(path) as s:
        for number in range(300):
            s[f"name {number}"] = "x" * 2000
        for number in range(300):
            if number % 10:
                del s[f"name {number}"]


def beside(path: Path) -> None:
    """Values in files."""
    with _store(path, spill_bytes=500) as s:
        for number in range(40):
            s[f"name {number}"] = Buffered(bytes([number]) * 600) if number % 2 else "x" * 700


def logged(path: Path) -> Files:
    """The newest commits are in the log alone."""
    with _store(path) as s:
        _fill(s, 100)
    with _store(path) as s:
        _fill(s, 60)
        return _files(path)


MAKERS: dict[str, Callable[[Path], Files | None]] = {
    make.__name__: make for make in (deep, wide, tables, chained, freed, beside, logged)
}


def make(key: str, folder: Path) -> Files:
    """The files of the template of that name, made in an empty folder."""
    path = folder / f"{key}.db"
    return MAKERS[key](path) or _files(path)


def _files(path: Path) -> Files:
    found = {"": path.read_bytes()}
    log, folder = Path(f"{path}-wal"), Path(f"{path}-spill")
    if log.exists():
        found["-wal"] = log.read_bytes()
    for file in sorted(folder.iterdir()) if folder.exists() else []:
        found[f"-spill/{file.name}"] = file.read_bytes()
    return found
