"""Work in other threads, and what it returned or raised."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

TIMEOUT = 60.0  # seconds


def together(number: int, work: Callable[[int], Any]) -> list[Any]:
    """What `work(i)` returned or raised, in `number` threads that begin at once."""
    start, results = threading.Barrier(number), [None] * number

    def run(i: int) -> None:
        start.wait(TIMEOUT)
        try:
            results[i] = work(i)
        except BaseException as exc:
            results[i] = exc

    threads = [threading.Thread(target=run, args=(i,)) for i in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert not any(thread.is_alive() for thread in threads)
    return results


def in_thread(work: Callable[[], Any]) -> Any:
    """What `work()` returned or raised in another thread."""
    return together(1, lambda _: work())[0]
