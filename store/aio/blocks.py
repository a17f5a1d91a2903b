"""What `AsyncStore` gives to be used with `async with`: transactions, named locks, watching."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar

from store.aio.worker import Gate, Taken, Worker, inside
from store.errors import LockTimeout, StoreError

if TYPE_CHECKING:
    from types import TracebackType

    from store.watching.changes import Change
    from store.watching.watch import Watch

T = TypeVar("T")

FIRST_DELAY, LAST_DELAY = 0.001, 0.02  # seconds between two attempts at a named lock


class Block(Generic[T]):
    """A context manager of `Store`, entered and left in the worker; it has the turn until it is left.

    Cancelled while it is entered it is left again, as by an exception.
    """

    def __init__(self, worker: Callable[[], Worker], make: Callable[[], AbstractContextManager[T]]) -> None:
        self._find_worker = worker
        self._make = make
        self._context: AbstractContextManager[T] | None = None

    async def __aenter__(self) -> T:
        self.worker = self._find_worker()
        await self.worker.acquire()
        try:
            value = await self.worker.call(self._enter)
        except BaseException as exc:
            await self._leave(type(exc), exc, exc.__traceback__)
            raise
        self._taken = Taken(self.worker)
        self._outer = inside.get()
        inside.set((*self._outer, self._taken))
        return value

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._taken.is_open = False
        inside.set(self._outer)
        await self._leave(kind, error, trace)

    def __enter__(self) -> NoReturn:
        raise TypeError("this waits for its turn: use `async with`")

    def __exit__(self, *_: object) -> None:
        """As `__enter__`; it is never entered."""

    def _enter(self) -> T:
        context = self._make()
        value = context.__enter__()
        self._context = context
        return value

    async def _leave(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        context, self._context = self._context, None
        try:
            if context is not None:
                await self.worker.call(lambda: context.__exit__(kind, error, trace))
        finally:
            self.worker.release()


class Named:
    """A named lock of `Store`. Other tasks use the store while it is waited for, and while it is held."""

    def __init__(
        self,
        worker: Callable[[], Worker],
        make: Callable[[], AbstractContextManager[Any]],
        name: str,
        timeout: float | None,
    ) -> None:
        self._find_worker = worker
        self._make = make
        self._name = name
        self._timeout = timeout
        self._context: AbstractContextManager[Any] | None = None

    async def __aenter__(self) -> None:
        self._worker = worker = self._find_worker()
        worker.check()
        seconds = worker.timeout if self._timeout is None else self._timeout
        deadline = worker.loop.time() + seconds
        self._gate = worker.gates.setdefault(self._name, Gate())
        if self._gate.owner is asyncio.current_task():
            raise StoreError(f"this task holds the lock {self._name!r} already, and would wait for itself")
        if worker.is_inside():
            await worker.run(self._enter)  # which says why not
        try:
            async with asyncio.timeout_at(deadline):
                await self._gate.acquire()
        except TimeoutError:
            raise self._timed_out(seconds) from None
        try:
            await self._wait(deadline, seconds)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        self._gate.owner = asyncio.current_task()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        context, self._context = self._context, None
        self._gate.owner = None
        try:
            if context is not None:
                await self._worker.call(
                    lambda: context.__exit__(None, None, None)
                )  # whosever turn: no statement runs
        finally:
            self._gate.release()

    async def _wait(self, deadline: float, seconds: float) -> None:
        delay = FIRST_DELAY
        while True:
            try:
                return await self._worker.run(self._enter)
            except LockTimeout:
                left = deadline - self._worker.loop.time()
                if left <= 0:
                    raise self._timed_out(seconds) from None
            await asyncio.sleep(min(delay, left))
            delay = min(delay * 2, LAST_DELAY)

    def _enter(self) -> None:
        context = self._make()
        context.__enter__()
        self._context = context

    def _timed_out(self, seconds: float) -> LockTimeout:
        return LockTimeout(
            f"the lock {self._name!r} was held by somebody else for {seconds:g} seconds; try again, or wait longer: "
            f"lock({self._name!r}, timeout=…)"
        )


class AsyncWatch:
    """What `AsyncStore.watch` returns, for `async with` and `async for`."""

    def __init__(self, worker: Callable[[], Worker], make: Callable[[], Watch[Any]]) -> None:
        self._find_worker = worker
        self._make = make
        self._watch: Watch[Any] | None = None

    async def __aenter__(self) -> Self:
        if self._watch is None:
            try:
                await self._find_worker().run(self._begin)
            except BaseException:  # cancelled, when it had begun
                self.close()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        await self.__aenter__()
        assert self._watch is not None
        worker = self._find_worker()
        worker.check()
        if worker.is_inside():
            raise StoreError("watching inside a transaction of this task would wait for ever: leave the block first")
        return await anext(self._watch)  # in the loop: a look takes microseconds, and others run between two pages

    def close(self) -> None:
        """Ends the iteration."""
        if self._watch is not None:
            self._watch.close()

    def _begin(self) -> None:
        self._watch = self._make()
