"""Processes that are forked to be killed: at a counted step of their own, or by whoever forked them."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any

MODULES = ("store.", "sqlite_utils.")


class Killer:
    """Kills this process at the n-th entry of a Python function, or return of a C function, of some modules."""

    def __init__(self, moment: int, modules: tuple[str, ...] = MODULES) -> None:
        self.left, self.modules = moment, modules

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if event in ("call", "c_return") and str(frame.f_globals.get("__name__")).startswith(self.modules):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def forked(work: Callable[[], object], moment: int = 0) -> int:
    """The process id of a fork of this process that does `work`, killed at that moment, and never comes back."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)  # of the threads that a test runner has
        pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        if moment:
            sys.setprofile(Killer(moment))
        work()
        sys.setprofile(None)
        code = 0
    except BaseException:
        sys.setprofile(None)
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """The exit code of a child, less than 0 for a signal; once it has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
