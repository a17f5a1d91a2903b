"""`LoopWorker`: runs the calls of an `AsyncStore` in the event loop itself, many at the same time, without a thread.

For engines that wait by `store.system.awaiting`: a call runs in a greenlet of its task, and where it waits for the
server, other tasks go on. Each call and each transaction has a connection of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from store.aio.worker import Gate, Home, guarded, kept, refuse_inside
from store.errors import StoreError
from store.system import awaiting, caller

T = TypeVar("T")

IDLE = 32  # greenlets that are kept for the next calls: the engine has a place for each, which takes time to make


class LoopWorker:
    """Runs each call at once. All calls of a task inside its transaction run in the greenlet that began it.

    A call whose task is cancelled is stopped where it waits: its statement is cancelled on the server, and has
    ended there before CancelledError is raised. A commit that has begun is waited for.
    """

    def __init__(self, timeout: float, what: str) -> None:
        self.home = Home()
        self.users = 0
        self.gates: WeakValueDictionary[str, Gate] = WeakValueDictionary()
        self.timeout = timeout
        self._turns: dict[asyncio.Task[Any] | None, GreenletTurn] = {}
        self._idle: list[awaiting.Runner] = []
        self._crowd = Crowd()
        self._abandoned: set[asyncio.Task[Any]] = set()

    async def run(self, function: Callable[[], T]) -> T:
        turn = await self.acquire()
        try:
            return await turn.call(function)
        finally:
            turn.release()

    async def run_alone(self, function: Callable[[], T]) -> T:
        self.home.check()
        if self.is_inside():
            return await self.run(function)
        refuse_inside(self)
        await self._within_timeout(self._crowd.enter_alone())
        try:
            return await self.call(function)
        finally:
            self._crowd.leave_alone()

    async def call(self, function: Callable[[], T]) -> T:
        return await awaiting.call(partial(guarded, function, caller.site_of_caller()))

    async def step(self, iterating: Coroutine[Any, Any, T]) -> T:
        return await awaiting.call(lambda: awaiting.wait(iterating))

    async def acquire(self) -> GreenletTurn:
        self.home.check()
        task = asyncio.current_task()
        turn = self._turns.get(task)
        if turn is None:
            refuse_inside(self)
            if not self._crowd.try_enter():
                await self._within_timeout(self._crowd.enter())
            runner = self._idle.pop() if self._idle else awaiting.Runner()
            turn = self._turns[task] = GreenletTurn(runner, partial(self._ended, task, runner))
        turn.depth += 1
        return turn

    async def _within_timeout(self, entering: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(self.timeout):
                await entering
        except TimeoutError:
            raise kept(self.timeout) from None

    def _ended(self, task: asyncio.Task[Any] | None, runner: awaiting.Runner) -> None:
        del self._turns[task]
        self._crowd.leave()
        if self.users and len(self._idle) < IDLE and not runner.is_closing:
            self._idle.append(runner)
        else:
            runner.end()

    def is_inside(self) -> bool:
        return asyncio.current_task() in self._turns

    def leave(self) -> None:
        self.users -= 1
        while not self.users and self._idle:
            self._idle.pop().end()

    def abandon(self, close: Callable[[], object] | None) -> None:
        self.users -= 1
        if self.home.is_forked() or close is None:
            return
        try:
            self.home.loop.call_soon_threadsafe(self._begin, close)
        except RuntimeError:  # the loop has ended: there is nothing to wait with, and connections are dropped
            close()

    def _begin(self, close: Callable[[], object]) -> None:
        task = self.home.loop.create_task(awaiting.call(close))
        self._abandoned.add(task)
        task.add_done_callback(self._abandoned.discard)


class GreenletTurn:
    """The greenlet of a task, for one call or a transaction. `ended` is called when it is given back."""

    def __init__(self, runner: awaiting.Runner, ended: Callable[[], None]) -> None:
        self.depth = 0
        self._runner, self._ended = runner, ended
        self._is_busy = False

    async def call(self, function: Callable[[], T]) -> T:
        if self._is_busy:
            raise StoreError("a transaction belongs to the task that began it, which is in the middle of a call")
        self._is_busy = True
        try:
            return await self._runner.call(partial(guarded, function, caller.site_of_caller()))
        finally:
            self._is_busy = False

    def release(self) -> None:
        self.depth -= 1
        if not self.depth:
            self._ended()


class Crowd:
    """Lets many tasks in at the same time, or one alone, which those wait for that come after it."""

    def __init__(self) -> None:
        self._count = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._alone = asyncio.Lock()
        self._open = asyncio.Event()
        self._open.set()

    def try_enter(self) -> bool:
        """Enter unless another task is alone or waits for that; returns whether it did."""
        if not self._open.is_set():
            return False
        self._count += 1
        self._empty.clear()
        return True

    async def enter(self) -> None:
        while not self.try_enter():
            await self._open.wait()

    def leave(self) -> None:
        self._count -= 1
        if not self._count:
            self._empty.set()

    async def enter_alone(self) -> None:
        await self._alone.acquire()
        self._open.clear()
        try:
            await self._empty.wait()
        except BaseException:
            self.leave_alone()
            raise

    def leave_alone(self) -> None:
        self._alone.release()
        self._open.set()
