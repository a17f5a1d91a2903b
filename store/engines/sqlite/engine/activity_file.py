"""The file `<database>.activity`: what all processes did with the store, for a person who watches it.

It is made when somebody watches (`begin`), and not before. A process that uses the store looks for it once a second,
and adds what it has counted since the last time; one that cannot lock it then tries again a second later. A process
that pauses adds its last counts with its next operation, or when it closes the store. Where there is no file, it
starts to count anew, so that the first totals are not those of hours.

Its layout: a name, a version, and five totals. It holds no data, is in no backup, and may be deleted at any time:
then nothing is counted until somebody watches again.
"""

from __future__ import annotations

import os
import stat
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from store.engines.activity import Activity, Counters
from store.engines.capabilities import LOOK_SECONDS
from store.engines.sqlite.opening.companions import ACTIVITY, is_of_store
from store.errors import StoreError
from store.system.clock import steady_clock
from store.system.descriptors import NO_SURPRISE, READ, Descriptor, read_at, write_at
from store.system.late import late
from store.system.rights import make_whole_beside

HEADER = struct.pack("=24sI", b"store: activity 1", 1).ljust(32, b"\0")
_TOTALS = struct.Struct("=5Q")  # reads, hits, writes, waits for locks, and the microseconds that they took
SIZE = len(HEADER) + _TOTALS.size
_WRAP = 2**64

Totals = tuple[int, ...]


class ActivityFile:
    """The contract `ActivityCounters` for one engine. Safe across threads, processes and forks; nothing fails."""

    def __init__(self, database: str, counters: Counters, clock: Callable[[], float] = steady_clock) -> None:
        self._database = database
        self._path = database + ACTIVITY
        self._counters = counters
        self._clock = clock
        self._due = clock() + LOOK_SECONDS
        self._added: Totals = (0,) * 5  # those of this process that are in the file
        self._lock = threading.Lock()  # never waited for

    def begin(self) -> None:
        """Make the file, if it is not there and this user may write the database."""
        with suppress(OSError):
            self.add()
            if not os.path.lexists(self._path) and os.access(self._database, os.W_OK):
                make_whole_beside(self._path, self._database, HEADER.ljust(SIZE, b"\0"))

    def figures(self) -> Activity:
        """The totals of all processes, and what this one has counted."""
        self.add()
        with suppress(OSError), _opened(self._path, self._database, READ) as number:
            return _activity(_totals_in(number))
        return Activity()

    def look(self, now: float) -> None:
        """Add the counts, if the last time was a second ago; `now`: of the steady clock."""
        if now >= self._due:
            self._due = now + LOOK_SECONDS
            self.add()

    def add(self) -> None:
        """Add what this process has counted since the last time to the file, if there is one."""
        counted = _counted(self._counters)
        if counted == self._added or not self._lock.acquire(blocking=False):
            return
        try:
            self._add(counted)
        except FileNotFoundError:
            self._added = counted  # nobody watches
        except (OSError, StoreError, ImportError):
            pass  # the next time
        finally:
            self._lock.release()

    def renew(self) -> None:
        """In a forked child: the counts until now are the parent's to add."""
        self._added = _counted(self._counters)
        self._lock = threading.Lock()

    def _add(self, counted: Totals) -> None:
        with _opened(self._path, self._database, os.O_RDWR | NO_SURPRISE) as number:
            # Not imported before there is such a file: it takes longer than `store get`.
            if not late("filelock:lock_descriptor", self._path)(number, blocking=False):
                return
            try:
                before = _totals_in(number)
                new = [
                    (total + now - then) % _WRAP
                    for total, now, then in zip(before, counted, self._added, strict=True)
                ]
                write_at(number, _TOTALS.pack(*new), len(HEADER))
                self._added = counted
            finally:  # closing alone does not unlock it if a child that was forked meanwhile has it open too
                late("filelock:unlock_descriptor", self._path)(number)


def _counted(counters: Counters) -> Totals:
    waits = counters.waits
    reads = counters.reads + counters.hits
    return reads, counters.hits, counters.writes, waits.number, int(waits.seconds * 1e6)


def _activity(totals: Totals) -> Activity:
    reads, hits, writes, lock_waits, microseconds = totals
    return Activity(reads, hits, writes, lock_waits, microseconds / 1e6)


@contextmanager
def _opened(path: str, database: str, flags: int) -> Iterator[int]:
    """The file's descriptor. Raises: OSError: there is no such file, or its owner has no part in the store."""
    with Descriptor(path, flags) as number:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode) or status.st_size != SIZE or not is_of_store(status, database):
            raise FileNotFoundError(path)
        yield number


def _totals_in(number: int) -> Totals:
    """Raises: OSError: it is no such file."""
    content = read_at(number, SIZE, 0)
    if len(content) != SIZE or not content.startswith(HEADER):
        raise FileNotFoundError
    return _TOTALS.unpack_from(content, len(HEADER))
