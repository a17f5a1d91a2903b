"""`Opening`: a `Store` or `Sessions` that is opened, used and closed by the calls of a `Worker`."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from itertools import islice
from typing import Generic, Protocol, TypeVar

from store.aio.worker import Worker
from store.aio.workers import new_worker
from store.errors import StoreClosed, StoreError


class Closable(Protocol):
    """What is opened in the worker."""

    @property
    def location(self) -> str: ...

    @property
    def namespace(self) -> str: ...

    def close(self) -> None: ...


H = TypeVar("H", bound=Closable)
K = TypeVar("K", bound=Closable)
T = TypeVar("T")

BATCH = 100  # items that an iteration fetches from the worker at once


class Opening(Generic[H]):
    """Belongs to one `AsyncStore` or `AsyncSessions`, whose class name is `kind`.

    `make` is called in the worker and returns what is opened, at that `location`; None: it is open already, and each
    of its calls blocks a thread. With `owns=False` it is left open at the end. `worker` is that of another opening;
    without one, a worker for the location is made.
    """

    def __init__(
        self,
        kind: str,
        make: Callable[[], H],
        timeout: float,
        location: str | os.PathLike[str] | None,
        *,
        owns: bool = True,
        worker: Worker | None = None,
    ) -> None:
        self.kind = kind
        self.timeout = timeout
        self.make, self._location, self._owns, self._worker = make, location, owns, worker
        self._opened: H | None = None
        self._lock = asyncio.Lock()
        self._closed = self._has_let_go = False

    @property
    def opened(self) -> H:
        """The `Store` or `Sessions`. Raises: StoreClosed, StoreError: it is not open."""
        if self._closed:
            where = "" if self._opened is None else f" on {self._opened.location}"
            raise StoreClosed(f"the store{where} was closed; open it again")
        if self._opened is None:
            raise StoreError(f"this {self.kind} is not open: use `async with {self.kind}(…) as s`, or await s.open()")
        return self._opened

    @property
    def worker(self) -> Worker:
        """What runs its calls. Raises: StoreClosed, StoreError: it is not open."""
        _ = self.opened
        assert self._worker is not None
        return self._worker

    def share(self, kind: str, make: Callable[[H], K]) -> Opening[K]:
        """An opening of `make(opened)` in the same worker."""
        return Opening(kind, lambda: make(self.opened), self.timeout, None, worker=self.worker)

    async def do(self, function: Callable[[H], T]) -> T:
        """Call `function(opened)` in the worker and return its result."""
        return await self.worker.run(lambda: function(self.opened))

    async def each(self, begin: Callable[[H], Iterator[T]]) -> AsyncIterator[T]:
        """Iterate over `begin(opened)` in the worker; nothing is held open between two batches."""
        iterator = await self.do(begin)
        while batch := await self.do(lambda _: list(islice(iterator, BATCH))):
            for item in batch:
                yield item

    async def open(self) -> None:
        if self._closed:
            raise StoreClosed(f"this {self.kind} was closed, and is opened once; make another one")
        async with self._lock:
            if self._opened is not None:
                self.worker.home.check()
                return
            worker = self._worker or new_worker(self._location, self.timeout, self.kind)
            worker.users += 1
            try:
                await worker.run(partial(self._open_in_worker, worker))
            except BaseException:
                await self._give_up(worker)
                raise

    async def _give_up(self, worker: Worker) -> None:
        """It cannot be opened, or its task was cancelled meanwhile."""
        if self._opened is None:
            worker.leave()
        else:
            await self.close()

    def _open_in_worker(self, worker: Worker) -> None:
        self._opened, self._worker = self.make(), worker

    async def close(self) -> None:
        if self._closed or self._opened is None:
            self._closed = True
            return
        worker = self.worker
        try:
            await worker.run_alone(partial(self._close_in_worker, worker.is_inside()))
        except StoreClosed:  # another task closed it while this one waited
            pass
        finally:
            self._let_go(worker)

    def _let_go(self, worker: Worker) -> None:
        if self._closed and not self._has_let_go:
            self._has_let_go = True
            worker.leave()

    def _close_in_worker(self, inside: bool) -> None:
        if self._closed:
            return
        try:
            if self._owns and self._opened is not None:
                self._opened.close()
        except StoreError:
            self._closed = not inside  # the last write-back may fail, and still closes the store
            raise
        self._closed = True

    def __del__(self) -> None:
        opened, worker = getattr(self, "_opened", None), getattr(self, "_worker", None)
        if opened is None or worker is None or self._closed:
            return
        warnings.warn(f"{self!r} was not closed: use `async with`", ResourceWarning, stacklevel=2, source=self)
        worker.abandon(partial(_close_quietly, opened) if self._owns else None)

    def __repr__(self) -> str:
        if self._opened is None:
            return f"<{self.kind} {'closed' if self._closed else 'not open'}>"
        closed = " closed" if self._closed else ""
        return f"<{self.kind} {self._opened.location!r} namespace={self._opened.namespace!r}{closed}>"


def _close_quietly(opened: Closable) -> None:
    try:
        opened.close()
    except StoreError:
        pass  # it was dropped: there is no caller for an error
