"""A descriptor that no interrupt can leak, and its flags and calls on each system.

`fd = os.open(…)` is two steps, and Ctrl-C may come between them: then the number is lost, and its locks stay held.
CPython checks for signals after a C call, not during it, and each step here is one C call.

Descriptors are not inherited by other programs (PEP 446), so no flag is needed for that.
"""

from __future__ import annotations

import os
from collections import deque
from functools import partial
from typing import Any

NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
"""Refuse links."""
NO_SURPRISE = NO_FOLLOW | getattr(os, "O_NONBLOCK", 0)
"""Refuse links, and do not wait for the other end of a pipe."""
READ = os.O_RDONLY | NO_SURPRISE
NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_FOLLOW
BINARY = getattr(os, "O_BINARY", 0)
"""Without it Windows converts line ends; a `Descriptor` always has it."""


class Descriptor:
    """`os.open(path, flags, mode, dir_fd=dir_fd)`, open until `close` or collected. For use by one thread.

    Raises: the errors of `os.open`.
    """

    __slots__ = ("__weakref__", "_closing", "_numbers")

    def __init__(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        self._numbers: deque[int] = deque()  # not a list, which asks for memory to become shorter
        # Made now: where there is no memory left closing needs none, and the number is not lost on the way to it.
        self._closing = map(os.close, map(deque.pop, [self._numbers]))
        self._numbers.extend(map(partial(os.open, flags=flags | BINARY, mode=mode, dir_fd=dir_fd), [path]))

    @property
    def number(self) -> int:
        """The number, for functions of `os`."""
        return self._numbers[0]

    def close(self) -> None:
        """Close it; a second call does nothing. Errors are ignored: the file was only read, or is synced.

        Linux closes the descriptor even after an error (https://man7.org/linux/man-pages/man2/close.2.html).
        """
        if self._numbers:
            try:
                next(self._closing, None)
            except OSError:
                pass

    def __enter__(self) -> int:
        return self.number

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            next(self._closing, None)  # not `close`: an interrupt at the entry of a function would lose the number
        except (OSError, IndexError, AttributeError):  # as in `close`; it was never opened, or not completely made
            pass


def _read_at(descriptor: int, size: int, offset: int) -> bytes:
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, size)


def _write_at(descriptor: int, data: bytes, offset: int) -> int:
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.write(descriptor, data)


# Windows has no `pread`; the callers use a descriptor in one thread at a time.
read_at = getattr(os, "pread", _read_at)
"""`os.pread`."""
write_at = getattr(os, "pwrite", _write_at)
"""`os.pwrite`."""
