"""What is wrong with the database of a store and its log: SQLite's own checks, and what SQLite does not look at."""

from __future__ import annotations

from store.backends import sqlite_statements as sql
from store.backends.sqlite_engine import Engine
from store.backends.sqlite_frames import LOG_HEADER, Frame, frames_of, header_holds, page_size
from store.backends.sqlite_schema import FORMAT_VERSION
from store.backends.sqlite_slot import fetch_all
from store.backends.wal_index import salts_of

ATTEMPTS = 3  # at a log which somebody begins anew while it is read


def damage(engine: Engine, timeout: float, *, quick: bool) -> list[str]:
    """What SQLite's check says, and what of the small tables holds something else than it should.

    `quick`: not whether tables and indexes agree, nor whether the log's checksums hold.
    """
    found = engine.read(sql.QUICK_CHECK if quick else sql.INTEGRITY_CHECK, (), fetch_all, 0.0, timeout)
    problems = [] if found == [("ok",)] else [str(text) for (text,) in found]
    identities = engine.read(sql.STORE_ID, (), fetch_all, 0.0, timeout)
    if identities != [(engine.store_id, FORMAT_VERSION)]:
        problems.append("the table identity does not hold one id and the format that this release writes")
    if engine.read(sql.BAD_SEALERS, (), fetch_all, 0.0, timeout) != [(0,)]:
        problems.append("the table sealers holds what is no id of a key")
    if not quick and not engine.shared:
        problems += log_damage(engine)
    return problems


def log_damage(engine: Engine) -> list[str]:
    """Frames of the log that SQLite reads from though their checksums do not hold: it checks them as it opens."""
    problems: list[str] = []
    for _ in range(ATTEMPTS):
        frames, read = _frames(engine)
        problems = [
            f"frame {number + 1} of the log, for page {frame.page}, does not match its checksum"
            for number, frame in enumerate(frames[:read])
            if not frame.sound
        ]
        if not problems:
            break
    return problems


def unread_commits(engine: Engine) -> int:
    """How many commits stand in the log that SQLite does not read, since something before them is damaged.

    A power cut leaves some too, with `durability="normal"`: their frames were written and those before them were not.
    """
    if engine.shared:
        return 0
    frames, read = _frames(engine)
    return sum(frame.current and frame.sound and frame.commit > 0 for frame in frames[read:])


def _frames(engine: Engine) -> tuple[list[Frame], int]:
    """The frames of the log, and how many of them SQLite reads.

    The log is opened beside SQLite, which takes no lock on that file; those it takes are on the two others.
    """
    try:
        with open(engine.path + "-wal", "rb") as file:
            log = file.read()
    except FileNotFoundError:
        return [], 0
    index = engine.coherence.index()
    size = page_size(log)
    if index is None or len(log) < LOG_HEADER or not size:
        return [], 0
    salts, read = salts_of(index)
    frames = frames_of(log, size)
    return frames, read if header_holds(log) and log[16:24] == salts else 0
