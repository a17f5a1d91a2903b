"""`Worker`: the one thread that an `AsyncStore` works on, and whose turn it is to use it.

One thread works for each store: SQLite has no asynchronous calls, waiting for another writer would block the event
loop, and a transaction belongs to the thread that began it. Values are encoded in that thread too: leave a value
alone until the call that stores it has returned.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from store.errors import LockTimeout, StoreClosed, StoreError
from store.system import caller
from store.system.file_status import no_thread

T = TypeVar("T")


class Worker:
    """Runs calls of one event loop one after the other, in the order in which their tasks asked.

    A task has the turn for one call, or for as long as its transaction lasts. A call that has begun always runs to
    its end: SQLite cannot be stopped half-way, and a cancelled task must know whether its write was made.
    """

    def __init__(self, timeout: float, what: str) -> None:
        self.loop = asyncio.get_running_loop()
        self.users = 0  # openings that use it
        self.gates: WeakValueDictionary[str, Gate] = WeakValueDictionary()
        self.timeout = timeout
        self._owner_process = os.getpid()
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
        """Call a function in the worker once it is this task's turn; returns its result."""
        await self.acquire()
        try:
            return await self.call(function)
        finally:
            self.release()

    async def call(self, function: Callable[[], T]) -> T:
        """The same for a task that has the turn. CancelledError is raised after the call has ended."""
        try:
            future = self.loop.run_in_executor(self._executor, _guarded, function, caller.site_of_caller())
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

    async def acquire(self) -> None:
        """Wait for the turn. A task that is cancelled meanwhile has done nothing.

        Raises:
            LockTimeout: another task kept the turn for too long. StoreError: this task can never have it.
        """
        self.check()
        task = asyncio.current_task()
        if self._owner is not task or task is None:
            if any(block.worker is self and block.is_open for block in inside.get()):
                raise StoreError(
                    "this task was started inside a transaction of another one, which has the store until it ends: "
                    "await the store in that task itself (asyncio.gather, TaskGroup and, before Python 3.12, "
                    "wait_for start tasks; asyncio.timeout does not), or after the block"
                )
            try:
                async with asyncio.timeout(self.timeout):
                    await self._turn.acquire()
            except TimeoutError:
                raise LockTimeout(
                    f"another task of this program kept the store for {self.timeout:g} seconds; shorten its "
                    "transactions, or open the store with a longer timeout"
                ) from None
            self._owner = task
        self._depth += 1

    def release(self) -> None:
        """Give the turn back, as often as it was taken."""
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._turn.release()

    def is_inside(self) -> bool:
        """Whether this task is in a transaction."""
        return self._owner is not None and self._owner is asyncio.current_task()

    def check(self) -> None:
        """Raises: StoreError: it was opened in another event loop or process."""
        if os.getpid() != self._owner_process:
            raise StoreError("an AsyncStore does not survive a fork, its thread is not here: open another one")
        if asyncio.get_running_loop() is not self.loop:
            raise StoreError(
                "an AsyncStore belongs to the event loop that it was opened in: open another one in this loop; they "
                "may be on one file"
            )

    def leave(self) -> None:
        """One of its users was closed; with the last one the thread ends."""
        self.users -= 1
        if not self.users:
            self._executor.shutdown(wait=True)

    def abandon(self, close: Callable[[], object] | None) -> None:
        """One of its users was left open: call `close` in the thread, without waiting for it."""
        self.users -= 1
        if os.getpid() != self._owner_process:
            return
        try:
            if close is not None:
                self._executor.submit(close)
        except RuntimeError:  # the interpreter is ending
            return
        if not self.users:
            self._executor.shutdown(wait=False)


inside: ContextVar[tuple[Taken, ...]] = ContextVar("store_aio_inside", default=())
"""The blocks that the task is in, or was started in."""


class Taken:
    """Says that a block has the turn of a worker."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.is_open = True


class Gate(asyncio.Lock):
    """Which task of this loop has a named lock: to `Store` they are all one thread."""

    owner: asyncio.Task[Any] | None = None


def _guarded(function: Callable[[], T], site: caller.Site | None) -> T:
    """Call a function, without StopIteration: a future with it is never done on Python 3.11."""
    try:
        with caller.working_for(site):
            return function()
    except StopIteration as exc:
        raise RuntimeError("what was called raised StopIteration") from exc
