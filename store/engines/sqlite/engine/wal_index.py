"""The header of SQLite's WAL index, mapped read-only: it changes with every commit that anybody makes.

The file `<database>-shm` begins with two copies of a 48-byte header, which each commit rewrites and which SQLite
itself compares to tell whether its page cache is still good (https://www.sqlite.org/walformat.html, "WAL-Index
Header"; the first copy is written last). A map is only good while this process has a connection open that has read
through it: the last connection anywhere deletes the file, and the next one makes another.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import Any
from weakref import WeakSet

from store.engines.capabilities import HEADER
from store.system import range_locks
from store.system.descriptors import READ

# iChange, one more with each commit, and the salts of the log, others once it is begun anew; in the machine's order.
_COUNTERS = struct.Struct("=8xI20xQ")
_FRAMES = struct.Struct("=16xI")  # mxFrame, the last valid frame of the log
_SALTS = slice(32, 40)
_OPTIONS: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}
_MAPPED = 136  # both headers, and what is known of checkpoints and readers
_map = partial(mmap.mmap, length=_MAPPED, access=mmap.ACCESS_READ, **_OPTIONS)

KEPT = 8  # files of which nothing is open here but ours: SQLite may be opening one of them again just now
FEW = 32  # files that are looked at each time; more only at every fourth part of so many calls


class OpenFile:
    """What this process has of one file: descriptors, and the map, which hides one more before Python 3.13."""

    def __init__(self, descriptors: list[int], inode: tuple[int, int] = (0, 0)) -> None:
        self.descriptors = descriptors
        self.inode = inode
        self.holders: WeakSet[Held] = WeakSet()  # from `hold` to `let_go`; an interrupt may lose one on the way
        self.maps: list[mmap.mmap] = []  # one, once it is asked for

    def index(self) -> mmap.mmap:
        if not self.maps:
            # Made and kept in one call: an interrupt in between would have it collected, and with it the locks.
            self.maps.extend(map(_map, self.descriptors[:1]))
        return self.maps[0]

    @property
    def number(self) -> int:
        """The descriptor whose locks count."""
        return self.descriptors[0]

    def count(self) -> int:
        """How many descriptors there are, the hidden one as well."""
        return len(self.descriptors) + (len(self.maps) if "trackfd" not in _OPTIONS else 0)

    def close(self) -> None:
        """A thread that still uses the map gets a ValueError from it."""
        for index in self.maps:
            index.close()
        for descriptor in self.descriptors:
            with suppress(OSError):  # it was only read
                os.close(descriptor)


class Held:
    """A descriptor that stays open until it is given to `let_go`, or is gone."""

    __slots__ = ("__weakref__", "file", "number")

    def __init__(self, file: OpenFile) -> None:
        self.file = file
        self.number = file.number
        file.holders.add(self)


# By device and inode. Closing any descriptor of a file drops all POSIX locks of the process on it, and SQLite's own
# are on this very file: nothing here is closed, nor left to the garbage collector, while SQLite has it open.
_files: dict[tuple[int, int], OpenFile] = {}
_new: list[int] = []  # opened, and not among them yet
_pace = {"calls": 0, "used": 0}  # of `release_unused`: since it last looked; how many files were then in use
_files_lock = threading.RLock()


def index_of(path: str) -> mmap.mmap | None:
    """The map of the WAL index of the database at `path`; None where there is none that can be mapped.

    On Windows SQLite could not delete a file that is open here.
    """
    if not range_locks.IS_POSIX:
        return None
    with _files_lock:
        try:
            status = os.stat(path + "-shm", follow_symlinks=False)
            known = _files.get((status.st_dev, status.st_ino)) or _opened(path + "-shm")
            return known.index()
        except (OSError, ValueError):  # ValueError: it is shorter than a header, for it is only being made
            return None


def hold(path: str, inode: tuple[int, int] | None = None) -> Held:
    """A descriptor of a database, or of its index, that stays open until `let_go`; of that inode, if one is given.

    Raises:
        OSError: it cannot be opened, or the path names another file (ESTALE).
    """
    with _files_lock:
        status = os.stat(path, follow_symlinks=False)
        file = _files.get((status.st_dev, status.st_ino)) or _opened(path)
        if inode not in (None, file.inode):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
        return Held(file)


def let_go(held: Held, *, at_once: bool) -> None:
    """Close it when nothing else here has the file open; `at_once`: now, if it can be told and nobody holds it."""
    with _files_lock:
        file = held.file
        file.holders.discard(held)
        if at_once and not file.holders and file.inode in _files and not _is_locked_here(file):
            _release(file.inode)


def _is_locked_here(file: OpenFile) -> bool:
    """Whether SQLite, ours or one that the program uses, has a lock of this process on it, which would be dropped."""
    holder = range_locks.holder(file.number)
    if holder is None or holder == os.getpid():
        return holder is not None
    return _descriptors()[file.inode] != file.count()  # the lock of another process may hide ours


@contextmanager
def descriptor_of(path: str) -> Iterator[int]:
    """A descriptor of the WAL index, not to be closed and good inside the block. Raises: OSError: there is none."""
    with _files_lock:
        status = os.stat(path + "-shm", follow_symlinks=False)
        known = _files.get((status.st_dev, status.st_ino)) or _opened(path + "-shm")
        yield known.number


def opening() -> AbstractContextManager[Any]:
    """Held while SQLite opens a connection: what it locks of a file would be lost if ours were closed just then."""
    return _files_lock


def _opened(path: str) -> OpenFile:
    release_unused()  # a process that forks, say, closes its connections each time, and the index is made anew
    _new.extend(map(partial(os.open, flags=READ), [path]))  # one call: an interrupt loses no descriptor
    return _registered()


def _registered() -> OpenFile:
    """That of the newest descriptor. One that an interrupt left before it is known from now on as well."""
    while True:
        descriptor = _new[0]
        status = os.fstat(descriptor)
        inode = status.st_dev, status.st_ino
        file = _files.setdefault(inode, OpenFile([descriptor], inode))
        if descriptor not in file.descriptors:  # it was replaced since the look, by one that is known
            file.descriptors.append(descriptor)
        _new.remove(descriptor)
        if not _new:
            return file


def release_unused(keep: int = KEPT) -> None:
    """Close our descriptors of files that SQLite has closed: all of deleted files, of others all but some.

    A file is left behind by a connection that may only read, and where other processes are at work. It is not closed
    at once: a program that uses plain `sqlite3` beside us takes no lock of ours to open it again.

    A program that opens 1,600 stores comes here at each. So the files are looked at a few times as often as there
    are files, not each at each call, and all descriptors of the process only once there are twice as many files as
    were in use the last time.
    """
    with _files_lock:
        with suppress(OSError):  # as below
            if _new:
                _registered()
        left = {inode: file for inode, file in _files.items() if not file.holders}
        _pace["calls"] += 1
        if keep and len(left) > FEW and _pace["calls"] * 4 < len(left):
            return
        _pace["calls"] = 0
        for inode, file in list(left.items()):
            if _is_deleted(file):
                del left[inode]
                _release(inode)
        if len(left) > max(keep, 2 * _pace["used"] if keep else 0):
            _release_listed(left, keep)


def _is_deleted(file: OpenFile) -> bool:
    try:
        return os.fstat(file.number).st_nlink == 0
    except OSError:  # a disk that fails: kept, until it can be told
        return False


def _release_listed(left: dict[tuple[int, int], OpenFile], keep: int) -> None:
    found = _descriptors()
    # Equal, not less: where ours are not listed, nothing is known of SQLite's.
    unused = [inode for inode, file in left.items() if found[inode] == file.count()]
    _pace["used"] = len(left) - len(unused)
    for inode in unused[: max(0, len(unused) - keep)]:
        _release(inode)


def _release(inode: tuple[int, int]) -> None:
    _files.pop(inode).close()


def _descriptors() -> Counter[tuple[int, int]]:
    """How many descriptors this process has of each file; none where that cannot be told."""
    found: Counter[tuple[int, int]] = Counter()
    with suppress(OSError):
        for number in os.listdir("/dev/fd"):
            with suppress(OSError):  # that of the listing
                status = os.stat(int(number))
                found[status.st_dev, status.st_ino] += 1
    return found


def park(seconds: float) -> None:
    """Before a fork: wait for threads that open or close a file; the child would keep what is not in the table."""
    _files_lock.acquire(timeout=seconds)


def unpark() -> None:
    """After it, in the parent."""
    with suppress(RuntimeError):  # the lock was not to be had
        _files_lock.release()


def renew() -> None:
    """In a forked child, which holds no lock that could be dropped: begin anew."""
    global _files_lock  # noqa: PLW0603 - a lock that another thread held is held for ever here
    _files_lock = threading.RLock()
    for file in (*_files.values(), OpenFile(_new)):
        file.close()
    _files.clear()
    _new.clear()
    _pace.update(calls=0, used=0)


def is_next(before: bytes, after: bytes) -> bool:
    """Whether exactly one commit lies between two headers, in one and the same log."""
    changes, salts = _COUNTERS.unpack_from(before)
    return _COUNTERS.unpack_from(after) == ((changes + 1) % 2**32, salts)


def header_of(index: mmap.mmap) -> bytes | None:
    """The header; None where the map was closed by another thread, with the last connection."""
    try:
        return index[HEADER]
    except ValueError:
        return None


def frames_in(index: mmap.mmap) -> int | None:
    """How many frames the log has, those that are in the database already included; None: as above."""
    try:
        return int(_FRAMES.unpack_from(index)[0])
    except ValueError:
        return None


def salts_of(index: mmap.mmap) -> tuple[bytes, int]:
    """The salts of the log that the index is of, as they stand in its header; and how many frames of it are read."""
    try:
        header = index[HEADER]
    except ValueError:
        return b"", 0
    return header[_SALTS], int(_FRAMES.unpack_from(header)[0])
