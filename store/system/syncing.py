"""What was written, synced: files, and the folders that name them; a power cut then takes neither."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Any


def sync_file(file: IO[Any]) -> None:
    """What was written to an open file is on the disk when this returns. Raises: OSError."""
    file.flush()
    os.fsync(file.fileno())


def close(descriptor: int) -> None:
    """Close what was only read, or is synced: an error of it says nothing then.

    Linux closes the descriptor all the same (https://man7.org/linux/man-pages/man2/close.2.html).
    """
    with suppress(OSError):
        os.close(descriptor)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """So are the names of the files in a folder; without it a file may be synced and nowhere. Raises: OSError."""
    if os.name == "posix":  # elsewhere a folder cannot be opened
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as exc:
            if exc.errno != errno.EINVAL:  # it syncs no folders, as SMB may; SQLite goes on as well
                raise
        finally:
            close(descriptor)


def sync_named(file: str, folder: int) -> None:
    """A file that was there in an open folder, and its name: it may have been left unsynced. Raises: OSError."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fsync(descriptor)
    finally:
        close(descriptor)
    os.fsync(folder)


def sync_folders_above(folder: Path) -> None:
    """The name of a folder, and those of the folders above it that are this user's. Raises: OSError.

    Also of those that were there: whoever made them may have been killed before it synced them.
    """
    if os.name == "posix":
        for above in folder.parents:
            if os.stat(above).st_uid != os.geteuid():
                return
            sync_folder(above)
