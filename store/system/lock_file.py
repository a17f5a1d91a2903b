"""A file that processes lock against each other; it is opened on first use, and again if others removed it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from store.errors import ReadOnly, StorageError, StoreClosed, StoreError
from store.system.deadlock import LINE_BYTES
from store.system.descriptors import NO_SURPRISE, READ, Descriptor, read_at, write_at
from store.system.file_status import LOOK_AT_LOG, WRITE_OR_READ
from store.system.late import late
from store.system.refusals import advice
from store.system.rights import make_beside

NAMED_REMEDY = "a named lock is a file beside the store: have its owner allow this user to make it, and try again"

ATTEMPTS = 100  # to open a lock file that others remove
_LINE_AT = 1  # after the locked byte, the first, which cannot be read on Windows
_REQUEST_AT = _LINE_AT + LINE_BYTES
_NO_REQUEST = b"\0", b""


class LockFile:
    """A lock file, locked as a whole by its descriptor. Used under the mutex of its `WriterLock`.

    filelock is imported at the first lock: it takes 70–110 ms, which readers do not need.
    """

    def __init__(self, path: str, database: str, *, is_named: bool) -> None:
        self.path = path
        self._database = database  # the lock file gets its mode and group
        self._is_named = is_named
        self._opened: Descriptor | None = None
        self._number: int | None = None  # of that descriptor
        self._inode = (0, 0)
        self._lock: Callable[..., bool]
        self._unlock: Callable[[int], Any]
        self.is_closed = False
        self.folder: Callable[[], int | None] | None = None
        """Returns a value that is the same while no name in the folder changes; None: check the lock file."""
        self.seen: int | None = None
        """That value when the lock was last acquired."""
        self._good: int | None = None  # that value when the lock file was last checked

    def lock(self) -> bool:
        """Try once to lock; checks that the file was not deleted or replaced. Raises: StoreError."""
        descriptor = self._number
        if descriptor is None:
            descriptor = self._open()
        try:
            if not self._lock(descriptor, blocking=False):
                return False
            seen = self.seen = None if self.folder is None else self.folder()
            if seen is not None and seen == self._good:
                return True
            if self.is_in_place():
                self._good = seen
                return True
        except OSError as exc:
            raise _unlockable(self.path, exc) from exc
        self.close()
        return False

    def unlock(self) -> None:
        """Unlock it."""
        if self._number is not None:
            try:
                self._unlock(self._number)
            except OSError:  # closing unlocks it as well
                self.close()

    def remove(self) -> None:
        """Unlink it before unlocking: waiting processes notice, and create another. If that fails, it stays."""
        with suppress(OSError):
            if self.is_in_place():
                os.unlink(self.path)

    def close(self) -> None:
        """Close the descriptor, and so release the lock."""
        self._number = self._good = None
        if self._opened is not None:
            self._opened.close()

    def write_line(self, line: bytes) -> None:
        """Write for other processes the lock that the holder waits for; if that fails, they time out."""
        if self._number is not None:
            with suppress(OSError):
                write_at(self._number, line, _LINE_AT)

    def read_line(self) -> bytes:
        """The lock that the holder, in any process, waits for."""
        with suppress(OSError):
            if self._number is not None:
                return read_at(self._number, LINE_BYTES, _LINE_AT)
            with Descriptor(self.path, READ) as descriptor:  # open in this process, not written to yet
                return read_at(descriptor, LINE_BYTES, _LINE_AT)
        return b""

    def request_turn(self) -> None:
        """Leave a mark for the process that locks the file repeatedly; without it the waiter only polls."""
        if self._number is not None:
            with suppress(OSError):
                write_at(self._number, b"1", _REQUEST_AT)

    def take_request(self) -> bool:
        """Whether a waiter left that mark, which is then erased. A waiter that lives will leave it again."""
        if self._number is not None:
            with suppress(OSError):
                if read_at(self._number, 1, _REQUEST_AT) not in _NO_REQUEST:
                    write_at(self._number, b"\0", _REQUEST_AT)
                    return True
        return False

    def is_in_place(self) -> bool:
        """Whether the open file is the one at the path."""
        try:
            status = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return self._inode == (status.st_dev, status.st_ino)

    def _open(self) -> int:
        self._lock = late("filelock:lock_descriptor", self.path)
        self._unlock = late("filelock:unlock_descriptor", self.path)
        if self.is_closed:
            raise StoreClosed(f"{self.path}: the store was closed while a writer waited; open it again")
        try:
            self._opened = self._made_or_there()
        except OSError as exc:
            what = "the file of a named lock" if self._is_named else "the lock file"
            raise unopenable(self.path, exc, what, NAMED_REMEDY if self._is_named else WRITE_OR_READ) from exc
        try:
            status = os.fstat(self._opened.number)
        except OSError as exc:
            self.close()
            raise _unlockable(self.path, exc) from exc
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise StorageError(
                f"{self.path} is no regular file, and no lock; move it away, and try again",
                errno=errno.EINVAL,
                path=self.path,
            )
        self._inode = (status.st_dev, status.st_ino)
        self._number = self._opened.number
        return self._number

    def _made_or_there(self) -> Descriptor:
        for _ in range(ATTEMPTS):
            make_beside(self.path, self._database)
            with suppress(FileNotFoundError):  # its holder removed it in between
                return Descriptor(self.path, os.O_RDWR | NO_SURPRISE)
        return Descriptor(self.path, os.O_RDWR | NO_SURPRISE)


def unopenable(path: str, exc: OSError, what: str, remedy: str) -> StoreError:
    """The error for a lock file, or its folder, that cannot be created; `remedy`: advice if that is forbidden."""
    if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ReadOnly(f"{path}: cannot make {what} ({exc.strerror}); {remedy}", path=path)
    otherwise = "see if it is another file, the disk is full, or its folder was moved, and open the store again"
    return StorageError(
        f"{path}: cannot open {what}: {exc.strerror}; {advice(exc, otherwise)}", errno=exc.errno, path=path
    )


def _unlockable(path: str, exc: OSError) -> StorageError:
    """The error for a file that the system does not lock, or unlock."""
    return StorageError(
        f"{path}: cannot be locked or unlocked: {exc.strerror}; {advice(exc, LOOK_AT_LOG)}",
        errno=exc.errno,
        path=path,
    )
