"""Reading the frames of a log that others are using."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from store.engines.sqlite.salvage.frames import frames_of, page_size


class CutOff:
    """A log that was cut off behind the look at its length: of its header nothing is left."""

    def __init__(self, whole: bytes) -> None:
        self._whole = whole

    def __len__(self) -> int:
        return len(self._whole)

    def __getitem__(self, part: slice, /) -> bytes:
        return b"" if part.start is None else self._whole[part]


def test_log_that_is_cut_off_between_two_looks(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("CREATE TABLE t (a)")
        log = Path(f"{path}-wal").read_bytes()
    size = page_size(log)
    assert len(frames_of(log, size)) > 0
    assert frames_of(CutOff(log), size) == []
