"""The status of files, and the translation of the system's errors into those of this library.

`os.path.exists` and similar functions report a file as missing if its folder may not be searched or the disk fails.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from store.errors import ReadOnly, StorageError, StoreError
from store.system.refusals import advice

WRITE_OR_READ = (
    "to write, this user needs the right to write the file, those beside it and its directory; to read only, open "
    'the store with mode="r"'
)
LOOK_AT_LOG = "see the file system's log and try again"

_OF_PATHS = {
    errno.EACCES: "this user may not search a folder above it: have its owner allow that, or choose another path",
    errno.ELOOP: "links above it lead in a circle: see where they point, or choose another path",
    errno.ENAMETOOLONG: "choose a shorter path",
}


def status_of(path: str, *, follow: bool = True) -> os.stat_result | None:
    """The status of the file at the path, None if there is none. Raises: StorageError: it cannot be reached."""
    try:
        return os.stat(path, follow_symlinks=follow)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise unreachable(path, exc) from exc


def size_of(path: str) -> int:
    """The size of the file at the path in bytes, 0 if there is none. Raises: as `status_of`."""
    status = status_of(path)
    return 0 if status is None else status.st_size


def stamp_of(path: str) -> tuple[int, ...] | None:
    """A value that changes with the file at the path; None if there is none. Raises: as `status_of`."""
    status = status_of(path)
    return None if status is None else (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def is_there(path: str) -> bool:
    """Whether anything is at the path, even a broken link. Raises: as `status_of`."""
    try:
        return status_of(path, follow=False) is not None
    except StorageError as exc:
        if exc.errno == errno.ENAMETOOLONG:  # nothing can have that name
            return False
        raise


def unreachable(path: str, exc: OSError) -> StorageError:
    """The library's error for a file that cannot be examined or opened."""
    what = _OF_PATHS.get(exc.errno or 0) or advice(exc, LOOK_AT_LOG)
    return StorageError(f"{path} cannot be reached: {exc.strerror or exc}; {what}", errno=exc.errno, path=path)


def no_thread(what: str, exc: RuntimeError) -> StorageError:
    """The library's error if the system, or an interpreter that shuts down, cannot start a thread."""
    return StorageError(
        f"{what}: no thread could be started for it ({exc}); end other threads or programs, or raise `ulimit -u`, "
        "and try again",
        errno=errno.EAGAIN,
    )


def unwritable(path: str, exc: OSError) -> StorageError | ReadOnly:
    """The library's error for a file or folder that could not be written."""
    if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ReadOnly(f"{path} cannot be written ({exc.strerror}); {WRITE_OR_READ}", path=path)
    what = advice(exc, "the file system refused; see its log and try again")
    return StorageError(f"{path}: {what} ({exc.strerror}); earlier records are unchanged", errno=exc.errno, path=path)


@contextmanager
def writing(path: str) -> Iterator[None]:
    """Translates OSErrors in the block to those of an unwritable file. Raises: StorageError, ReadOnly."""
    try:
        yield
    except StoreError:
        raise
    except OSError as exc:
        raise unwritable(path, exc) from exc


@contextmanager
def reaching(path: str) -> Iterator[None]:
    """Translates OSErrors in the block to library errors that name the path. Raises: StoreError."""
    try:
        yield
    except StoreError:
        raise
    except OSError as exc:
        raise unreachable(path, exc) from exc
