"""`SessionAccess`: one `Sessions` for all event loops and threads of a process."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool

from store.aio import AsyncSessions
from store.engines.registry import awaited_schemes
from store.mapping.store import Store
from store.opened.arguments import locate
from store.sessions import Sessions
from store.sessions.options import SessionsOptions

T = TypeVar("T")
Location = str | os.PathLike[str] | Store[Any]

log = logging.getLogger("store.integrations.starlette")


class SessionAccess:
    """Opens sessions at the first use, and calls functions of them without blocking an event loop.

    A file is used in threads, by any loop. A server that `AsyncSessions` can wait for in the loop is waited for there
    between the startup and the shutdown of an application, and in threads by other loops.
    """

    def __init__(self, location: Location, options: SessionsOptions) -> None:
        self._location, self._options = location, options
        self._opened: Sessions | None = None
        self._lock = threading.Lock()
        self._awaited: dict[asyncio.AbstractEventLoop | None, AsyncSessions] = {}

    @property
    def sessions(self) -> Sessions:
        """The sessions, open. Raises: as `Sessions`."""
        with self._lock:
            if self._opened is None:
                self._opened = Sessions(self._location, **self._options)
            return self._opened

    async def run(self, function: Callable[[Sessions], T]) -> T:
        """The result of `function(sessions)`. A call that has begun is not interrupted in a thread."""
        if self._awaited and (awaited := self._awaited.get(_running_loop())) is not None:
            return await awaited.opening.do(function)
        return await run_in_threadpool(lambda: function(self.sessions))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Around the life of an application in one loop: a wrong location is an error at the start."""
        try:
            await run_in_threadpool(lambda: self.sessions)
            loop = _running_loop()
            if loop is None or isinstance(self._location, Store) or locate(self._location)[0] not in awaited_schemes:
                yield
                return
            async with AsyncSessions(self._location, **self._options) as awaited:
                self._awaited[loop] = awaited
                try:
                    yield
                finally:
                    del self._awaited[loop]
        finally:
            self.close()

    def close(self) -> None:
        """Closes the sessions that this object opened; the next use opens them again."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # it is one of trio
        return None


def load(sessions: Sessions, id: str | None) -> dict[str, Any] | None:
    """As `Sessions.load`; a record that is there and cannot be trusted or read is logged."""
    rejected = sessions.rejected
    data = sessions.load(id)
    if data is None and sessions.rejected > rejected:
        log.warning(
            "a session in %s is taken for absent: its record cannot be trusted or read; `store verify` lists it",
            sessions.location,
        )
    return data
