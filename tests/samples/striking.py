"""A function that is called at a chosen line of the library, as a signal handler or by the garbage collector."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import store

ROOT = os.path.dirname(store.__file__)


class Strike:
    """Calls `action` at the n-th line that the library runs in the block; `where` is that line, once it did.

    An action that raises strikes where CPython looks for signals alone: at the entry of a function, and after a call
    of C. Between a `with` statement and the block it does not, and what raised there would leave a lock locked.
    """

    def __init__(self, moment: int, action: Callable[[], object], *, raises: bool = False) -> None:
        self._left = moment
        self._action = action
        self._raises = raises
        self.where = ""

    def __enter__(self) -> Strike:
        self._before = sys.gettrace(), sys.getprofile()
        if self._raises:
            sys.setprofile(self._profile)
        else:
            sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before[0])
        sys.setprofile(self._before[1])

    def _trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        if not frame.f_code.co_filename.startswith(ROOT):
            return None
        if event == "line":
            self._count(frame)
        return self._trace

    def _profile(self, frame: FrameType, event: str, arg: Any) -> None:
        ours = frame.f_code.co_filename.startswith(ROOT) and frame.f_code.co_name != "__del__"
        if ours and event in ("call", "c_return"):
            self._count(frame)

    def _count(self, frame: FrameType) -> None:
        self._left -= 1
        if self._left == 0:
            self.__exit__()
            self.where = f"{frame.f_code.co_qualname} line {frame.f_lineno}"
            self._action()


@contextmanager
def signal_handler(work: Callable[[], object]) -> Iterator[Callable[[], None]]:
    """Gives what raises a signal, whose handler resets it first, as many do, and does the work."""

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        work()

    def strike() -> None:
        signal.signal(signal.SIGUSR1, handle)
        signal.raise_signal(signal.SIGUSR1)

    before = signal.getsignal(signal.SIGUSR1)
    try:
        yield strike
    finally:
        signal.signal(signal.SIGUSR1, before)


class Cycle:
    """Does its work when the garbage collector finds it."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._me = self

    def __del__(self) -> None:
        self._work()
