"""A descriptor that no interrupt can lose: it is closed with the object, and each step of it is one call of C.

`fd = os.open(…)` is two steps, and Ctrl-C may strike between them: then nobody knows the number, and what it locks
stays locked. CPython looks for signals after a call of C, not within it.
"""

from __future__ import annotations

import os
from collections import deque
from functools import partial
from typing import Any


class Descriptor:
    """`os.open(path, flags, mode, dir_fd=dir_fd)`, open until `close` or the end of the object. For one thread.

    Raises: what `os.open` does.
    """

    __slots__ = ("__weakref__", "_closing", "_numbers")

    def __init__(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        self._numbers: deque[int] = deque()  # not a list, which asks for memory to become shorter
        # Made now: where there is no memory left closing needs none, and the number is not lost on the way to it.
        self._closing = map(os.close, map(deque.pop, [self._numbers]))
        self._numbers.extend(map(partial(os.open, flags=flags, mode=mode, dir_fd=dir_fd), [path]))

    @property
    def number(self) -> int:
        """What the functions of `os` want."""
        return self._numbers[0]

    def close(self) -> None:
        """A second call does nothing, and an error says nothing of what was only read, or is synced.

        Linux closes the descriptor all the same (https://man7.org/linux/man-pages/man2/close.2.html).
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
        if getattr(self, "_numbers", None):
            self.close()
