"""Waiting in a process whose greenlets share one thread, also where gevent patched it after an object was made.

A lock or a queue that was made before is the system's own: a greenlet that waited for it would stop all others, the
one that has it too.
"""

from __future__ import annotations

from queue import Empty
from types import TracebackType
from typing import Protocol, TypeVar

from store.system import running
from store.system.clock import steady_clock

PAUSE_SECONDS = 0.001  # between two looks at a lock, which is held for a moment only
LAST_PAUSE_SECONDS = 0.05  # between two looks at a queue

T_co = TypeVar("T_co", covariant=True)


class Mutex:
    """A lock whose waiters let other greenlets run, and that an interrupt leaves free. Not for a thread twice."""

    def __init__(self) -> None:
        self._holder: dict[int, object] = {}  # `setdefault` is one step, so the first one to set it has the lock

    def acquire(self, *, blocking: bool = True) -> bool:
        """Get it, and return True; without `blocking`, False if another one has it."""
        me = object()
        try:
            while self._holder.setdefault(0, me) is not me:
                if not blocking:
                    return False
                running.sleep(PAUSE_SECONDS)
            return True
        except BaseException:  # an interrupt
            if self._holder.get(0) is me:
                self.release()
            raise

    def release(self) -> None:
        self._holder.clear()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Queue(Protocol[T_co]):
    """A queue, as this module waits for it."""

    def get(self, block: bool = True, timeout: float | None = None) -> T_co: ...


def next_of(queue: Queue[T_co], seconds: float) -> T_co:
    """The next item of a queue. Raises: queue.Empty: there was none for so many seconds."""
    if running.greenlet() is None:
        return queue.get(timeout=seconds)
    end, pause = steady_clock() + seconds, PAUSE_SECONDS
    while True:
        try:
            return queue.get(block=False)
        except Empty:
            left = end - steady_clock()
            if left <= 0:
                raise
        running.sleep(min(pause, left))
        pause = min(2 * pause, LAST_PAUSE_SECONDS)
