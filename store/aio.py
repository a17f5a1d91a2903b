"""`AsyncStore`: a `Store` for programs on asyncio.

    from store.aio import AsyncStore

    async with AsyncStore("app.db") as s:
        await s.set("settings", {"theme": "dark"})
        async with s.edit("settings") as settings:
            settings["theme"] = "light"
        async for name, value in s.items():
            print(name, value)

Every method of `Store` is here under its own name, to be awaited; what `Store` has operators for is called:

    s[name]            await s.getitem(name)         name in s     await s.contains(name)
    s[name] = value    await s.set(name, value)      len(s)        await s.length()
    del s[name]        await s.delete(name)          s == other    await s.equals(other)
    for name in s      async for name in s           dict(s)       await s.as_dict()
    reversed(s)        s.keys(reverse=True)          s |= other    await s.update(other)

One thread works for each store: SQLite knows no asynchronous calls, waiting for another writer would block the event
loop, and a transaction belongs to the thread that began it. What is encoded is encoded there: leave a value alone
until the call that stores it has returned.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from inspect import iscoroutinefunction
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar

from store.aio_blocks import AsyncWatch, Block, Named
from store.aio_worker import Worker
from store.arguments import check_timeout
from store.errors import StoreClosed, StoreError
from store.handle import DEFAULT_TIMEOUT_SECONDS
from store.mapping import Store
from store.transaction import MISSING
from store.watching import INTERVAL_SECONDS

if TYPE_CHECKING:
    from types import TracebackType

    from store.backups import Backup
    from store.compaction import Compaction
    from store.inspection import Inspection
    from store.record import Record
    from store.rekey import Rekeying
    from store.stats import Stats
    from store.verification import Verification

V = TypeVar("V")
T = TypeVar("T")

BATCH = 100  # what an iteration fetches from the worker at once


def _instead(call: str) -> Callable[..., NoReturn]:
    def refuse(self: object, *_: object) -> NoReturn:
        raise TypeError(f"an AsyncStore has no operators, which cannot be awaited: use {call}")

    return refuse


class AsyncStore(Generic[V]):
    """The mapping of a `Store` for the tasks of one event loop; see there for the arguments and methods.

    Opened by `async with`, or `await s.open()`, in the event loop that it then belongs to; not for several threads,
    nor a forked child, which open their own. A `Store` in place of the location is used, and not closed.

    Calls are done one after the other. Those of other tasks wait while a task is in `transaction()` or `edit()`, as
    other threads do with `Store`; tasks that were *started* inside such a block get a `StoreError`, since a block
    that waits for them would wait for ever.

    Cancelling a call that waits for its turn does nothing. One that has begun runs to its end: `CancelledError` is
    raised then, and what was written is written. (With another program holding the store that may take as long as the
    store's `timeout`, whatever `asyncio.timeout` says.) A block that is cancelled is rolled back; a commit that has
    begun is done.
    """

    def __init__(self, location: str | os.PathLike[str] | Store[V], **options: Any) -> None:
        timeout: float = options.get("timeout", DEFAULT_TIMEOUT_SECONDS)
        if isinstance(location, Store):
            if options:
                raise TypeError("a Store that is open has its options; give a location, or no options")
            self._begin(lambda: location, timeout, owns=False)
        else:
            self._begin(partial(Store, location, **options), check_timeout(timeout))

    def _begin(
        self, make: Callable[[], Store[V]], timeout: float, *, owns: bool = True, worker: Worker | None = None
    ) -> None:
        self._make, self._timeout, self._owns = make, timeout, owns
        self._store: Store[V] | None = None
        self._worker = worker
        self._opening = asyncio.Lock()
        self._closed = self._has_let_go = False

    # -- opening and closing

    async def open(self) -> Self:
        """Opens it, in the event loop that runs; returns it. Raises: what `Store(…)` raises."""
        if self._closed:
            raise StoreClosed("this AsyncStore was closed, and is opened once; make another one")
        async with self._opening:
            if self._store is not None:
                self._running().check()
                return self
            worker = self._worker or Worker(self._timeout)
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
        """As that of `Store`: another one on the same file, which is yet to be opened."""
        return _again, (self._opened().__reduce__(), self._timeout)

    @property
    def namespace(self) -> str:
        """The namespace whose records this mapping holds."""
        return self._opened().namespace

    @property
    def location(self) -> str:
        """The absolute path of the file, or ":memory:"."""
        return self._opened().location

    def within(self, namespace: str) -> AsyncStore[V]:
        """Another mapping in the same file, by the same thread, in the same transactions; opened by `async with`."""
        other: AsyncStore[V] = AsyncStore.__new__(type(self))
        other._begin(lambda: self._opened().within(namespace), self._timeout, worker=self._running())
        return other

    # -- one record

    async def getitem(self, name: str) -> V:
        """`s[name]`. Raises: KeyError."""
        return await self._do(lambda s: s[name])

    async def get(self, name: str, default: Any = None, /) -> Any:
        """The value of that name, or `default` where there is no such record."""
        return await self._do(lambda s: s.get(name, default))

    async def set(self, name: str, value: V) -> None:
        """`s[name] = value`."""
        await self._do(lambda s: s.__setitem__(name, value))

    async def delete(self, name: str) -> None:
        """`del s[name]`. Raises: KeyError."""
        await self._do(lambda s: s.__delitem__(name))

    async def contains(self, name: object) -> bool:
        """`name in s`."""
        return await self._do(lambda s: name in s)

    async def pop(self, name: str, default: Any = MISSING, /) -> Any:
        """As `Store.pop`."""
        return await self._do(lambda s: s.pop(name, default))

    async def popitem(self) -> tuple[str, V]:
        """As `Store.popitem`."""
        return await self._do(lambda s: s.popitem())

    async def setdefault(self, name: str, default: V = None, /) -> V:  # type: ignore[assignment]
        """As `Store.setdefault`."""
        return await self._do(lambda s: s.setdefault(name, default))

    async def put(self, name: str, value: V, **options: Any) -> Record:
        """As `Store.put`."""
        return await self._do(lambda s: s.put(name, value, **options))

    async def record(self, name: str) -> Record:
        """As `Store.record`."""
        return await self._do(lambda s: s.record(name))

    async def modify(self, name: str, fn: Callable[[V], V], default: V = MISSING) -> V:
        """As `Store.modify`; `fn` is called in the store's thread. For a coroutine use `transaction`."""
        if iscoroutinefunction(fn):
            raise TypeError(
                "fn is a plain function, called in the store's thread; to await inside, use transaction()"
            )
        return await self._do(lambda s: s.modify(name, fn, default))

    async def touch(self, name: str, ttl: float | None) -> Record:
        """As `Store.touch`."""
        return await self._do(lambda s: s.touch(name, ttl))

    async def inspect(self, name: str) -> Inspection:
        """As `Store.inspect`."""
        return await self._do(lambda s: s.inspect(name))

    async def admit(self, inspection: Inspection) -> Record:
        """As `Store.admit`."""
        return await self._do(lambda s: s.admit(inspection))

    # -- many

    async def length(self) -> int:
        """`len(s)`."""
        return await self._do(len)

    async def equals(self, other: object) -> bool:
        """`s == other`, also with another `AsyncStore`."""
        theirs = _plain(other)
        return await self._do(lambda s: bool(s == theirs))

    async def as_dict(self) -> dict[str, V]:
        """All of it as of one moment."""
        return await self._do(lambda s: s | {})

    async def get_many(self, names: Iterable[str]) -> dict[str, V]:
        """As `Store.get_many`."""
        return await self._do(lambda s: s.get_many(names))

    async def update(self, other: Any = (), /, **named: V) -> None:
        """As `Store.update`; an iterator is consumed in the store's thread."""
        theirs = _plain(other)
        await self._do(lambda s: s.update(theirs, **named))

    async def clear(self) -> None:
        """As `Store.clear`."""
        await self._do(lambda s: s.clear())

    async def names(
        self, prefix: str = "", after: str | None = None, limit: int | None = None, reverse: bool = False
    ) -> list[str]:
        """As `Store.names`."""
        return await self._do(lambda s: s.names(prefix, after, limit, reverse))

    def __aiter__(self) -> AsyncIterator[str]:
        return self.keys()

    def keys(self, *, reverse: bool = False) -> AsyncIterator[str]:
        """The names, in order of insertion, for `async for`."""
        return self._each(lambda s: reversed(s) if reverse else iter(s))

    def values(self, *, reverse: bool = False) -> AsyncIterator[V]:
        """The values, for `async for`; fetched a few at a time."""
        return self._each(lambda s: reversed(s.values()) if reverse else iter(s.values()))

    def items(self, *, reverse: bool = False) -> AsyncIterator[tuple[str, V]]:
        """The pairs of name and value, for `async for`; fetched a few at a time."""
        return self._each(lambda s: reversed(s.items()) if reverse else iter(s.items()))

    def records(self, prefix: str = "") -> AsyncIterator[Record]:
        """As `Store.records`, for `async for`."""
        return self._each(lambda s: s.records(prefix))

    # -- several steps as one

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """All or nothing, for this task: `async with s.transaction():`. Nests. Other tasks wait until it ends."""
        return Block(self._running, lambda: self._opened().transaction())

    def edit(self, name: str, default: V = MISSING) -> AbstractAsyncContextManager[V]:
        """As `Store.edit`: `async with s.edit(name) as value:`. Other tasks wait until it ends."""
        return Block(self._running, lambda: self._opened().edit(name, default))

    def lock(self, name: str, timeout: float | None = None) -> AbstractAsyncContextManager[None]:
        """As `Store.lock`, between tasks too: `async with s.lock(name):`. Does not hold up the store."""
        seconds = None if timeout is None else check_timeout(timeout)
        return Named(self._running, lambda: self._opened().lock(name, 0), name, seconds)

    def watch(
        self,
        names: Iterable[str] | None = None,
        prefix: str = "",
        timeout: float | None = None,
        *,
        interval: float = INTERVAL_SECONDS,
    ) -> AsyncWatch:
        """As `Store.watch`. `async with s.watch() as changes:` tells what changes from then on; `async for change in
        s.watch()` what changes from its first step on."""
        return AsyncWatch(self._running, lambda: self._opened().watch(names, prefix, timeout, interval=interval))

    # -- the rest

    async def purge(self) -> int:
        """As `Store.purge`."""
        return await self._do(lambda s: s.purge())

    async def namespaces(self) -> list[str]:
        """As `Store.namespaces`."""
        return await self._do(lambda s: s.namespaces())

    async def stats(self) -> Stats:
        """As `Store.stats`."""
        return await self._do(lambda s: s.stats())

    async def verify(self, *, quick: bool = False) -> Verification:
        """As `Store.verify`."""
        return await self._do(lambda s: s.verify(quick=quick))

    async def rekey(self, *, progress: Callable[[int, int], None] | None = None) -> Rekeying:
        """As `Store.rekey`; `progress` is called in the store's thread."""
        return await self._do(lambda s: s.rekey(progress=progress))

    async def compact(self, *, progress: Callable[[int, int], None] | None = None) -> Compaction:
        """As `Store.compact`; `progress` is called in the store's thread."""
        return await self._do(lambda s: s.compact(progress=progress))

    async def backup(
        self, path: str | os.PathLike[str], *, progress: Callable[[int, int], object] | None = None
    ) -> Backup:
        """As `Store.backup`; `progress` is called in the thread of the store."""
        return await self._do(lambda s: s.backup(path, progress=progress))

    async def sync(self) -> None:
        """As `Store.sync`."""
        await self._do(lambda s: s.sync())

    __getitem__ = _instead("await s.getitem(name), or s.get(name)")
    __setitem__ = _instead("await s.set(name, value)")
    __delitem__ = _instead("await s.delete(name)")
    __contains__ = _instead("await s.contains(name)")
    __len__ = _instead("await s.length()")
    __bool__ = _instead("await s.length()")
    __iter__ = _instead("async for name in s")
    __enter__ = _instead("async with")
    __exit__ = _instead("async with")

    # -- how it is done

    async def _do(self, function: Callable[[Store[V]], T]) -> T:
        return await self._running().run(lambda: function(self._opened()))

    async def _each(self, begin: Callable[[Store[V]], Iterator[T]]) -> AsyncIterator[T]:
        """The iterator is made and advanced in the worker; it holds nothing open between two steps."""
        iterator = await self._do(begin)
        while batch := await self._do(lambda _: list(islice(iterator, BATCH))):
            for item in batch:
                yield item

    def _opened(self) -> Store[V]:
        if self._closed:
            where = "" if self._store is None else f" on {self._store.location}"
            raise StoreClosed(f"the store{where} was closed; open it again")
        if self._store is None:
            raise StoreError("this AsyncStore is not open: use `async with AsyncStore(…) as s`, or await s.open()")
        return self._store

    def _running(self) -> Worker:
        self._opened()
        assert self._worker is not None
        return self._worker


def _plain(other: Any) -> Any:
    """What a `Store` can compare itself with, and take records from."""
    return other._opened() if isinstance(other, AsyncStore) else other


def _again(reduced: tuple[Any, ...], timeout: float) -> AsyncStore[Any]:
    make, arguments = reduced
    other: AsyncStore[Any] = AsyncStore.__new__(AsyncStore)
    other._begin(partial(make, *arguments), timeout)
    return other


def _close_quietly(store: Store[Any]) -> None:
    """Of an `AsyncStore` that was left: nobody is there to be told."""
    try:
        store.close()
    except StoreError:
        pass


def _nothing() -> None:
    """What a store that is somebody else's needs."""
