"""`AsyncStore`: a `Store` for programs on asyncio.

    from store.aio import AsyncStore

    async with AsyncStore("app.db") as s:
        await s.set("settings", {"theme": "dark"})
        async with s.edit("settings") as settings:
            settings["theme"] = "light"
        async for name, value in s.items():
            print(name, value)

Every method of `Store` is here under its own name, to be awaited. Operators of `Store` are methods:

    s[name]            await s.getitem(name)         name in s     await s.contains(name)
    s[name] = value    await s.set(name, value)      len(s)        await s.length()
    del s[name]        await s.delitem(name)         s == other    await s.equals(other)
    for name in s      async for name in s           dict(s)       await s.as_dict()
    reversed(s)        s.keys(reverse=True)          s |= other    await s.update(other)

`AsyncSessions` is the same for `store.sessions.Sessions`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Generic, TypeVar, Unpack, overload

from store.aio.blocks import AsyncLock, AsyncWatch
from store.aio.handle import AsyncHandle, block, forward, handle_of, instead, iterate
from store.aio.opening import Opening
from store.mapping.store import Store
from store.opened.arguments import check_timeout
from store.opened.options import DEFAULT_TIMEOUT_SECONDS, StoreOptions
from store.opened.sentinels import MISSING, Missing
from store.watching import INTERVAL_SECONDS

V = TypeVar("V")
D = TypeVar("D")


class AsyncStore(AsyncHandle[Store[V]], Generic[V]):
    """The mapping of a `Store` for the tasks of one event loop; see there for the arguments and methods.

    Open it by `async with`, or `await s.open()`, in the event loop that it then belongs to. It cannot be shared by
    several threads or with a forked child, which open their own. A `Store` in place of the location is used, and not
    closed; its calls are done in a thread, wherever it is.

    On a file and in memory a thread does the calls, one after the other. Those of other tasks wait while a task is in
    `transaction()` or `edit()`, as other threads do with `Store`. A function that is given to a method is called in
    that thread. On a server the event loop does them, those of many tasks at the same time, each on a connection of
    its own; a function is called in the loop, and should be quick. On both, tasks that were *started* inside a block
    get a `StoreError`, since a block that waits for them would wait for ever.

    Cancelling a call that waits for its turn does nothing. On a file, one that has begun runs to its end:
    `CancelledError` is raised then, and its write has been made. (With another program holding the store that may
    take as long as the store's `timeout`, whatever `asyncio.timeout` says.) On a server its statement is cancelled
    there: when `CancelledError` is raised, the write has been made or never will be. A block that is cancelled is
    rolled back; a commit that has begun is done.
    """

    def __init__(self, location: str | os.PathLike[str] | Store[V], **options: Unpack[StoreOptions]) -> None:
        kind = type(self).__name__
        timeout: float = options.get("timeout", DEFAULT_TIMEOUT_SECONDS)
        if not isinstance(location, Store):
            make = partial(Store, location, **options)
            super().__init__(Opening(kind, make, check_timeout(timeout), location))
        elif options:
            raise TypeError("a Store that is open has its options; give a location, or no options")
        else:
            super().__init__(Opening(kind, lambda: location, timeout, None, owns=False))

    def within(self, namespace: str, *, cache_bytes: int | None = None) -> AsyncStore[V]:
        """Another mapping of the same location, in the same transactions; opened by `async with`."""
        share = self.opening.share
        return handle_of(
            type(self), share(type(self).__name__, lambda s: s.within(namespace, cache_bytes=cache_bytes))
        )

    # -- one record

    async def getitem(self, name: str) -> V:
        """`s[name]`. Raises: KeyError."""
        return await self.opening.do(lambda s: s[name])

    async def set(self, name: str, value: V) -> None:
        """`s[name] = value`."""
        await self.opening.do(lambda s: s.__setitem__(name, value))

    async def delitem(self, name: str) -> None:
        """`del s[name]`. Raises: KeyError."""
        await self.opening.do(lambda s: s.__delitem__(name))

    async def contains(self, name: object) -> bool:
        """`name in s`."""
        return await self.opening.do(lambda s: name in s)

    popitem = forward(Store[V].popitem)
    setdefault = forward(Store[V].setdefault)
    put = forward(Store[V].put)
    add = forward(Store[V].add)
    incr = forward(Store[V].incr)
    delete = forward(Store[V].delete)
    get_with_record = forward(Store[V].get_with_record)
    record = forward(Store[V].record)
    touch = forward(Store[V].touch)
    inspect = forward(Store[V].inspect)
    admit = forward(Store[V].admit)

    @overload  # mypy makes one signature of overloads that are forwarded
    async def get(self, name: str, /) -> V | None: ...
    @overload
    async def get(self, name: str, default: V | D, /) -> V | D: ...
    async def get(self, name: str, default: Any = None, /) -> Any:
        """The value of that name, or `default` where there is no such record."""
        return await self.opening.do(lambda s: s.get(name, default))

    @overload
    async def pop(self, name: str, /) -> V: ...
    @overload
    async def pop(self, name: str, default: V | D, /) -> V | D: ...
    async def pop(self, name: str, default: Any = MISSING, /) -> Any:
        """Delete a record and return its value, as one step; one that cannot be decoded stays."""
        return await self.opening.do(lambda s: s.pop(name, default))

    async def modify(self, name: str, fn: Callable[[V], V], default: V | Missing = MISSING) -> V:
        """As `Store.modify`; `fn` is called as `AsyncStore` says. For a coroutine use `transaction`."""
        _check_plain(fn)
        return await self.opening.do(lambda s: s.modify(name, fn, default))

    async def transact(self, fn: Callable[[Store[V]], D]) -> D:
        """As `Store.transact`; `fn` is called with the `Store`. For a coroutine use `transaction`."""
        _check_plain(fn)
        return await self.opening.do(lambda s: s.transact(fn))

    # -- many

    get_many = forward(Store[V].get_many)
    delete_many = forward(Store[V].delete_many)
    delete_prefix = forward(Store[V].delete_prefix)
    clear = forward(Store[V].clear)
    names = forward(Store[V].names)
    records = iterate(Store[V].records)

    async def length(self) -> int:
        """`len(s)`."""
        return await self.opening.do(len)

    async def equals(self, other: object) -> bool:
        """`s == other`, also with another `AsyncStore`."""
        theirs = _plain(other)
        return await self.opening.do(lambda s: bool(s == theirs))

    async def as_dict(self) -> dict[str, V]:
        """All of it as of one moment."""
        return await self.opening.do(lambda s: s | {})

    async def update(self, other: Any = (), /, **named: V) -> None:
        """As `Store.update`; an iterator is consumed where functions are called."""
        theirs = _plain(other)
        await self.opening.do(lambda s: s.update(theirs, **named))

    def __aiter__(self) -> AsyncIterator[str]:
        return self.keys()

    def keys(self, *, reverse: bool = False) -> AsyncIterator[str]:
        """The names, in order of insertion, for `async for`."""
        return self.opening.each(lambda s: reversed(s) if reverse else iter(s))

    def values(self, *, reverse: bool = False) -> AsyncIterator[V]:
        """The values, for `async for`; fetched a few at a time."""
        return self.opening.each(lambda s: reversed(s.values()) if reverse else iter(s.values()))

    def items(self, *, reverse: bool = False) -> AsyncIterator[tuple[str, V]]:
        """The pairs of name and value, for `async for`; fetched a few at a time."""
        return self.opening.each(lambda s: reversed(s.items()) if reverse else iter(s.items()))

    # -- several steps as one

    transaction = block(Store[V].transaction)
    edit = block(Store[V].edit)

    def lock(self, name: str, timeout: float | None = None) -> AsyncLock:
        """As `Store.lock`, between tasks too: `async with s.lock(name):`. Does not hold up the store."""
        return AsyncLock(self.opening, name, None if timeout is None else check_timeout(timeout))

    def watch(
        self,
        names: Iterable[str] | None = None,
        prefix: str = "",
        timeout: float | None = None,
        *,
        interval: float = INTERVAL_SECONDS,
    ) -> AsyncWatch:
        """As `Store.watch`, for `async for`.

        `async with s.watch() as changes:` watches from there on; `async for change in s.watch()` from its first step.
        """
        return AsyncWatch(self.opening, lambda s: s.watch(names, prefix, timeout, interval=interval))

    # -- maintenance

    purge = forward(Store[V].purge)
    namespaces = forward(Store[V].namespaces)
    stats = forward(Store[V].stats)
    verify = forward(Store[V].verify)
    rekey = forward(Store[V].rekey)
    compact = forward(Store[V].compact)
    backup = forward(Store[V].backup)
    sync = forward(Store[V].sync)

    __getitem__ = instead("an AsyncStore", "await s.getitem(name), or s.get(name)")
    __setitem__ = instead("an AsyncStore", "await s.set(name, value)")
    __delitem__ = instead("an AsyncStore", "await s.delitem(name)")
    __contains__ = instead("an AsyncStore", "await s.contains(name)")
    __len__ = instead("an AsyncStore", "await s.length()")
    __bool__ = instead("an AsyncStore", "await s.length()")
    __iter__ = instead("an AsyncStore", "async for name in s")
    __enter__ = instead("an AsyncStore", "async with")
    __exit__ = instead("an AsyncStore", "async with")


def _check_plain(fn: Callable[..., Any]) -> None:
    """Raises: TypeError: it is a coroutine function."""
    if iscoroutinefunction(fn):
        raise TypeError("fn is a plain function, which the store calls; to await inside, use transaction()")


def _plain(other: Any) -> Any:
    """The `Store` of an `AsyncStore`; any other object as it is."""
    return other.opening.opened if isinstance(other, AsyncStore) else other
