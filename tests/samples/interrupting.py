"""KeyboardInterrupt at a chosen moment: at the n-th of those at which CPython looks for signals, or after some time."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interrupter:
    """Raises KeyboardInterrupt at the n-th moment at which CPython would run a signal handler in our code.

    Those are the entry of a Python function and the return of a C function, which is just where a profile
    function is called, and where it may raise. (Lines, as a trace function sees them, are not: no signal is
    looked for between leaving a `with` block and the call of `__exit__`.) `caller` is the module whose own use of
    `contextlib` counts as ours.
    """

    def __init__(self, moment: int, caller: str) -> None:
        self.left = moment
        self.where = ""
        self._caller = caller

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if event not in ("call", "c_return") or not self._is_ours(frame) or _is_finalizer(frame):
            return
        self.left -= 1
        if self.left == 0:
            sys.setprofile(None)
            self.where = f"{frame.f_code.co_qualname} line {frame.f_lineno}, {event} {getattr(arg, '__name__', '')}"
            raise KeyboardInterrupt

    def __enter__(self) -> None:
        sys.setprofile(self)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _is_ours(self, frame: FrameType | None) -> bool:
        """Whether it is a function of the package, or one of contextlib that it or the caller called."""
        if frame is None:
            return False
        module = str(frame.f_globals.get("__name__", ""))
        if module == "contextlib":
            return frame.f_back is not None and (
                frame.f_back.f_globals["__name__"] == self._caller or self._is_ours(frame.f_back)
            )
        return module.startswith("store.")


def _is_finalizer(frame: FrameType) -> bool:
    """Whether it is a `__del__`, or called by one: Python prints what is raised there, and goes on."""
    back = frame.f_back
    return "__del__" in (frame.f_code.co_name, "" if back is None else back.f_code.co_name)


class Alarm:
    """A real signal after some time: SIGALRM, by the kernel's timer to the microsecond, or SIGINT by a thread.

    Either runs a handler that raises KeyboardInterrupt, as Ctrl-C does, but never once the block was left.
    To be used in the main thread, by `struck`.
    """

    def __init__(self, seconds: float, *, by_thread: bool) -> None:
        self.seconds = seconds
        self.by_thread = by_thread
        self.left = 1
        self.where = f"after {seconds * 1e6:.0f} us"
        self._armed = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> None:
        for number in (signal.SIGALRM, signal.SIGINT):
            signal.signal(number, self._handle)
        self._armed = True
        if self.by_thread:
            self._thread = threading.Thread(target=self._send)
            self._thread.start()
        else:
            signal.setitimer(signal.ITIMER_REAL, max(self.seconds, 1e-6))

    def __exit__(self, *_: object) -> None:
        self._armed = False

    def end(self) -> None:
        """Nothing is sent any more; what was sent too late is done with."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._armed:
            self._armed = False
            self.left = 0
            if frame is not None:
                self.where += f", {frame.f_code.co_qualname} line {frame.f_lineno}"
            raise KeyboardInterrupt

    def _send(self) -> None:
        time.sleep(self.seconds)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def struck(interrupter: Interrupter | Alarm, call: Callable[[], object]) -> bool:
    """Do it; whether it was interrupted."""
    try:
        with interrupter:
            call()
    except KeyboardInterrupt:
        return True
    finally:
        if isinstance(interrupter, Alarm):
            interrupter.end()
    return False
