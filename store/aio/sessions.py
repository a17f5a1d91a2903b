"""`AsyncSessions`: `Sessions` for programs on asyncio. Imported from `store.aio`."""

from __future__ import annotations

import os
from functools import partial
from typing import Any, Unpack

from store.aio.handle import AsyncHandle, block, forward, instead, iterate
from store.aio.opening import Opening
from store.mapping.store import Store
from store.opened.arguments import check_timeout
from store.opened.options import DEFAULT_TIMEOUT_SECONDS
from store.rows.record import Record
from store.sessions import Lifetime, Sessions
from store.sessions.ids import check_user
from store.sessions.options import SessionsOptions


class AsyncSessions(AsyncHandle[Sessions]):
    """`Sessions` for the tasks of one event loop; see there for the arguments and methods, which are to be awaited.

        from store.aio import AsyncSessions

        async with AsyncSessions("app.db", ttl=3600) as sessions:
            id = await sessions.create({"cart": []})
            async with sessions.edit(id) as data:
                data["cart"].append("tea")
            id = await sessions.rotate(id)

    Open it by `async with`, or `await sessions.open()`, in the event loop that it then belongs to. It cannot be
    shared by several threads or with a forked child, which open their own. An open `AsyncStore` in place of the
    location is used in its transactions, and not closed; so is a `Store`, whose calls are done in a thread.

    Two tasks that edit one session never mix: on a file all other calls wait while a task is in `edit()`, on a server
    other edits of that session do. A task that was started inside such a block gets a `StoreError`. `AsyncStore`
    describes whose turn it is, and what cancelling does.
    """

    def __init__(
        self,
        location: str | os.PathLike[str] | Store[Any] | AsyncHandle[Store[Any]],
        **options: Unpack[SessionsOptions],
    ) -> None:
        kind = type(self).__name__
        if isinstance(location, AsyncHandle):
            super().__init__(location.opening.share(kind, lambda store: Sessions(store, **options)))
            return
        timeout = check_timeout(options.get("timeout", DEFAULT_TIMEOUT_SECONDS))
        where = None if isinstance(location, Store) else location
        super().__init__(Opening(kind, partial(Sessions, location, **options), timeout, where))

    create = forward(Sessions.create)
    load = forward(Sessions.load)
    save = forward(Sessions.save)
    modify = forward(Sessions.modify)
    edit = block(Sessions.edit)
    touch = forward(Sessions.touch)
    rotate = forward(Sessions.rotate)
    delete = forward(Sessions.delete)
    record = forward(Sessions.record)
    records = iterate(Sessions.records)
    clear_expired = forward(Sessions.clear_expired)

    def by(self, user: str) -> AsyncUserSessions:
        """As `Sessions.by`; the methods of what it returns are to be awaited."""
        return AsyncUserSessions(self.opening, user)

    async def length(self) -> int:
        """`len(sessions)`."""
        return await self.opening.do(len)

    @property
    def rejected(self) -> int:
        """As `Sessions.rejected`."""
        return self.opening.opened.rejected

    @property
    def ttl(self) -> float | Lifetime:
        """Seconds that a session lives by default, or `FOREVER`."""
        return self.opening.opened.ttl

    def __bool__(self) -> bool:
        return True  # as `Sessions`

    __len__ = instead("an AsyncSessions", "await sessions.length()")
    __enter__ = instead("an AsyncSessions", "async with")
    __exit__ = instead("an AsyncSessions", "async with")


class AsyncUserSessions:
    """`UserSessions` for tasks: its methods are to be awaited, `await sessions.by("alice").end()`."""

    def __init__(self, opening: Opening[Sessions], user: str) -> None:
        self._opening, self._user = opening, check_user(user)

    async def records(self) -> list[Record]:
        """As `UserSessions.records`."""
        return await self._opening.do(lambda sessions: sessions.by(self._user).records())

    async def load(self, record: Record) -> dict[str, Any] | None:
        """As `UserSessions.load`."""
        return await self._opening.do(lambda sessions: sessions.by(self._user).load(record))

    async def delete(self, record: Record) -> bool:
        """As `UserSessions.delete`."""
        return await self._opening.do(lambda sessions: sessions.by(self._user).delete(record))

    async def end(self, *, but: str | None = None) -> int:
        """As `UserSessions.end`."""
        return await self._opening.do(lambda sessions: sessions.by(self._user).end(but=but))

    async def length(self) -> int:
        """`len(sessions.by(user))`."""
        return await self._opening.do(lambda sessions: len(sessions.by(self._user)))

    def __bool__(self) -> bool:
        raise TypeError("whether a user has sessions has to be awaited: use await sessions.by(…).length()")

    __len__ = instead("an AsyncUserSessions", "await sessions.by(…).length()")
    __iter__ = instead("an AsyncUserSessions", "await sessions.by(…).records()")
