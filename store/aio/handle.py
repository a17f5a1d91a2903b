"""Opening, using and closing, from the tasks of an event loop, what works on a thread: a `Store`, or `Sessions`."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, Self, TypeVar

from store.aio.worker import Worker
from store.errors import StoreClosed, StoreError

if TYPE_CHECKING:
    from types import TracebackType


class Kept(Protocol):
    """What is opened and used on the thread."""

    @property
    def location(self) -> str: ...

    @property
    def namespace(self) -> str: ...

    def close(self) -> None: ...


H = TypeVar("H", bound=Kept)
K = TypeVar("K", bound=Kept)
T = TypeVar("T")

BATCH = 100  # what an iteration fetches from the worker at once


def instead(name: str, call: str) -> Callable[..., NoReturn]:
    """An operator of `name`, which cannot be awaited: its error says what to call."""

    def refuse(self: object, *_: object) -> NoReturn:
        raise TypeError(f"{name} has no operators, which cannot be awaited: use {call}")

    return refuse


class AsyncHandle(Generic[H]):
    """Opens and closes on a thread of its own, or on that of another one, what its subclass has methods for."""

    def _begin(
        self, make: Callable[[], H], timeout: float, what: object, *, owns: bool = True, worker: Worker | None = None
    ) -> None:
        self._make, self._timeout, self._owns = make, timeout, owns
        self._what = f"{type(self).__name__} on {what}"  # for the error of a thread that cannot be made
        self._store: H | None = None
        self._worker = worker
        self._opening = asyncio.Lock()
        self._closed = self._has_let_go = False

    def _share(self, other: AsyncHandle[K], make: Callable[[H], K]) -> None:
        """Have another one work on our thread, with what is made of ours when it is opened."""
        other._begin(lambda: make(self._opened()), self._timeout, self.location, worker=self._running())

    # -- opening and closing

    async def open(self) -> Self:
        """Opens it, in the event loop that runs; returns it. Raises: what `Store(…)` raises."""
        if self._closed:
            raise StoreClosed(f"this {type(self).__name__} was closed, and is opened once; make another one")
        async with self._opening:
            if self._store is not None:
                self._running().check()
                return self
            worker = self._worker or Worker(self._timeout, self._what)
            worker.handles += 1
            try:
                await worker.run(partial(self._open_in_worker, worker))
            except BaseException:
                await self._give_up(worker)
                raise
        return self

    def _open_in_worker(self, worker: Worker) -> None:
        self._store, self._worker = self._make(), worker

    async def _give_up(self, worker: Worker) -> None:
        """It was not to be opened, or its task was cancelled meanwhile."""
        if self._store is not None:
            await self.close()
        else:
            worker.let_go()

    async def close(self) -> None:
        """Waits for its turn, and closes the store and its thread; a second call does nothing.

        Raises:
            StoreError: this task is in a transaction of it.
        """
        if self._closed or self._store is None:
            self._closed = True
            return
        worker = self._running()
        try:
            await worker.run(partial(self._close_in_worker, worker.is_inside()))
        except StoreClosed:  # another task closed it, while this one waited
            pass
        finally:
            self._let_go(worker)

    def _let_go(self, worker: Worker) -> None:
        if self._closed and not self._has_let_go:
            self._has_let_go = True
            worker.let_go()

    def _close_in_worker(self, inside: bool) -> None:
        if self._closed:
            return
        try:
            if self._owns and self._store is not None:
                self._store.close()
        except StoreError:
            self._closed = not inside  # what is written back at the end may fail; it is closed all the same
            raise
        self._closed = True

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        store, worker = getattr(self, "_store", None), getattr(self, "_worker", None)
        if store is None or worker is None or self._closed:
            return
        warnings.warn(f"{self!r} was not closed: use `async with`", ResourceWarning, stacklevel=2, source=self)
        worker.abandon(partial(_close_quietly, store) if self._owns else _nothing)

    def __repr__(self) -> str:
        if self._store is None:
            return f"<{type(self).__name__} {'closed' if self._closed else 'not open'}>"
        closed = " closed" if self._closed else ""
        return f"<{type(self).__name__} {self._store.location!r} namespace={self._store.namespace!r}{closed}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """As that of what it opened: another one on the same file, which is yet to be opened."""
        return _again, (type(self), self._opened().__reduce__(), self._timeout)

    @property
    def namespace(self) -> str:
        """The namespace whose records this mapping holds."""
        return self._opened().namespace

    @property
    def location(self) -> str:
        """The absolute path of the file, or ":memory:"."""
        return self._opened().location

    # -- how it is done

    async def _do(self, function: Callable[[H], T]) -> T:
        return await self._running().run(lambda: function(self._opened()))

    async def _each(self, begin: Callable[[H], Iterator[T]]) -> AsyncIterator[T]:
        """The iterator is made and advanced in the worker; it holds nothing open between two steps."""
        iterator = await self._do(begin)
        while batch := await self._do(lambda _: list(islice(iterator, BATCH))):
            for item in batch:
                yield item

    def _opened(self) -> H:
        if self._closed:
            where = "" if self._store is None else f" on {self._store.location}"
            raise StoreClosed(f"the store{where} was closed; open it again")
        if self._store is None:
            name = type(self).__name__
            raise StoreError(f"this {name} is not open: use `async with {name}(…) as s`, or await s.open()")
        return self._store

    def _running(self) -> Worker:
        self._opened()
        assert self._worker is not None
        return self._worker


def _again(cls: type[AsyncHandle[Any]], reduced: tuple[Any, ...], timeout: float) -> AsyncHandle[Any]:
    make, arguments = reduced
    other = cls.__new__(cls)
    other._begin(partial(make, *arguments), timeout, "what was pickled")
    return other


def _close_quietly(store: Kept) -> None:
    """Of one that was left: nobody is there to be told."""
    try:
        store.close()
    except StoreError:
        pass


def _nothing() -> None:
    """What a store that is somebody else's needs."""
