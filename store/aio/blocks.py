"""What `AsyncStore` returns for `async with`: transactions, edits, named locks and watching."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar

from store.aio.opening import Closable, Opening
from store.aio.worker import Gate, Taken, Turn, Worker, inside
from store.errors import LockTimeout, StoreError
from store.mapping.store import Store
from store.opened.locks import Lock, seconds_to_wait

if TYPE_CHECKING:
    from store.watching.changes import Change
    from store.watching.watch import Watch

H = TypeVar("H", bound=Closable)
T = TypeVar("T")

FIRST_DELAY, LAST_DELAY = 0.001, 0.02  # seconds between two attempts at a named lock


class Block(Generic[H, T]):
    """A context manager of `Store`, entered and left in the worker; its task has the turn until it is left.

    Cancelled while it is entered it is left again, as by an exception.
    """

    def __init__(self, opening: Opening[H], make: Callable[[H], AbstractContextManager[T]]) -> None:
        self._opening = opening
        self._make = make
        self._context: AbstractContextManager[T] | None = None

    async def __aenter__(self) -> T:
        worker = self._opening.worker
        self._turn: Turn = await worker.acquire()
        try:
            value = await self._turn.call(self._enter)
        except BaseException:
            await self._leave(*sys.exc_info())
            raise
        self._taken = Taken(worker)
        self._outer = inside.get()
        inside.set((*self._outer, self._taken))
        return value

    async def __aexit__(self, *exc: Any) -> None:
        self._taken.is_open = False
        inside.set(self._outer)
        await self._leave(*exc)

    def __enter__(self) -> NoReturn:
        raise TypeError("this waits for its turn: use `async with`")

    def __exit__(self, *_: object) -> None:
        """Python looks for it before it calls `__enter__`."""

    def _enter(self) -> T:
        context = self._make(self._opening.opened)
        value = context.__enter__()
        self._context = context
        return value

    async def _leave(self, *exc: Any) -> None:
        context, self._context = self._context, None
        try:
            if context is not None:
                await self._turn.call(lambda: context.__exit__(*exc))
        finally:
            self._turn.release()


class AsyncLock:
    """A named lock of `Store`, between tasks too: `async with`, or `acquire` and `release`.

    Other tasks use the store while it is waited for, and while it is held.
    """

    def __init__(self, opening: Opening[Store[Any]], name: str, timeout: float | None) -> None:
        self._opening = opening
        self.name = name
        self._timeout = timeout
        self._held: Lock | None = None

    async def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As `Lock.acquire`. Cancelled, it has not taken the lock."""
        worker = self._opening.worker
        worker.home.check()
        lock = await worker.run(lambda: self._opening.opened.lock(self.name))
        seconds = seconds_to_wait(blocking, timeout)
        deadline, delay = worker.home.loop.time() + seconds, FIRST_DELAY
        if seconds and worker.is_inside():
            await worker.run(lambda: lock.acquire(timeout=seconds))  # raises, and says why
        try:
            while not await worker.run(lambda: lock.acquire(blocking=False)):
                left = deadline - worker.home.loop.time()
                if left <= 0:
                    return False
                await asyncio.sleep(min(delay, left))
                delay = min(delay * 2, LAST_DELAY)
        except BaseException:  # cancelled, perhaps after it was taken
            if lock.locked():
                await worker.call(lock.release)
            raise
        self._held = lock
        return True

    async def release(self) -> None:
        """As `Lock.release`; another task than the one that acquired it may call it."""
        held, self._held = self._held, None
        if held is None:
            raise StoreError(f"the lock {self.name!r} is not held by this object; acquire it first")
        await self._opening.worker.call(held.release)  # needs no turn: it takes no part in a transaction

    def locked(self) -> bool:
        """As `Lock.locked`."""
        return self._held is not None and self._held.locked()

    @property
    def lost(self) -> bool:
        """As `Lock.lost`."""
        return self._held is not None and self._held.lost

    @property
    def fence(self) -> int | None:
        """As `Lock.fence`."""
        return None if self._held is None else self._held.fence

    async def __aenter__(self) -> Self:
        self._worker = worker = self._opening.worker
        worker.home.check()
        seconds = worker.timeout if self._timeout is None else self._timeout
        deadline = worker.home.loop.time() + seconds
        self._gate = worker.gates.setdefault(self.name, Gate())
        if self._gate.owner is asyncio.current_task():
            raise StoreError(f"this task holds the lock {self.name!r} already, and would wait for itself")
        if worker.is_inside():
            await worker.run(self._enter)  # raises, and says why
        try:
            async with asyncio.timeout_at(deadline):
                await self._gate.acquire()
        except TimeoutError:
            raise self._timed_out(seconds) from None
        try:
            await self._wait(worker, deadline, seconds)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        self._gate.owner = asyncio.current_task()
        return self

    async def __aexit__(self, *_: object) -> None:
        held, self._held = self._held, None
        self._gate.owner = None
        try:
            if held is not None:  # needs no turn: it takes no part in a transaction
                await self._worker.call(lambda: held.__exit__(None, None, None))
        finally:
            self._gate.release()

    async def _wait(self, worker: Worker, deadline: float, seconds: float) -> None:
        delay = FIRST_DELAY
        while True:
            try:
                return await worker.run(self._enter)
            except LockTimeout:
                left = deadline - worker.home.loop.time()
                if left <= 0:
                    raise self._timed_out(seconds) from None
            await asyncio.sleep(min(delay, left))
            delay = min(delay * 2, LAST_DELAY)

    def _enter(self) -> None:
        self._held = self._opening.opened.lock(self.name, 0).__enter__()

    def _timed_out(self, seconds: float) -> LockTimeout:
        return LockTimeout(
            f"the lock {self.name!r} was held by somebody else for {seconds:g} seconds; try again, or wait longer: "
            f"lock({self.name!r}, timeout=…)"
        )


class AsyncWatch:
    """What `AsyncStore.watch` returns, for `async with` and `async for`."""

    def __init__(self, opening: Opening[Store[Any]], make: Callable[[Store[Any]], Watch[Any]]) -> None:
        self._opening = opening
        self._make = make
        self._watch: Watch[Any] | None = None

    async def __aenter__(self) -> Self:
        if self._watch is None:
            try:
                await self._opening.worker.run(self._begin)
            except BaseException:  # cancelled after it had begun
                self.close()
                raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        await self.__aenter__()
        assert self._watch is not None
        worker = self._opening.worker
        worker.home.check()
        if worker.is_inside():
            raise StoreError("watching inside a transaction of this task would wait for ever: leave the block first")
        return await worker.step(_next(self._watch))

    def close(self) -> None:
        """End the iteration."""
        if self._watch is not None:
            self._watch.close()

    def _begin(self) -> None:
        self._watch = self._make(self._opening.opened)


async def _next(watch: Watch[Any]) -> Change:
    return await anext(watch)
