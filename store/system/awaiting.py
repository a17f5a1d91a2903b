"""Synchronous code in an event loop: where it waits, the loop goes on.

A task awaits `call(function)`. The function runs in a greenlet on the thread of the loop; `wait(coroutine)`, which it
may call at any depth, runs the coroutine there too, and where that must wait for something the greenlet is suspended,
and the task awaits that thing in its place. So the function sees an ordinary call that takes its time, and the loop
sees a task that awaits.

The only module that imports greenlet: others ask `store.system.running`, which needs no import of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from greenlet import getcurrent, greenlet

from store.errors import StoreError
from store.system.running import event_loop

T = TypeVar("T")


class Runner(greenlet):  # type: ignore[misc]  # it comes without types
    """A greenlet that runs functions for tasks of the running event loop, one after the other, until `end`.

    To be used in the thread of that loop only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asyncio_loop = asyncio.get_running_loop()
        """As `running.event_loop` finds it."""
        self.is_closing = False
        """Whether the task that it runs for is gone, so that no task can wait for it."""
        self.holding = 0
        """How many `finishing` blocks it is in."""
        self._function: Callable[[], Any] | None = None
        self._cancelled: asyncio.CancelledError | None = None
        self._result: Any = None
        self._error: BaseException | None = None

    def call(self, function: Callable[[], T]) -> _Call[T]:
        """An awaitable: the result of `function()`, which runs in this greenlet.

        Cancelling the task raises CancelledError where the function waits. In a `finishing` block it is raised once
        the function has ended, with its error as the cause.
        """
        return _Call(self, function)

    def end(self) -> None:
        """End the greenlet, which runs nothing now."""
        self._switch(self.switch)

    def sleep_in_loop(self, seconds: float) -> None:
        """As `running.sleep` calls it."""
        wait(asyncio.sleep(seconds))

    def run(self) -> None:
        """What greenlet calls, in the new greenlet."""
        while self._function is not None:
            # No variable refers to it: the next one may come much later, and what this one needs is not kept so long.
            try:
                self._result = self._take()()
            except BaseException as exc:
                self._error = exc
            self.parent.switch(_ENDED)

    def _take(self) -> Callable[[], Any]:
        function, self._function = self._function, None
        assert function is not None
        return function

    def steps(self, function: Callable[[], T]) -> Generator[Any, None, T]:
        """Yields what the function waits for, to the event loop; returns its result."""
        self.gr_context = getcurrent().gr_context  # the context variables of the task
        self._function = function
        del function
        found = self._switch(self.switch)
        while found is not _ENDED:
            try:
                if self.holding:
                    yield from self._outlast(found)
                else:
                    yield found
            except BaseException as exc:
                self.is_closing = isinstance(exc, GeneratorExit)
                found = self._switch(self.throw, exc)
            else:
                found = self._switch(self.switch)
        self.gr_context = None
        result: T = self._outcome()
        return result

    def _outcome(self) -> Any:
        result, error, cancelled = self._result, self._error, self._cancelled
        self._result = self._error = self._cancelled = None
        try:
            if cancelled is not None:
                raise cancelled from error
            if error is not None:
                raise error
            return result
        finally:
            del error, cancelled  # their tracebacks hold this frame

    def _switch(self, into: Callable[..., Any], *value: Any) -> Any:
        """Go on in the greenlet until it waits or has ended; returns what it waits for."""
        self.parent = getcurrent()  # the task may be run by another greenlet than before
        return into(*value)

    def _outlast(self, found: Any) -> Generator[Any, None, None]:
        """Wait for it to its end; a cancellation meanwhile is kept for later."""
        while True:
            try:
                if found is None:  # one turn of the loop
                    yield
                else:
                    yield from asyncio.wait((found,)).__await__()  # unlike the task, it leaves a future uncancelled
                return
            except asyncio.CancelledError as exc:
                self._cancelled = exc
                if found is None:
                    return


class _Call(Generic[T]):
    """Awaitable; see `Runner.call`."""

    def __init__(self, runner: Runner, function: Callable[[], T]) -> None:
        self._runner, self._function = runner, function

    def __await__(self) -> Generator[Any, None, T]:
        return self._runner.steps(self._function)


_ENDED = object()


async def call(function: Callable[[], T]) -> T:
    """The result of `function()`, which runs in a greenlet of its own and may use `wait`."""
    runner = Runner()
    try:
        return await runner.call(function)
    finally:
        runner.end()


def wait(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, for a function that runs in a `Runner`.

    Raises: StoreError: no event loop waits for the caller.
    """
    runner = getcurrent()
    if not isinstance(runner, Runner) or runner.is_closing:
        coroutine.close()
        raise StoreError(
            "this store was opened by AsyncStore, and only a task of its event loop can wait for it: await the "
            "methods of the AsyncStore"
        )
    try:
        found = coroutine.send(None)
        while True:
            try:
                runner.parent.switch(found)
            except BaseException as exc:
                found = coroutine.throw(exc)
            else:
                found = coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value


def can_wait(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the caller runs in a `Runner` of that loop, whose task still waits for it."""
    return event_loop() is loop and not getcurrent().is_closing


@contextmanager
def finishing() -> Iterator[None]:
    """In the block, what is waited for is waited for to its end, also where the task is cancelled meanwhile."""
    runner = getcurrent()
    if not isinstance(runner, Runner):
        yield
        return
    runner.holding += 1
    try:
        yield
    finally:
        runner.holding -= 1
