"""The header of SQLite's WAL index, mapped read-only: it changes with every commit of any process.

The file `<database>-shm` begins with two copies of a 48-byte header. Each commit rewrites them, and SQLite compares
them to check whether its page cache is still valid (https://www.sqlite.org/walformat.html, "WAL-Index Header"; the
first copy is written last). A map is only valid while this process has an open connection that has read through it:
the last connection of all processes deletes the file, and the next one creates another.

One file because the descriptors, the maps and the registry of both are one state under one lock.
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

_FRAMES = struct.Struct("=16xI")  # mxFrame, the last valid frame of the log
_SUMS = struct.Struct("=24x2I")  # aFrameCksum, the checksum of that frame
_SALTS = slice(32, 40)  # of the log; when it is begun anew, the first grows by one and the second is random
_FIRST_SALT = struct.Struct(">32xI")
STATE = slice(24, 40)
"""In a header: the checksum over the whole log, and its random salts. No two states of the data have it in common."""
_OPTIONS: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}
_MAPPED = 136  # both headers, and the state of checkpoints and readers
_map = partial(mmap.mmap, length=_MAPPED, access=mmap.ACCESS_READ, **_OPTIONS)

KEPT = 8  # files that only we have open in this process: SQLite may be reopening one of them now
FEW = 32  # files that are checked at each call; more than that only once in a quarter as many calls


class OpenFile:
    """The descriptors and the map of one file in this process; before Python 3.13 the map hides one more."""

    def __init__(self, descriptors: list[int], inode: tuple[int, int] = (0, 0)) -> None:
        self.descriptors = descriptors
        self.inode = inode
        self.holders: WeakSet[Held] = WeakSet()  # from `hold` to `let_go`; an interrupt may drop one in between
        self.maps: list[mmap.mmap] = []  # at most one, made on first use

    def index(self) -> mmap.mmap:
        if not self.maps:
            # Made and stored in one call: an interrupt in between would collect the map, and drop the locks.
            self.maps.extend(map(_map, self.descriptors[:1]))
        return self.maps[0]

    @property
    def number(self) -> int:
        """The descriptor that holds the locks."""
        return self.descriptors[0]

    def count(self) -> int:
        """How many descriptors there are, including the hidden one."""
        return len(self.descriptors) + (len(self.maps) if "trackfd" not in _OPTIONS else 0)

    def close(self) -> None:
        """Close map and descriptors; a thread that still uses the map gets a ValueError."""
        for index in self.maps:
            index.close()
        for descriptor in self.descriptors:
            with suppress(OSError):  # it was only read
                os.close(descriptor)


class Held:
    """A descriptor that stays open until it is passed to `let_go` or collected."""

    __slots__ = ("__weakref__", "file", "number")

    def __init__(self, file: OpenFile) -> None:
        self.file = file
        self.number = file.number
        file.holders.add(self)


# By device and inode. Closing any descriptor of a file drops all POSIX locks of the process on it, and SQLite's own
# are on this very file: nothing here is closed, nor left to the garbage collector, while SQLite has it open.
_files: dict[tuple[int, int], OpenFile] = {}
_new: list[int] = []  # opened, and not registered yet
_pace = {"calls": 0, "used": 0}  # of `release_unused`: calls since its last check; files in use at that check
_files_lock = threading.RLock()


def index_of(path: str) -> mmap.mmap | None:
    """The map of the WAL index of the database at `path`; None if there is none or it cannot be mapped.

    On Windows SQLite could not delete a file that is open here.
    """
    if not range_locks.IS_POSIX:
        return None
    with _files_lock:
        try:
            return (_known(path + "-shm") or _opened(path + "-shm")).index()
        except (OSError, ValueError):  # ValueError: it is shorter than a header, since it is just being created
            return None


def hold(path: str, inode: tuple[int, int] | None = None) -> Held:
    """A descriptor of a database or its index, open until `let_go`; of that inode, if one is given.

    Raises:
        OSError: it cannot be opened, or the path names another file (ESTALE).
    """
    with _files_lock:
        file = _known(path) or _opened(path)
        if inode not in (None, file.inode):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
        return Held(file)


def let_go(held: Held, *, at_once: bool) -> None:
    """Close it once this process does not use the file otherwise; `at_once`: now, if that is known to be the case."""
    with _files_lock:
        file = held.file
        file.holders.discard(held)
        if at_once and not file.holders and file.inode in _files and not _is_locked_here(file):
            _release(file.inode)


def _is_locked_here(file: OpenFile) -> bool:
    """Whether SQLite, ours or another copy in this process, has a lock on it, which a close would drop."""
    holder = range_locks.holder(file.number)
    if holder is None or holder == os.getpid():
        return holder is not None
    return _descriptors()[file.inode] != file.count()  # the lock of another process may hide ours


@contextmanager
def descriptor_of(path: str) -> Iterator[int]:
    """A descriptor of the WAL index, valid inside the block; do not close it. Raises: OSError: there is none."""
    with _files_lock:
        yield (_known(path + "-shm") or _opened(path + "-shm")).number


def opening() -> AbstractContextManager[Any]:
    """A lock, held while SQLite opens a connection: closing our descriptor then would drop SQLite's new locks."""
    return _files_lock


def _known(path: str) -> OpenFile | None:
    status = os.stat(path, follow_symlinks=False)
    return _files.get((status.st_dev, status.st_ino))


def _opened(path: str) -> OpenFile:
    release_unused()  # a process that forks, say, closes its connections each time, and the index is made anew
    file = None
    while file is None:
        _new.extend(map(partial(os.open, flags=READ), [path]))  # one call: an interrupt loses no descriptor
        file = _registered() or _known(path)  # a finalizer that ran in between may have registered it
    return file


def _registered() -> OpenFile | None:
    """The file of the newest descriptor, None if there is none. Also registers those that an interrupt left."""
    file = None
    while _new:
        descriptor = _new[0]
        status = os.fstat(descriptor)
        inode = status.st_dev, status.st_ino
        file = _files.setdefault(inode, OpenFile([descriptor], inode))
        if descriptor not in file.descriptors:  # an interrupt may have come after it was registered
            file.descriptors.append(descriptor)
        if descriptor in _new:  # else a finalizer that ran here has registered it
            _new.remove(descriptor)
    return file


def release_unused(keep: int = KEPT) -> None:
    """Close our descriptors of files that SQLite has closed: of deleted files all, of others all but `keep`.

    Such files are left by a connection that may only read, and if other processes use the database. They are not
    closed at once: a program that also uses plain `sqlite3` takes none of our locks to open the file again.

    A program that opens 1,600 stores calls this for each. So the files are not checked at each call, and all
    descriptors of the process only once there are twice as many files as were in use the last time.
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
    except OSError:  # the disk fails: kept until it works again
        return False


def _release_listed(left: dict[tuple[int, int], OpenFile], keep: int) -> None:
    found = _descriptors()
    # Equal, not less: if our descriptors are not listed, SQLite's are unknown too.
    unused = [inode for inode, file in left.items() if found[inode] == file.count()]
    _pace["used"] = len(left) - len(unused)
    for inode in unused[: max(0, len(unused) - keep)]:
        _release(inode)


def _release(inode: tuple[int, int]) -> None:
    _files.pop(inode).close()


def _descriptors() -> Counter[tuple[int, int]]:
    """How many descriptors this process has of each file; empty if that is unknown."""
    found: Counter[tuple[int, int]] = Counter()
    with suppress(OSError):
        for number in os.listdir("/dev/fd"):
            with suppress(OSError):  # the descriptor of the listing is closed already
                status = os.stat(int(number))
                found[status.st_dev, status.st_ino] += 1
    return found


def park(seconds: float) -> None:
    """Before a fork: wait for threads that open or close a file; the child would leak unregistered descriptors."""
    _files_lock.acquire(timeout=seconds)


def unpark() -> None:
    """After a fork, in the parent."""
    with suppress(RuntimeError):  # the lock was not to be had
        _files_lock.release()


def renew() -> None:
    """In a forked child, which holds no locks that could be dropped: start anew."""
    global _files_lock  # noqa: PLW0603 - a lock that another thread held is held for ever here
    _files_lock = threading.RLock()
    for file in (*_files.values(), OpenFile(_new)):
        file.close()
    _files.clear()
    _new.clear()
    _pace.update(calls=0, used=0)


counters_of = struct.Struct("=8xI20xQ").unpack_from
"""iChange and both salts of a header. iChange is the number of the last commit; recovery of the log sets it back."""


def is_next(before: bytes, after: bytes) -> bool:
    """Whether exactly one commit lies between two headers; it may have begun the log, or begun it anew."""
    change, salts = counters_of(before)
    found = counters_of(after)
    if found == ((change + 1) % 2**32, salts):
        return bool(salts)  # 0: there is no log, as before the first commit
    first: int = _FIRST_SALT.unpack_from(before)[0]
    is_anew = not salts or _FIRST_SALT.unpack_from(after)[0] == (first + 1) % 2**32
    return bool(is_anew and found[0] == (change + 1) % 2**32)


def header_of(index: mmap.mmap) -> bytes | None:
    """The header; None if another thread closed the map, with the last connection."""
    try:
        return index[HEADER]
    except ValueError:
        return None


def frames_in(index: mmap.mmap) -> int | None:
    """How many frames the log has, including those that are folded in already; None: as `header_of`."""
    try:
        return int(_FRAMES.unpack_from(index)[0])
    except ValueError:
        return None


def end_of(index: mmap.mmap) -> tuple[int, tuple[int, int]] | None:
    """How many frames the log has, and the checksum of the last one; None: as `header_of`."""
    try:
        header = index[HEADER]
    except ValueError:
        return None
    return int(_FRAMES.unpack_from(header)[0]), _SUMS.unpack_from(header)


def salts_of(index: mmap.mmap) -> tuple[bytes, int]:
    """The salts of the index's log, as in its header, and how many of its frames SQLite reads."""
    try:
        header = index[HEADER]
    except ValueError:
        return b"", 0
    return header[_SALTS], int(_FRAMES.unpack_from(header)[0])
