"""What is wrong with the database of a store and its log: SQLite's own checks, and what SQLite does not look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine.engine import Engine
from store.engines.sqlite.engine.fetching import fetch_all
from store.engines.sqlite.engine.wal_index import salts_of
from store.engines.sqlite.salvage.frames import Frame, Log, LogFile, frames_of, header_holds, is_sound, page_size
from store.engines.sqlite.schema import FORMAT_VERSION
from store.system.descriptors import READ, Descriptor
from store.system.file_status import writing

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
    if not quick:
        problems += log_damage(engine)
    return problems


def log_damage(engine: Engine) -> list[str]:
    """Frames of the log that SQLite reads from though their checksums do not hold: it checks them as it opens."""
    problems: list[str] = []
    for _ in range(ATTEMPTS):
        with _opened_log(engine) as log:
            size, frames, read = _frames(engine, log)
            problems = [
                f"frame {number + 1} of the log, for page {frame.page}, does not match its checksum"
                for number, frame in enumerate(frames[:read])
                if not is_sound(log, frame, size)
            ]
        if not problems:
            break
    return problems


def unread_commits(engine: Engine) -> int:
    """How many commits stand in the log that SQLite does not read, since something before them is damaged.

    A power cut leaves some too, with `durability="normal"`: their frames were written and those before them were not.
    """
    with _opened_log(engine) as log:
        size, frames, read = _frames(engine, log)
        return sum(frame.commit > 0 and is_sound(log, frame, size) for frame in frames[read:])


@contextmanager
def _opened_log(engine: Engine) -> Iterator[Log]:
    """The log, opened beside SQLite: it takes no lock on that file, but on the two others."""
    with writing(engine.path + "-wal"):
        try:
            opened = Descriptor(engine.path + "-wal", READ)
        except FileNotFoundError:
            yield b""
            return
        with opened as descriptor:
            yield LogFile(descriptor)


def _frames(engine: Engine, log: Log) -> tuple[int, list[Frame], int]:
    """The size of a page, the frames of the log, and how many of them SQLite reads."""
    size, holds, salts = page_size(log), header_holds(log), log[16:24]
    frames = frames_of(log, size) if size else []
    index = engine.coherence.index()  # after the frames: what is committed meanwhile must not look as if unread
    if index is None or not frames:
        return size, [], 0
    found, read = salts_of(index)
    return size, frames, read if holds and salts == found else 0
