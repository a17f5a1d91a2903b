"""Range locks that no `close()` in this process drops, and POSIX locks, which any `close()` drops.

A POSIX lock belongs to the process, and closing *any* descriptor of the file drops it. An open file description lock
belongs to the open file description; see fcntl(2), "Open file description locks". The two exclude each other, also
within one process. Linux has them; elsewhere `AVAILABLE` is False and nothing here may be called.
"""

from __future__ import annotations

import errno
import os
import struct

try:
    import fcntl
except ImportError:  # Windows, where closing a descriptor does not drop locks of others
    fcntl = None  # type: ignore[assignment]

IS_POSIX = fcntl is not None
AVAILABLE = hasattr(fcntl, "F_OFD_SETLK") and struct.calcsize("P") == 8

_FLOCK = struct.Struct("hhqqi4x")  # struct flock: l_type, l_whence, l_start, l_len, l_pid
_HELD_BY_OTHERS = (errno.EAGAIN, errno.EACCES)


def share(descriptor: int, start: int, length: int) -> bool:
    """Lock a range for reading, so that writers cannot lock it; False if one has it locked. Raises: OSError."""
    try:
        _set(fcntl.F_OFD_SETLK, descriptor, fcntl.F_RDLCK, start, length)
    except OSError as exc:
        if exc.errno in _HELD_BY_OTHERS:
            return False
        raise
    return True


def unlock(descriptor: int, start: int, length: int) -> None:
    """Release the lock of `share`, for all processes that share the open file description. Raises: OSError."""
    _set(fcntl.F_OFD_SETLK, descriptor, fcntl.F_UNLCK, start, length)


def share_as_process(descriptor: int, start: int, length: int) -> None:
    """Acquire the POSIX lock of this process again, if a `close()` has dropped it. Raises: OSError."""
    _set(fcntl.F_SETLK, descriptor, fcntl.F_RDLCK, start, length)


def holder(descriptor: int, start: int = 0, length: int = 0) -> int | None:
    """The process whose lock prevents locking a range; None: no lock does, -1: the lock belongs to no process."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else pid


def _set(command: int, descriptor: int, kind: int, start: int, length: int) -> None:
    fcntl.fcntl(descriptor, command, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
