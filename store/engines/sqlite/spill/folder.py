"""The folder `<database>-spill/`: its files, and the lock under which they are removed. Knows nothing of rows.

Every file is opened relative to a descriptor of the folder, which is opened for each use. Neither the folder nor a
file may be a link, so no link leads out of it. A writer holds a shared lock (flock) on the folder from before the
first file is created until the row that names them is committed; orphans are removed under an exclusive lock, so the
files of a write in progress are never removed.

A system that cannot open folders (Windows) opens files by their paths and does not lock the folder, so orphans stay.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from store.errors import LockTimeout, StorageError
from store.rows.spilled import is_file
from store.system.clock import steady_clock
from store.system.descriptors import NO_FOLLOW, Descriptor
from store.system.file_status import LOOK_AT_LOG, writing
from store.system.refusals import advice
from store.system.rights import folder_mode, give_rights
from store.system.syncing import sync_folder

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

RETRY_SECONDS = 0.002  # between two attempts at the lock of the folder
ATTEMPTS = 10  # to lock the folder that is at the path

OPENS_FOLDERS = hasattr(os, "O_DIRECTORY") and os.open in os.supports_dir_fd
LOCKS_FOLDERS = OPENS_FOLDERS and fcntl is not None
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | NO_FOLLOW


class OpenFolder:
    """The folder, open until `close` or until the object is collected, unless it is borrowed."""

    __slots__ = ("__weakref__", "_number", "_owner", "_path")

    def __init__(self, path: str, number: int | None, owner: Descriptor | None) -> None:
        self._path = path
        self._number = number
        self._owner = owner

    @classmethod
    def at(cls, path: str) -> OpenFolder:
        """Open the folder. Raises: OSError: there is none, or it is a link or not a folder."""
        if OPENS_FOLDERS:
            descriptor = Descriptor(path, _FOLDER)
            return cls(path, descriptor.number, descriptor)
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return cls(path, None, None)

    def borrowed(self) -> OpenFolder:
        """The same folder, not kept open: an error that the program keeps would keep the lock by its frames."""
        return OpenFolder(self._path, self._number, None)

    def open(self, file: str, flags: int) -> Descriptor:
        """Open a file in it; a new one is accessible to this user only. Raises: OSError."""
        path, above = self._place_of(file)
        return Descriptor(path, flags, 0o600, dir_fd=above)

    def status(self, file: str) -> os.stat_result:
        """The status of a file in it, or of a link. Raises: OSError."""
        path, above = self._place_of(file)
        return os.stat(path, dir_fd=above, follow_symlinks=False)

    def files(self) -> set[str]:
        """The names of all files that match the pattern of our names."""
        place = self._path if self._number is None else self._number
        return {name for name in os.listdir(place) if is_file(name)}

    def unlink(self, file: str) -> int | None:
        """Remove a file; returns the bytes freed, or None if it could not be removed."""
        path, above = self._place_of(file)
        try:
            status = self.status(file)
            os.unlink(path, dir_fd=above)
        except FileNotFoundError:
            return 0
        except OSError:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else 0

    def sync(self) -> None:
        """Sync the names of its files to the disk. Raises: OSError."""
        if self._number is not None:
            os.fsync(self._number)

    def sync_file(self, file: str) -> None:
        """Sync an existing file and its name, which may be unsynced. Raises: OSError."""
        with self.open(file, (os.O_RDONLY if OPENS_FOLDERS else os.O_RDWR) | NO_FOLLOW) as descriptor:
            os.fsync(descriptor)
        self.sync()

    def is_at(self, path: str) -> bool:
        """Whether it is the folder that is at the path now."""
        if self._number is None:
            return os.path.isdir(path)
        try:
            return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(self._number))
        except OSError:
            return False

    def identity(self) -> tuple[int, int]:
        """Its device and inode."""
        status = os.lstat(self._path) if self._number is None else os.fstat(self._number)
        return status.st_dev, status.st_ino

    def give_rights(self, database: os.stat_result) -> None:
        """Set its rights to match those of the database. Raises: OSError."""
        target = self._path if self._number is None else self._number
        give_rights(target, database, folder_mode(database.st_mode))

    def lock_shared(self, timeout: float) -> bool:
        """Keep its files from being removed as orphans until it is closed; returns whether that succeeded."""
        return not LOCKS_FOLDERS or self._lock(fcntl.LOCK_SH, timeout)

    def lock_exclusively(self, timeout: float) -> bool:
        """Keep writers out until it is unlocked or closed; returns whether it got the lock in time."""
        return LOCKS_FOLDERS and self._lock(fcntl.LOCK_EX, timeout)

    def unlock(self) -> None:
        """Let others write again."""
        if LOCKS_FOLDERS and self._number is not None:
            fcntl.flock(self._number, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the folder, which releases its lock."""
        if self._owner is not None:
            self._owner.close()

    def _lock(self, how: int, timeout: float) -> bool:
        assert self._number is not None
        deadline = steady_clock() + timeout
        while True:
            try:
                fcntl.flock(self._number, how | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if steady_clock() >= deadline:
                    return False
                time.sleep(RETRY_SECONDS)

    def _place_of(self, file: str) -> tuple[str, int | None]:
        if self._number is None:
            return os.path.join(self._path, file), None
        return file, self._number


class Folder:
    """The spill folder of one database. Safe across threads, processes and forks: it keeps nothing open."""

    def __init__(self, database: str, path: str) -> None:
        self.database = database
        self.path = path
        self._synced: tuple[int, int] | None = None  # the folder whose name is synced
        self._was_made = False  # by this object

    @contextmanager
    def opened(self) -> Iterator[OpenFolder]:
        """The folder for the length of the block. Raises: FileNotFoundError: there is none. StorageError."""
        try:
            folder = self._open()
        except (FileNotFoundError, StorageError):
            raise
        except OSError as exc:
            raise StorageError(
                f"{self.path} cannot be opened: {exc.strerror}; {advice(exc, LOOK_AT_LOG)}",
                errno=exc.errno,
                path=self.path,
            ) from exc
        try:
            yield folder
        finally:
            folder.close()

    def hold(self, timeout: float) -> OpenFolder:
        """The folder, created if necessary; until it is closed, no files are removed as orphans.
        Raises:
            ReadOnly, StorageError: it cannot be made or opened. LockTimeout: orphans are being removed.
        """
        for left in reversed(range(ATTEMPTS)):
            folder = self._open_or_make()
            try:
                with writing(self.path):
                    self._sync_name(folder.identity())
                    if not folder.lock_shared(timeout):
                        raise LockTimeout(f"{self.path}: its orphans are being removed; try again", path=self.path)
                    # Otherwise `remove_if_made` was faster, or the inode changes at each look on this file system.
                    if folder.is_at(self.path) or not left:
                        return folder
            except BaseException:
                folder.close()
                raise
            folder.close()
        raise AssertionError("the last attempt returns or raises")

    def remove_if_made(self) -> None:
        """Removes the folder if this object created it, it is empty, and no files are being written."""
        if self._was_made:
            with suppress(OSError, StorageError), self.opened() as folder:
                if folder.lock_exclusively(0.0) and folder.is_at(self.path):
                    os.rmdir(self.path)

    def remove(self, files: Iterable[str]) -> tuple[list[str], int]:
        """Removes those files, and syncs the folder; returns which are removed, and the bytes freed."""
        gone: list[str] = []
        freed = 0
        try:
            with self.opened() as folder:
                for file in filter(is_file, files):
                    size = folder.unlink(file)
                    if size is not None:
                        gone.append(file)
                        freed += size
                folder.sync()
        except FileNotFoundError:
            return list(files), 0
        return gone, freed

    def rights(self) -> os.stat_result:
        """The status of the database, whose rights the files get."""
        return os.stat(self.database)

    def _open(self) -> OpenFolder:
        try:
            return OpenFolder.at(self.path)
        except OSError as exc:
            if exc.errno in (errno.ENOTDIR, errno.ELOOP):
                raise StorageError(
                    f"{self.path} is a link or no folder, and is not followed; move it away",
                    errno=exc.errno,
                    path=self.path,
                ) from exc
            raise

    def _open_or_make(self) -> OpenFolder:
        with writing(self.path):
            try:
                return self._open()
            except FileNotFoundError:
                self._make()
                return self._open()

    def _make(self) -> None:
        """Create it with the rights of the database, as SQLite does for its log."""
        rights = self.rights()
        try:
            os.mkdir(self.path, 0o700)
        except FileExistsError:
            return
        self._was_made = True
        folder = self._open()
        try:
            folder.give_rights(rights)
        finally:
            folder.close()

    def _sync_name(self, folder: tuple[int, int]) -> None:
        """Sync its name once, also for an existing folder, whose creator may have been killed before the sync."""
        if self._synced != folder:
            with suppress(PermissionError):  # a folder that can be written and not read; SQLite goes on as well
                sync_folder(os.path.dirname(self.path))
            self._synced = folder
