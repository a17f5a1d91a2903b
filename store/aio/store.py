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

`AsyncSessions` is the same for `store.sessions.Sessions`.

One thread works for each store: SQLite knows no asynchronous calls, waiting for another writer would block the event
loop, and a transaction belongs to the thread that began it. What is encoded is encoded there: leave a value alone
until the call that stores it has returned.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from functools import partial
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from store.aio.blocks import AsyncWatch, Block, Named
from store.aio.handle import AsyncHandle, instead
from store.aio.sessions import AsyncSessions
from store.mapping.store import Store
from store.opened.arguments import check_timeout
from store.opened.options import DEFAULT_TIMEOUT_SECONDS
from store.opened.sentinels import MISSING, Missing
from store.watching import INTERVAL_SECONDS

if TYPE_CHECKING:
    from store.care.backup import Backup
    from store.care.compact import Compaction
    from store.care.inspect import Inspection
    from store.care.rekey import Rekeying
    from store.care.stats import Stats
    from store.care.verify import Verification
    from store.rows.record import Record

__all__ = ["AsyncSessions", "AsyncStore"]

V = TypeVar("V")


class AsyncStore(AsyncHandle[Store[V]], Generic[V]):
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
            self._begin(lambda: location, timeout, location.location, owns=False)
        else:
            self._begin(partial(Store, location, **options), check_timeout(timeout), location)

    def within(self, namespace: str) -> AsyncStore[V]:
        """Another mapping in the same file, by the same thread, in the same transactions; opened by `async with`."""
        other: AsyncStore[V] = AsyncStore.__new__(type(self))
        self._share(other, lambda s: s.within(namespace))
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

    async def modify(self, name: str, fn: Callable[[V], V], default: V | Missing = MISSING) -> V:
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

    def edit(self, name: str, default: V | Missing = MISSING) -> AbstractAsyncContextManager[V]:
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

    __getitem__ = instead("an AsyncStore", "await s.getitem(name), or s.get(name)")
    __setitem__ = instead("an AsyncStore", "await s.set(name, value)")
    __delitem__ = instead("an AsyncStore", "await s.delete(name)")
    __contains__ = instead("an AsyncStore", "await s.contains(name)")
    __len__ = instead("an AsyncStore", "await s.length()")
    __bool__ = instead("an AsyncStore", "await s.length()")
    __iter__ = instead("an AsyncStore", "async for name in s")
    __enter__ = instead("an AsyncStore", "async with")
    __exit__ = instead("an AsyncStore", "async with")


def _plain(other: Any) -> Any:
    """What a `Store` can compare itself with, and take records from."""
    return other._opened() if isinstance(other, AsyncStore) else other
