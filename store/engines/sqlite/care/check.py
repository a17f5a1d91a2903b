"""Finds damage in the database of a store and its log: SQLite's own checks, and checks that SQLite lacks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from mmap import mmap
from typing import Any

from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine.engine import Engine
from store.engines.sqlite.engine.fetching import by_id, fetch_all
from store.engines.sqlite.engine.wal_index import salts_of
from store.engines.sqlite.salvage import frames as log_frames
from store.engines.sqlite.salvage.frames import Frame, Log, LogFile, frames_of, header_holds, is_sound, page_size
from store.engines.sqlite.schema import FORMAT_VERSION
from store.engines.sqlite.spill.garbage import spilled_bytes
from store.system.descriptors import READ, Descriptor
from store.system.file_status import writing

ATTEMPTS = 3  # at a log that is restarted while it is read


def damage(engine: Engine, timeout: float, *, quick: bool) -> list[str]:
    """The problems that SQLite's check finds, and wrong rows of the small tables.

    `quick`: without comparing tables and indexes, and without the log's checksums.
    """
    found = engine.read(sql.QUICK_CHECK if quick else sql.INTEGRITY_CHECK, (), fetch_all, 0.0, timeout)
    problems = [] if found == [("ok",)] else [str(text) for (text,) in found]
    identities = engine.read(sql.STORE_ID, (), fetch_all, 0.0, timeout)
    if identities != [(engine.store_id, FORMAT_VERSION)]:
        problems.append("the table identity does not hold one id and the format that this release writes")
    if engine.read(sql.BAD_SEALERS, (), fetch_all, 0.0, timeout) != [(0,)]:
        problems.append("the table sealers has a row that is not the id of a key")
    if not quick:
        problems = problems or miscounted(engine, timeout)  # the rows of a damaged table cannot be added up
        problems += log_damage(engine)
    return problems


def miscounted(engine: Engine, timeout: float) -> list[str]:
    """Whether the counter of the bytes of large values differs from those of the rows, as of one moment."""
    statements: list[tuple[str, tuple[Any, ...]]] = [(sql.SPILLED, ()), (sql.EVERY_SPILL, ())]
    found = engine.read_together(statements, 0.0, timeout, by_width)
    counted = [row[0] for row in found if len(row) == 1]
    total = min(spilled_bytes(row for row in found if len(row) > 1), sql.LARGEST_SPILLED)
    if counted == [total]:
        return []
    what = counted[0] if len(counted) == 1 else "no single number"
    return [
        f"the table spilled holds {what}, and the files of all records have {total} bytes: only the size of a "
        "bounded cache depends on it; `compact` puts it right"
    ]


def by_width(cursor: sqlite3.Cursor, path: str) -> Iterable[Any]:
    """The rows of a cursor; those with an id end if it does not increase, as in a damaged table."""
    return cursor if len(cursor.description) == 1 else by_id(cursor, path)


def log_damage(engine: Engine) -> list[str]:
    """Frames that SQLite reads although their checksums are wrong: it checks them only when it opens the log.

    A log that another process begins anew is read again, since its frames are overwritten: they are in the database.
    """
    for _ in range(ATTEMPTS):
        with _opened_log(engine) as log:
            header = log[: log_frames.LOG_HEADER]
            size, frames, read, _ = _frames(engine, log)  # those that follow may be of an earlier use of the log
            problems = [
                f"frame {number + 1} of the log, for page {frame.page}, does not match its checksum"
                for number, frame in enumerate(frames[:read])
                if not is_sound(log, frame, size)
            ]
            if log[: log_frames.LOG_HEADER] == header:  # a log that is begun anew gets another one first
                return problems
    return []


def unread_commits(engine: Engine) -> int:
    """How many commits in the log SQLite does not read because the log is damaged before them.

    A power cut leaves some too, with `durability="normal"`, if later frames were written and earlier ones were not.
    Those of a writer that is committing just now are counted at one attempt only.
    """
    found = []
    for _ in range(ATTEMPTS):
        with _opened_log(engine) as log:
            size, frames, _, read = _frames(engine, log)  # newer commits are not unread ones
            found.append(sum(frame.commit > 0 and is_sound(log, frame, size) for frame in frames[read:]))
        if not found[-1]:
            break
    return min(found)


@contextmanager
def _opened_log(engine: Engine) -> Iterator[Log]:
    """The log, opened in addition to SQLite, which is safe: SQLite locks the two other files, not the log."""
    with writing(engine.path + "-wal"):
        try:
            opened = Descriptor(engine.path + "-wal", READ)
        except FileNotFoundError:
            yield b""
            return
        with opened as descriptor:
            yield LogFile(descriptor)


def _frames(engine: Engine, log: Log) -> tuple[int, list[Frame], int, int]:
    """The size of a page, the frames of the log, and how many of them SQLite read before and after that."""
    size, salts = page_size(log), log[16:24] if header_holds(log) else b""
    index = engine.coherence.index()
    before = 0 if index is None else _read(index, salts)
    frames = frames_of(log, size) if size else []
    return (size, [], 0, 0) if index is None else (size, frames, before, _read(index, salts))


def _read(index: mmap, salts: bytes) -> int:
    """How many frames of the log with those salts SQLite reads."""
    found, frames = salts_of(index)
    return frames if salts == found else 0
