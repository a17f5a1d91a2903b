"""Syncs files, and the folders that contain their names, so that a power cut loses neither.

Windows cannot open folders, and keeps the names of files without a sync.
"""

from __future__ import annotations

import errno
import os
from typing import IO, TYPE_CHECKING, Any

from store.system.descriptors import NO_FOLLOW, Descriptor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_FULL = getattr(fcntl, "F_FULLFSYNC", 0)
_FOLDER = getattr(os, "O_DIRECTORY", None)
_UNSEARCHABLE = (errno.EACCES, errno.EPERM, errno.ELOOP)


def sync_file(file: IO[Any]) -> None:
    """Sync an open file with its buffer to the disk. Raises: OSError."""
    file.flush()
    os.fsync(file.fileno())


def _sync_data(descriptor: int) -> None:
    try:
        fcntl.fcntl(descriptor, _FULL)
    except OSError:  # the file system lacks it, as SMB may
        os.fsync(descriptor)


# macOS has no `fdatasync`, and its `fsync` leaves data in the memory of the disk.
sync_data: Callable[[int], None] = _sync_data if _FULL else getattr(os, "fdatasync", os.fsync)
"""Sync the content and size of a file that is open for writing. Raises: OSError."""


def sync_closed(path: str) -> None:
    """What another one wrote to a file, and has closed, is on the disk when this returns. Raises: OSError."""
    with Descriptor(path, os.O_RDWR | NO_FOLLOW) as descriptor:  # Windows syncs for those alone who may write
        os.fsync(descriptor)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """So are the names of the files in a folder; without it a file may be synced and nowhere. Raises: OSError."""
    if _FOLDER is not None:
        with Descriptor(folder, os.O_RDONLY | _FOLDER) as descriptor:
            try:
                os.fsync(descriptor)
            except OSError as exc:
                if exc.errno != errno.EINVAL:  # it syncs no folders, as SMB may; SQLite goes on as well
                    raise


def sync_folders_above(folder: Path) -> None:
    """The name of a folder, and those of the folders above it that are this user's. Raises: OSError.

    Also of those that were there: the program that made them may have been killed before it synced them.
    """
    if hasattr(os, "geteuid"):
        for above in folder.parents:
            try:
                owner = os.stat(above).st_uid
            except OSError as exc:
                if exc.errno in _UNSEARCHABLE:  # not ours, then: nor are those above it
                    return
                raise
            if owner != os.geteuid():
                return
            sync_folder(above)
