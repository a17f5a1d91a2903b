"""Looking at the files of others without changing them, and without taking locks away from this process.

Closing any descriptor of a file drops the locks that this process holds on it, those of SQLite included; so a
source that the program itself has open is refused before it is looked into.
"""

from __future__ import annotations

import os
import stat

from store.care.foreign import bears_our_mark
from store.errors import Corrupt, StorageError

HEADER_BYTES = 100
SQLITE_MAGIC = b"SQLite format 3\0"
_DESCRIPTORS = "/dev/fd"


def is_file(path: str) -> bool:
    """Whether it is a regular file, or a link to one: a pipe would make the reader wait."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def header_of(path: str) -> bytes:
    """The first bytes of a file; none where there is none. Raises: StorageError: this program has it open."""
    if not is_file(path):
        return b""
    if is_open_here(path):
        raise StorageError(f"this program has {path} open itself; close it, then import it", path=path)
    try:
        with open(path, "rb") as file:
            return file.read(HEADER_BYTES)
    except OSError as exc:
        raise unreadable(path, exc) from exc


def contents_of(path: str) -> bytes:
    """All bytes of a file. Raises: StorageError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as exc:
        raise unreadable(path, exc) from exc


def is_our_store(path: str) -> bool:
    """Whether it is a store; one that this process has open is known by the backend alone."""
    if is_file(path) and is_open_here(path):
        from store.opened.opening import is_store

        return is_store(path)
    return bears_our_mark(header_of(path))


def is_open_here(path: str) -> bool:
    """Whether a descriptor of this process is of that file, where the system tells."""
    try:
        wanted = os.stat(path)
        numbers = [int(number) for number in os.listdir(_DESCRIPTORS)]
    except (OSError, ValueError):
        return False
    for number in numbers:
        try:
            found = os.fstat(number)
        except OSError:  # that of the listing itself
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False


def beneath(folder: str, name: str) -> bytes:
    """All bytes of a file under a folder, which a hostile name cannot lead out of: no link is followed.

    Raises:
        Corrupt: the name leads elsewhere, or to no regular file. StorageError: the file cannot be read.
    """
    parts = name.split("/")
    if not name or os.path.isabs(name) or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise Corrupt(f"its file name {name!r:.100} leads out of the folder; it was not followed")
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        number = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    except OSError as exc:
        raise Corrupt(f"its file {name!r:.100} is missing or a link ({exc.strerror})") from exc
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise Corrupt(f"its file {name!r:.100} is not a regular one")
    with open(number, "rb") as file:
        return file.read()


def unreadable(path: str, exc: OSError) -> StorageError:
    """The error for a source that the system does not let us read."""
    return StorageError(f"{path} cannot be read: {exc.strerror or exc}", errno=exc.errno, path=path)
