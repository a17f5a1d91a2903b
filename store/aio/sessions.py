"""`AsyncSessions`: `Sessions` for programs on asyncio. Imported from `store.aio`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from store.aio.blocks import Block
from store.aio.handle import AsyncHandle, instead
from store.mapping.store import Store
from store.opened.arguments import check_timeout
from store.opened.options import DEFAULT_TIMEOUT_SECONDS
from store.sessions import UNSET, Lifetime, Sessions

if TYPE_CHECKING:
    from store.rows.record import Record


class AsyncSessions(AsyncHandle[Sessions]):
    """`Sessions` for the tasks of one event loop; see there for the arguments and methods, which are to be awaited.

        from store.aio import AsyncSessions

        async with AsyncSessions("app.db", ttl=3600) as sessions:
            id = await sessions.create({"cart": []})
            async with sessions.edit(id) as data:
                data["cart"].append("tea")
            id = await sessions.rotate(id)

    Opened by `async with`, or `await sessions.open()`, in the event loop that it then belongs to; not for several
    threads, nor a forked child, which open their own. An open `AsyncStore` in place of the location is used with its
    thread and in its transactions, and not closed; so is a `Store`.

    Calls are done one after the other, in the order in which the tasks ask. While a task is in `edit()` the calls of
    others wait, so two tasks that edit one session never mix; a task that was started inside such a block gets a
    `StoreError`. What cancelling does is said at `AsyncStore`.
    """

    def __init__(
        self, location: str | os.PathLike[str] | Store[Any] | AsyncHandle[Store[Any]], **options: Any
    ) -> None:
        if isinstance(location, AsyncHandle):
            location._share(self, lambda store: Sessions(store, **options))
        else:
            timeout = check_timeout(options.get("timeout", DEFAULT_TIMEOUT_SECONDS))
            where = location.location if isinstance(location, Store) else location
            self._begin(partial(Sessions, location, **options), timeout, where)

    # -- one session

    async def create(self, data: dict[str, Any], *, ttl: float | Lifetime = UNSET) -> str:
        """As `Sessions.create`."""
        return await self._do(lambda s: s.create(data, ttl=ttl))

    async def load(self, id: str | None) -> dict[str, Any] | None:
        """As `Sessions.load`."""
        return await self._do(lambda s: s.load(id))

    async def save(self, id: str | None, data: dict[str, Any], *, ttl: float | Lifetime = UNSET) -> bool:
        """As `Sessions.save`."""
        return await self._do(lambda s: s.save(id, data, ttl=ttl))

    def edit(self, id: str | None) -> AbstractAsyncContextManager[dict[str, Any]]:
        """As `Sessions.edit`: `async with sessions.edit(id) as data:`. Other tasks wait until it ends."""
        return Block(self._running, lambda: self._opened().edit(id))

    async def touch(self, id: str | None, *, ttl: float | Lifetime = UNSET) -> bool:
        """As `Sessions.touch`."""
        return await self._do(lambda s: s.touch(id, ttl=ttl))

    async def rotate(self, id: str | None, *, ttl: float | Lifetime = UNSET) -> str | None:
        """As `Sessions.rotate`."""
        return await self._do(lambda s: s.rotate(id, ttl=ttl))

    async def delete(self, id: str | None) -> bool:
        """As `Sessions.delete`."""
        return await self._do(lambda s: s.delete(id))

    async def record(self, id: str | None) -> Record | None:
        """As `Sessions.record`."""
        return await self._do(lambda s: s.record(id))

    # -- all of them

    async def length(self) -> int:
        """`len(sessions)`."""
        return await self._do(len)

    def records(self, prefix: str = "") -> AsyncIterator[Record]:
        """As `Sessions.records`, for `async for`."""
        return self._each(lambda s: s.records(prefix))

    async def clear_expired(self) -> int:
        """As `Sessions.clear_expired`."""
        return await self._do(lambda s: s.clear_expired())

    @property
    def rejected(self) -> int:
        """As `Sessions.rejected`."""
        return self._opened().rejected

    @property
    def ttl(self) -> float | Literal[Lifetime.FOREVER]:
        """Seconds that a session lives by default, or `FOREVER`."""
        return self._opened().ttl

    def __bool__(self) -> bool:
        return True  # as that of `Sessions`

    __len__ = instead("an AsyncSessions", "await sessions.length()")
    __enter__ = instead("an AsyncSessions", "async with")
    __exit__ = instead("an AsyncSessions", "async with")
