"""Locks on a range of a file that no `close()` of this process drops, and the POSIX locks that each of them does.

A POSIX lock belongs to the process, and closing *any* descriptor of the file drops it. An open file description lock
belongs to what `open` made; see fcntl(2), "Open file description locks". The two exclude each other, in one process
too. Linux has them; elsewhere `AVAILABLE` is False and nothing here may be called.
"""

from __future__ import annotations

import errno
import os
import struct

try:
    import fcntl
except ImportError:  # Windows, where closing a descriptor drops the locks of no other
    fcntl = None  # type: ignore[assignment]

IS_POSIX = fcntl is not None
AVAILABLE = hasattr(fcntl, "F_OFD_SETLK") and struct.calcsize("P") == 8

_FLOCK = struct.Struct("hhqqi4x")  # struct flock: l_type, l_whence, l_start, l_len, l_pid
_HELD_BY_OTHERS = (errno.EAGAIN, errno.EACCES)


def share(descriptor: int, start: int, length: int) -> bool:
    """Lock a range so that nobody may lock it for writing; False where somebody has. Raises: OSError."""
    try:
        _set(fcntl.F_OFD_SETLK, descriptor, fcntl.F_RDLCK, start, length)
    except OSError as exc:
        if exc.errno in _HELD_BY_OTHERS:
            return False
        raise
    return True


def unlock(descriptor: int, start: int, length: int) -> None:
    """Give back what `share` took, for all processes that have the open file from this one. Raises: OSError."""
    _set(fcntl.F_OFD_SETLK, descriptor, fcntl.F_UNLCK, start, length)


def share_as_process(descriptor: int, start: int, length: int) -> None:
    """The POSIX lock of this process, taken again where a `close()` has dropped it. Raises: OSError."""
    _set(fcntl.F_SETLK, descriptor, fcntl.F_RDLCK, start, length)


def holder(descriptor: int, start: int = 0, length: int = 0) -> int | None:
    """The process whose lock is in the way of locking a range, or all; None: no lock is, -1: it is of no process."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else pid


def _set(command: int, descriptor: int, kind: int, start: int, length: int) -> None:
    fcntl.fcntl(descriptor, command, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
