"""Whether locks that are made through one mount are seen through another: a file is locked through both.

A FUSE file system may answer for locks by itself, as bindfs does. The folder below it is then another world, though
the files are the same.
"""

from __future__ import annotations

import os
import secrets

from store.system.descriptors import Descriptor
from store.system.mounts import Mount, places_of

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def unlocked_place(path: str, mount: Mount | None) -> tuple[str, Mount] | None:
    """Where else the file at `path` may be opened without seeing its locks, and the mount that keeps them apart.

    None where there is no such place, or none can be told: a folder that may not be written is not tried.
    """
    for other, between in places_of(path, mount):
        if _are_apart(os.path.dirname(path), os.path.dirname(other)):
            return other, between
    return None


def _are_apart(folder: str, other: str) -> bool:
    name = f".store-{secrets.token_hex(8)}"
    try:
        with Descriptor(os.path.join(folder, name), _NEW, 0o600) as here:
            try:
                # Not there: it is another folder that has the name of the source.
                with Descriptor(os.path.join(other, name), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC) as there:
                    return _both(here, there)
            finally:
                os.unlink(os.path.join(folder, name))
    except OSError:
        return False


def _both(here: int, there: int) -> bool:
    """Whether two descriptors of one file can be locked at once."""
    import fcntl  # where there is FUSE there is this

    fcntl.flock(here, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        fcntl.flock(there, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
