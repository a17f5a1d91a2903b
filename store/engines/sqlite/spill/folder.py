"""The folder `<database>-spill/`: its files, and who may remove them. Knows nothing of rows.

Every file is opened relative to a descriptor of the folder, which is opened for the occasion: neither the folder nor
a file may be a link, so nothing is ever followed out of it. Whoever writes holds a shared lock (flock) on the folder
from before the first file is made until the row that names them is committed; whoever removes orphans holds it
exclusively, and so never takes the files of a write in progress for leftovers.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from store.errors import LockTimeout, ReadOnly, StorageError, StoreError
from store.rows.spilled import is_file
from store.system.clock import steady_clock
from store.system.descriptors import Descriptor
from store.system.file_status import LOOK_AT_LOG
from store.system.refusals import advice
from store.system.rights import folder_mode, give_rights
from store.system.syncing import sync_folder

RETRY_SECONDS = 0.002  # between two attempts at the lock of the folder
ATTEMPTS = 10  # to lock the folder that is at the path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """The spill folder of one database. Safe across threads, processes and forks: it keeps nothing open."""

    def __init__(self, database: str, path: str) -> None:
        self.database = database
        self.path = path
        self._synced: tuple[int, int] | None = None  # the folder that a power cut leaves where it is
        self._was_made = False  # by this object

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Its descriptor. Raises: FileNotFoundError: there is none. StorageError: it cannot be read."""
        try:
            descriptor = self._open()
        except (FileNotFoundError, StorageError):
            raise
        except OSError as exc:
            raise StorageError(
                f"{self.path} cannot be opened: {exc.strerror}; {advice(exc, LOOK_AT_LOG)}",
                errno=exc.errno,
                path=self.path,
            ) from exc
        with descriptor as number:
            yield number

    def hold(self, timeout: float) -> Descriptor:
        """A descriptor that keeps its files from being removed as orphans until it is closed; makes the folder.

        Raises:
            ReadOnly, StorageError: it cannot be made or opened. LockTimeout: orphans are being removed.
        """
        for left in reversed(range(ATTEMPTS)):
            descriptor = self._open_or_make()
            try:
                with translated(self.path):
                    self._sync_name(descriptor.number)
                    if not lock(descriptor.number, fcntl.LOCK_SH, timeout):
                        raise LockTimeout(f"{self.path}: its orphans are being removed; try again", path=self.path)
                    # Else `remove_if_made` was faster; or this file system numbers a folder anew at each look.
                    if self.is_at_path(descriptor.number) or not left:
                        return descriptor
            except BaseException:
                descriptor.close()
                raise
            descriptor.close()
        raise AssertionError("the last attempt returns or raises")

    def is_at_path(self, descriptor: int) -> bool:
        """Whether a descriptor is of the folder that is at the path now."""
        try:
            return os.path.samestat(os.stat(self.path, follow_symlinks=False), os.fstat(descriptor))
        except OSError:
            return False

    def remove_if_made(self) -> None:
        """Removes the folder if this object made it, it is empty, and nobody is writing files into it."""
        if not self._was_made:
            return
        with suppress(OSError, StorageError), self._open() as descriptor:
            if lock_exclusively(descriptor, 0.0) and self.is_at_path(descriptor):
                os.rmdir(self.path)

    def files(self, descriptor: int) -> set[str]:
        """The names of all files that are called as ours are."""
        return {name for name in os.listdir(descriptor) if is_file(name)}

    def remove(self, files: Iterable[str]) -> tuple[list[str], int]:
        """Removes those files, and syncs the folder: which are gone now, and how many bytes that gave back."""
        gone: list[str] = []
        freed = 0
        try:
            with self.opened() as descriptor:
                for file in filter(is_file, files):
                    size = _unlink(file, descriptor)
                    if size is not None:
                        gone.append(file)
                        freed += size
                os.fsync(descriptor)
        except FileNotFoundError:
            return list(files), 0
        return gone, freed

    def rights(self) -> os.stat_result:
        """The status of the database, whose rights the files get."""
        return os.stat(self.database)

    def _open(self) -> Descriptor:
        try:
            return Descriptor(self.path, _FOLDER)
        except OSError as exc:
            if exc.errno in (errno.ENOTDIR, errno.ELOOP):
                raise StorageError(
                    f"{self.path} is a link or no folder, and is not followed; move it away",
                    errno=exc.errno,
                    path=self.path,
                ) from exc
            raise

    def _open_or_make(self) -> Descriptor:
        with translated(self.path):
            try:
                return self._open()
            except FileNotFoundError:
                self._make()
                return self._open()

    def _make(self) -> None:
        """With the rights of the database, as SQLite makes its log."""
        status = self.rights()
        try:
            os.mkdir(self.path, 0o700)
        except FileExistsError:
            return
        self._was_made = True
        with self._open() as descriptor:
            give_rights(descriptor, status, folder_mode(status.st_mode))

    def _sync_name(self, descriptor: int) -> None:
        """Once, also where the folder was there: whoever made it may have been killed before it was synced."""
        status = os.fstat(descriptor)
        folder = status.st_dev, status.st_ino
        if self._synced == folder:
            return
        # A folder may be such that it can be written and not read; SQLite goes on as well.
        with suppress(PermissionError):
            sync_folder(os.path.dirname(self.path))
        self._synced = folder


def lock(descriptor: int, how: int, timeout: float) -> bool:
    """Lock the folder, waiting for as long; whether that was done. The lock goes with the descriptor."""
    deadline = steady_clock() + timeout
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if steady_clock() >= deadline:
                return False
            time.sleep(RETRY_SECONDS)


def lock_exclusively(descriptor: int, timeout: float) -> bool:
    """Whether nobody is writing files any more, nor begins to while the descriptor is open."""
    return lock(descriptor, fcntl.LOCK_EX, timeout)


def unlock(descriptor: int) -> None:
    """Let others write again."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def unwritable(exc: OSError, path: str) -> StorageError | ReadOnly:
    """The error of ours for a file or folder that could not be written."""
    if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ReadOnly(
            f'{path} cannot be written ({exc.strerror}); to read only, open the store with mode="r"', path=path
        )
    what = advice(exc, "the file system refused; see its log and try again")
    return StorageError(f"{path}: {what} ({exc.strerror}); what was stored before stands", errno=exc.errno, path=path)


@contextmanager
def translated(path: str) -> Iterator[None]:
    """In it, what the system says of the folder is an error of ours. Raises: StorageError, ReadOnly."""
    try:
        yield
    except StoreError:
        raise
    except OSError as exc:
        raise unwritable(exc, path) from exc


def _unlink(file: str, descriptor: int) -> int | None:
    """The bytes that were given back; None where the file could not be removed."""
    try:
        status = os.stat(file, dir_fd=descriptor, follow_symlinks=False)
        os.unlink(file, dir_fd=descriptor)
    except FileNotFoundError:
        return 0
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
