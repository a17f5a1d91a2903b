"""Identifies the running thread, greenlet or asyncio task.

Neither greenlet nor asyncio is imported here: a process that has not imported them has no greenlets and no tasks.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any
from weakref import ref


def greenlet() -> Any:
    """The running greenlet; None for the main greenlet of the thread."""
    getcurrent = getattr(sys.modules.get("greenlet"), "getcurrent", None)
    if getcurrent is None:
        return None
    current = getcurrent()
    return None if current.parent is None else current


def ident() -> int:
    """A number of this thread or greenlet, unique while it lives."""
    if "greenlet" in sys.modules:
        current = greenlet()
        if current is not None:
            return id(current)
    return threading.get_ident()


def event_loop() -> Any:
    """The asyncio loop that waits for the running greenlet (`store.system.awaiting`); None if none does."""
    return getattr(greenlet(), "asyncio_loop", None)


def sleep(seconds: float) -> None:
    """Sleep; where an event loop waits for the running greenlet, the loop goes on meanwhile."""
    getattr(greenlet(), "sleep_in_loop", time.sleep)(seconds)


def task() -> Any:
    """The asyncio task that is running in this thread; None if there is none."""
    running_loop = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    loop = None if running_loop is None else running_loop()
    return None if loop is None else sys.modules["asyncio"].current_task(loop)


def name_of(running: Any) -> str:
    """The name of a task in messages; None means no task."""
    if running is None:
        return "code outside of any task"
    function = getattr(running.get_coro(), "__qualname__", "?")
    return f"the task {running.get_name()!r} ({function})"


class Mark:
    """An object in a thread's local storage, which is collected when the thread ends.

    `threading.current_thread()` does not detect the end of a thread that `threading` did not start: it represents it
    by a `_DummyThread`, which is alive for ever.
    """

    __slots__ = ("__weakref__",)


class Life:
    """Detects the end of a thread, by the `Mark` in its local storage, or of a greenlet."""

    __slots__ = ("_bearer",)

    def __init__(self, bearer: Any) -> None:
        self._bearer = ref(bearer)

    def is_of(self, bearer: object) -> bool:
        """Whether it belongs to that mark or greenlet."""
        return self._bearer() is bearer

    def is_over(self) -> bool:
        """Whether it has ended. An ended greenlet may be kept for its result."""
        bearer = self._bearer()
        return bearer is None or getattr(bearer, "dead", False)
