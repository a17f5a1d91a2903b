"""`ThreadWorker`: the one thread that an `AsyncStore` works on, and whose turn it is to use it.

One thread works for each store: SQLite has no asynchronous calls, waiting for another writer would block the event
loop, and a transaction belongs to the thread that began it. Values are encoded in that thread too: leave a value
alone until the call that stores it has returned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar
from weakref import WeakValueDictionary

from store.aio.worker import Gate, Home, guarded, kept, refuse_inside
from store.errors import StoreClosed
from store.system import caller
from store.system.file_status import no_thread

T = TypeVar("T")


class ThreadWorker:
    """Runs calls of one event loop one after the other, in the order in which their tasks asked.

    A task has the turn for one call, or for as long as its transaction lasts. A call that has begun always runs to
    its end: SQLite cannot be stopped half-way, and a cancelled task must know whether its write was made.
    """

    def __init__(self, timeout: float, what: str) -> None:
        self.home = Home()
        self.users = 0  # openings that use it
        self.gates: WeakValueDictionary[str, Gate] = WeakValueDictionary()
        self.timeout = timeout
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="AsyncStore")
        try:
            # This starts its only thread: a call whose thread could not be started would run with the next call.
            self._executor.submit(int)
        except RuntimeError as exc:
            raise no_thread(what, exc) from exc
        self._turn = asyncio.Lock()  # fair: a task that asks later gets it later
        self._owner: asyncio.Task[Any] | None = None
        self._depth = 0

    async def run(self, function: Callable[[], T]) -> T:
        await self.acquire()
        try:
            return await self.call(function)
        finally:
            self.release()

    async def run_alone(self, function: Callable[[], T]) -> T:
        return await self.run(function)

    async def call(self, function: Callable[[], T]) -> T:
        """The result of `function()` in the thread. CancelledError is raised after the call has ended."""
        try:
            future = self.home.loop.run_in_executor(self._executor, guarded, function, caller.site_of_caller())
        except RuntimeError as exc:
            raise StoreClosed("the store was closed; open it again") from exc
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as exc:
                cancelled = exc
        if cancelled is not None:
            raise cancelled from future.exception()
        return future.result()

    async def step(self, iterating: Coroutine[Any, Any, T]) -> T:
        return await iterating  # in the loop: a look takes microseconds, and others run between two pages

    async def acquire(self) -> Self:
        self.home.check()
        task = asyncio.current_task()
        if self._owner is not task or task is None:
            refuse_inside(self)
            try:
                async with asyncio.timeout(self.timeout):
                    await self._turn.acquire()
            except TimeoutError:
                raise kept(self.timeout) from None
            self._owner = task
        self._depth += 1
        return self

    def release(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._turn.release()

    def is_inside(self) -> bool:
        return self._owner is not None and self._owner is asyncio.current_task()

    def leave(self) -> None:
        self.users -= 1
        if not self.users:
            self._executor.shutdown(wait=True)

    def abandon(self, close: Callable[[], object] | None) -> None:
        self.users -= 1
        if self.home.is_forked():
            return
        try:
            if close is not None:
                self._executor.submit(close)
        except RuntimeError:  # the interpreter is ending
            return
        if not self.users:
            self._executor.shutdown(wait=False)
