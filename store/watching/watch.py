"""Being told of changes, whoever makes them: `for change in s.watch(): …`, or `async for`.

    with Store("app.db") as s:
        for change in s.watch(prefix="job:", timeout=60):
            print(change.kind, change.name)  # "set job:1", "deleted job:1", "expired job:2"

Any process or thread may write, by this package or not. Twenty times a second one short question is asked, whether
anything was committed at all; only then are the watched records compared with how they were.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from store.errors import LockTimeout, StoreError
from store.opened.handle import Handle
from store.system.clock import steady_clock
from store.watching.changes import NEVER, Change, Watched
from store.watching.mixin import INTERVAL_SECONDS, open_watches, refuse_in_transaction

if TYPE_CHECKING:
    from types import TracebackType

V = TypeVar("V")

REST = 4  # after a comparison, pause for so many times as long as it took: a busy store keeps no core busy


class Watch(Generic[V]):
    """The iterator that `Store.watch` returns; see there. To be used by one thread at a time.

    `close()`, which any thread may call, ends an iteration that is waiting; the end of a `with` block, and of the
    object, do the same.
    """

    _ended = True  # until it has begun: __del__ also sees what failed on the way

    def __init__(
        self, store: Handle[V], names: Sequence[str] | None, prefix: str, timeout: float | None, interval: float
    ) -> None:
        self._store = store
        self._what = f"prefix={prefix!r}" if names is None else f"names={list(names)!r:.80}"
        self._timeout = timeout
        self._interval = interval
        self._owner = os.getpid()
        self._wake = threading.Event()
        self._wake_loop: Callable[[], object] = _nothing
        self._busy_since: float | None = None
        self._monitor = store._backend.monitor(store.namespace)
        self._ended = False
        self._watched = Watched(self._monitor, store.namespace, names, prefix)
        self._pending = self._watched.pending
        try:
            self._begin()
        except BaseException:
            self.close()
            raise
        open_watches[id(self)] = self

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
            self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Watch of {self._store.location!r} namespace={self._store.namespace!r} {self._what}>"

    # -- waiting

    def _deadline(self) -> Callable[[], float]:
        """How many seconds are left, each time it is called, of those without a change."""
        if self._timeout is None:
            return lambda: NEVER
        end = steady_clock() + self._timeout
        return lambda: end - steady_clock()

    def _pause(self, took: float, left: float) -> float | None:
        """Seconds until the next look; None where the time is up."""
        if left <= 0:
            return None
        until_expiry = max(0.0, self._watched.next_expiry - self._store._clock())
        return min(max(self._interval, took * REST), left, max(until_expiry, took * REST))

    def _wait(self, seconds: float) -> None:
        self._wake.wait(seconds)

    async def _wait_in_loop(self, seconds: float) -> None:
        import asyncio

        woken, loop = asyncio.Event(), asyncio.get_running_loop()
        self._wake_loop = lambda: loop.call_soon_threadsafe(woken.set)
        try:
            if not self._wake.is_set():  # closed by another thread just now
                async with asyncio.timeout(seconds):
                    await woken.wait()
        except TimeoutError:
            pass
        finally:
            self._wake_loop = _nothing

    def _let_go(self) -> None:
        """Free the connection, and wake whoever waits. In a forked child both are the parent's."""
        if os.getpid() == self._owner:
            self._monitor.close()
            self._wake.set()
            try:
                self._wake_loop()
            except RuntimeError:  # the loop has ended
                pass

    # -- looking

    def _begin(self) -> None:
        """Take the state that changes are told against; waits for whoever keeps the database locked just now."""
        while True:
            self._check()
            for _ in self._look():
                pass
            if self._watched.has_begun:
                return
            self._wait(min(INTERVAL_SECONDS, self._interval))

    def _look(self) -> Generator[None]:
        """One look; what has changed is in `_pending` then."""
        try:
            yield from self._watched.look(self._store._clock())
        except LockTimeout as exc:
            self._busy(exc)
        except StoreError:
            if not self._ended:  # else closed by another thread just now
                self._store._check_open()
                raise
        else:
            self._busy_since = None

    def _check(self) -> None:
        if os.getpid() != self._owner:
            raise StoreError(
                f"this process was forked from the one that watches {self._store.location}: call watch() again here"
            )
        self._store._check_open()
        if self._store._backend.in_transaction():
            refuse_in_transaction(self._store)

    def _busy(self, error: LockTimeout) -> None:
        """It cannot be read just now. That is no error, unless it lasts: the next look will tell."""
        now = steady_clock()
        if self._busy_since is None:
            self._busy_since = now
        if now - self._busy_since >= self._store._timeout:
            self._busy_since = None
            raise LockTimeout(
                f"{self._store.location} could not be watched: somebody else kept it locked for "
                f"{self._store._timeout:g} seconds; try again, or open the store with a longer timeout",
                path=error.path,
            ) from error


def _nothing() -> None:
    """What wakes no event loop, where none waits."""
