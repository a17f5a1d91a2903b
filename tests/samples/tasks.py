"""Running coroutines in the tests of `AsyncStore`: bounded in time, with tasks that wait where they should."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from store import Store
from store.aio import AsyncStore

SECONDS = 60  # for what hangs when it is wrong


def run(main: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(SECONDS):
            return await main(*args)

    return asyncio.run(bounded())


async def turns(n: int = 20) -> None:
    """Let the other tasks go on as far as they can."""
    for _ in range(n):
        await asyncio.sleep(0)


def contextless(call: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A task that does not come from the block it is started in."""
    return asyncio.create_task(call, context=Context())


async def enter(block: Any) -> None:
    async with block:
        pass


class Blocked:
    """A writer in a thread, in a transaction until it is released: what else writes waits in its worker."""

    def __init__(self, s: Store[Any]) -> None:
        self._inside, self._leave = threading.Event(), threading.Event()
        self._store = s
        self._thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        with self._store.transaction():
            self._inside.set()
            assert self._leave.wait(SECONDS)

    def __enter__(self) -> Blocked:
        self._thread.start()
        assert self._inside.wait(SECONDS)
        return self

    def release(self) -> None:
        self._leave.set()
        self._thread.join(SECONDS)

    def __exit__(self, *_: object) -> None:
        self.release()


async def begun(s: AsyncStore[Any]) -> None:
    """Until the worker is in the call that it was given."""
    while s.opening.worker._executor._work_queue.qsize():  # type: ignore[union-attr]
        await asyncio.sleep(0)
