"""What is running: a thread, whatever started it, a greenlet in it, or an asyncio task on it.

Neither greenlet nor asyncio is imported here: without them in the process there are no greenlets and no tasks.
"""

from __future__ import annotations

import sys
import threading
from typing import Any
from weakref import ref


def greenlet() -> Any:
    """The greenlet that is running; None for the thread's own, which every thread begins with."""
    getcurrent = getattr(sys.modules.get("greenlet"), "getcurrent", None)
    if getcurrent is None:
        return None
    current = getcurrent()
    return None if current.parent is None else current


def ident() -> int:
    """A number that no other thread or greenlet has while this one lives."""
    if "greenlet" in sys.modules:
        current = greenlet()
        if current is not None:
            return id(current)
    return threading.get_ident()


def task() -> Any:
    """The asyncio task that is running in this thread; None where there is none."""
    running_loop = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    loop = None if running_loop is None else running_loop()
    return None if loop is None else sys.modules["asyncio"].current_task(loop)


def name_of(running: Any) -> str:
    """How messages name a task, None being no task at all."""
    if running is None:
        return "code outside of any task"
    function = getattr(running.get_coro(), "__qualname__", "?")
    return f"the task {running.get_name()!r} ({function})"


class Mark:
    """Lies in a thread's local storage, and goes with it.

    `threading.current_thread()` cannot tell that a thread has ended which `threading` did not start: it makes a
    `_DummyThread` of it, which is alive for ever.
    """

    __slots__ = ("__weakref__",)


class Life:
    """Tells when a thread, by the `Mark` in its local storage, or a greenlet has ended."""

    __slots__ = ("_bearer",)

    def __init__(self, bearer: Any) -> None:
        self._bearer = ref(bearer)

    def is_of(self, bearer: object) -> bool:
        """Whether it is that one's."""
        return self._bearer() is bearer

    def is_over(self) -> bool:
        """Whether it has ended. A greenlet may be kept for its result long after."""
        bearer = self._bearer()
        return bearer is None or getattr(bearer, "dead", False)
