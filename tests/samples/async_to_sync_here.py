"""`async_to_sync` of asgiref, after which no thread of its own is left. It takes `asgiref`, which Django brings."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from asgiref.sync import async_to_sync

SECONDS = 60
T = TypeVar("T")


def called(main: Callable[[], Awaitable[T]]) -> T:
    """What a coroutine function returns; what it calls without waiting runs in this thread.

    The loop has a thread, which asgiref tells to end and does not wait for.
    """
    before = set(threading.enumerate())
    try:
        return async_to_sync(main)()
    finally:
        for thread in set(threading.enumerate()) - before:
            if thread.name.startswith("ThreadPoolExecutor"):
                thread.join(SECONDS)
