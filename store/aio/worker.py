"""The contract of what runs the calls of an `AsyncStore`, and what both kinds of workers have in common."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary

from store.errors import LockTimeout, StoreError
from store.system import caller

T = TypeVar("T")


class Turn(Protocol):
    """What a task has while it may make calls: for one call, or for as long as its transaction lasts."""

    async def call(self, function: Callable[[], T]) -> T:
        """The result of `function()`."""

    def release(self) -> None:
        """Give it back, as often as it was acquired."""


class Worker(Protocol):
    """Runs the calls of the tasks of one event loop."""

    home: Home
    users: int
    """How many openings use it."""
    gates: WeakValueDictionary[str, Gate]
    """Named locks, between the tasks."""
    timeout: float

    async def run(self, function: Callable[[], T]) -> T:
        """The result of `function()`, called when the task may."""

    async def run_alone(self, function: Callable[[], T]) -> T:
        """The same, while no other task is in a call or a transaction: to close the store."""

    async def call(self, function: Callable[[], T]) -> T:
        """The same at once, for what takes no part in a transaction."""

    async def step(self, iterating: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine that makes calls of its own, and waits in the event loop between two."""

    async def acquire(self) -> Turn:
        """Wait until the task may make calls. A task that is cancelled meanwhile has done nothing.

        Raises:
            LockTimeout: another task kept the turn for too long. StoreError: this task can never have it.
        """

    def is_inside(self) -> bool:
        """Whether this task is in a transaction."""

    def leave(self) -> None:
        """One of its users was closed; with the last one it ends."""

    def abandon(self, close: Callable[[], object] | None) -> None:
        """One of its users was left open: `close` is called without waiting for it."""


class Home:
    """The event loop and the process that a worker belongs to."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._process = os.getpid()

    def is_forked(self) -> bool:
        return os.getpid() != self._process

    def check(self) -> None:
        """Raises: StoreError: the caller is in another event loop or process."""
        if self.is_forked():
            raise StoreError("an AsyncStore does not survive a fork, its loop is not here: open another one")
        if asyncio.get_running_loop() is not self.loop:
            raise StoreError(
                "an AsyncStore belongs to the event loop that it was opened in: open another one in this loop; they "
                "may be on one file"
            )


class Taken:
    """Says that a block has the turn of a worker."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.is_open = True


inside: ContextVar[tuple[Taken, ...]] = ContextVar("store_aio_inside", default=())
"""The blocks that the task is in, or was started in."""


def refuse_inside(worker: Worker) -> None:
    """Raises: StoreError: a task was started in a transaction of another one, which may wait for it."""
    if any(block.worker is worker and block.is_open for block in inside.get()):
        raise StoreError(
            "this task was started inside a transaction of another one, which has the store until it ends: "
            "await the store in that task itself (asyncio.gather, TaskGroup and, before Python 3.12, "
            "wait_for start tasks; asyncio.timeout does not), or after the block"
        )


def kept(seconds: float) -> LockTimeout:
    """The error of a task that waited for others for so long."""
    return LockTimeout(
        f"another task of this program kept the store for {seconds:g} seconds; shorten its transactions, or open the "
        "store with a longer timeout"
    )


class Gate(asyncio.Lock):
    """Which task of this loop has a named lock: to `Store` they are all one thread."""

    owner: asyncio.Task[Any] | None = None


def guarded(function: Callable[[], T], site: caller.Site | None) -> T:
    """Call a function, without StopIteration: a future with it is never done on Python 3.11."""
    try:
        with caller.working_for(site):
            return function()
    except StopIteration as exc:
        raise RuntimeError("the function that was called raised StopIteration") from exc
