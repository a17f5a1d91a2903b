"""Watching for changes by any process: `for change in s.watch(): …`, or `async for`.

    with Store("app.db") as s:
        for change in s.watch(prefix="job:", timeout=60):
            print(change.kind, change.name)  # "set job:1", "deleted job:1", "expired job:2"

Any process or thread may write, by this package or not. Twenty times a second a watch asks whether anything was
committed at all; only then it compares the watched records with how they were.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Generic, Self, TypeVar

from store.engines.registry import supported
from store.errors import LockTimeout, StoreError
from store.opened.arguments import check_name, check_timeout
from store.opened.namespace import Namespace
from store.system import running
from store.system.clock import steady_clock
from store.watching import INTERVAL_SECONDS
from store.watching.alarm import Alarm, nothing
from store.watching.changes import NEVER, Change, Watched

V = TypeVar("V")

REST = 4  # times the duration of a comparison to pause after it: a busy store keeps no core busy


class Watch(Generic[V]):
    """The iterator that `Store.watch` returns; see there. To be used by one thread at a time.

    `close()`, which any thread may call, ends an iteration that is waiting; so do the end of a `with` block, and
    dropping the object.
    """

    _ended = True  # until it has begun: __del__ also sees an object whose __init__ failed

    def __init__(
        self,
        ns: Namespace,
        names: Iterable[str] | None = None,
        prefix: str = "",
        timeout: float | None = None,
        interval: float = INTERVAL_SECONDS,
    ) -> None:
        ns.check_open()
        wanted = None if names is None else _checked_names(names)
        if wanted is not None and prefix:
            raise TypeError("watch takes names or a prefix, not both")
        prefix = check_name(prefix, "prefix")
        self._ns = ns
        self._interval = min(_checked_interval(interval), threading.TIMEOUT_MAX)
        self._timeout = None if timeout is None else check_timeout(timeout)
        self._refuse_in_transaction()
        self._what = f"prefix={prefix!r}" if wanted is None else f"names={wanted!r:.80}"
        self._owner = os.getpid()
        self._alarm = Alarm()
        self._wake = self._alarm.event
        self._rested = 0.0  # no look before that, however often the alarm rings
        self._busy_since: float | None = None
        self._monitor = supported(ns.engine.changes, ns.engine.kind, "watching").watch(ns.name)
        self._monitor.wake_by(self._alarm.ring)
        self._ended = False
        self._watched = Watched(self._monitor, ns.name, wanted, prefix)
        self._pending = self._watched.pending
        try:
            self._begin()
        except BaseException:
            self.close()
            raise
        ns.listeners[id(self)] = self

    # -- iterating

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        left = self._deadline()
        while not self._ended:
            self._check()
            if self._pending:
                return self._pending.popleft()
            began = steady_clock()
            for _ in self._look():
                pass
            if not self._pending and not self._ended:
                pause = self._pause(steady_clock() - began, left())
                if pause is None:
                    break
                self._wait(pause)
        raise StopIteration

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        from asyncio import sleep

        left = self._deadline()
        while not self._ended:
            self._check()
            if self._pending:
                return self._pending.popleft()
            began = steady_clock()
            for _ in self._look():
                await sleep(0)
            if not self._pending and not self._ended:
                pause = self._pause(steady_clock() - began, left())
                if pause is None:
                    break
                await self._wait_in_loop(pause)
        raise StopAsyncIteration

    def close(self) -> None:
        """Ends the iteration, also one that another thread is waiting in; a second call does nothing."""
        if not self._ended:
            self._ended = True
            self.wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Watch of {self._ns.location!r} namespace={self._ns.name!r} {self._what}>"

    # -- waiting

    def _deadline(self) -> Callable[[], float]:
        """A function that returns the seconds left of the timeout."""
        if self._timeout is None:
            return lambda: NEVER
        end = steady_clock() + self._timeout
        return lambda: end - steady_clock()

    def _pause(self, took: float, left: float) -> float | None:
        """Seconds until the next look; None after the timeout."""
        if left <= 0:
            return None
        until_expiry = max(0.0, self._watched.next_expiry - self._ns.clock())
        self._rested = steady_clock() + took * REST
        return min(max(self._interval, took * REST), left, max(until_expiry, took * REST))

    def _wait(self, seconds: float) -> None:
        if running.event_loop() is not None:  # the loop goes on meanwhile; it may be what ends the wait
            running.sleep(seconds)
            return
        if self._wake.wait(seconds) and not self._ended:
            self._wake.clear()  # before the look, so that a later commit rings again
            while not self._ended and (left := self._rested - steady_clock()) > 0:
                self._wake.wait(left)
                self._wake.clear()

    async def _wait_in_loop(self, seconds: float) -> None:
        import asyncio

        woken, loop = asyncio.Event(), asyncio.get_running_loop()
        self._alarm.wake_loop = lambda: loop.call_soon_threadsafe(woken.set)
        try:
            if not self._wake.is_set():  # rung by another thread just now
                async with asyncio.timeout(seconds):
                    await woken.wait()
        except TimeoutError:
            return
        finally:
            self._alarm.wake_loop = nothing
        if not self._ended:
            self._wake.clear()
            await asyncio.sleep(max(0.0, self._rested - steady_clock()))

    def wake(self) -> None:
        """Frees the connection and ends a wait, as the store was closed; a forked child leaves both to the parent."""
        if os.getpid() == self._owner:
            self._monitor.close()
            self._alarm.ring()

    # -- looking

    def _begin(self) -> None:
        """Takes the state that changes are compared with; waits while the database is locked."""
        while True:
            self._check()
            for _ in self._look():
                pass
            if self._watched.has_begun:
                return
            self._wait(min(INTERVAL_SECONDS, self._interval))

    def _look(self) -> Generator[None]:
        """Looks once; changes are in `_pending` then."""
        try:
            yield from self._watched.look(self._ns.clock())
        except LockTimeout as exc:
            self._busy(exc)
        except StoreError:
            if not self._ended:  # else closed by another thread just now
                self._ns.check_open()
                raise
        else:
            self._busy_since = None

    def _check(self) -> None:
        if os.getpid() != self._owner:
            raise StoreError(
                f"this process was forked from the one that watches {self._ns.location}: call watch() again here"
            )
        self._ns.check_open()
        self._refuse_in_transaction()

    def _refuse_in_transaction(self) -> None:
        if self._ns.in_transaction():
            raise StoreError(
                f"watching {self._ns.location} inside a transaction of this thread would keep out those whose "
                "changes it waits for: leave the block first"
            )

    def _busy(self, error: LockTimeout) -> None:
        """Notes that it cannot be read now; an error only if that lasts for the store's timeout."""
        now = steady_clock()
        if self._busy_since is None:
            self._busy_since = now
        if now - self._busy_since >= self._ns.options.timeout:
            self._busy_since = None
            raise LockTimeout(
                f"{self._ns.location} could not be watched for {self._ns.options.timeout:g} seconds ({error}); try "
                "again, or open the store with a longer timeout",
                path=error.path,
            ) from error


def _checked_names(names: Iterable[str]) -> list[str]:
    if isinstance(names, str):
        raise TypeError(
            f"names is a list of names: watch([{names!r}]), or watch(prefix={names!r}) for all that begin so"
        )
    wanted = sorted(set(map(check_name, names)))
    if not wanted:
        raise ValueError("names is empty, and nothing would ever change; leave it out to watch all names")
    return wanted


def _checked_interval(interval: float) -> float:
    if isinstance(interval, bool) or not isinstance(interval, int | float):
        raise TypeError(f"interval is a number of seconds, not {interval!r}")
    if not interval > 0:
        raise ValueError(f"interval is a number of seconds above 0, not {interval!r}")
    return interval
