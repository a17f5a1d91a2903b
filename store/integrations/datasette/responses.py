"""The cells of one response share a limit of time, and the answers about their databases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from store.integrations.datasette.databases import Place, Stores, place_of
from store.web.look import Budget

Send = Callable[[Any], Awaitable[None]]


class Spending:
    """The budget of one response for values, and the answers about its databases, each asked for once."""

    def __init__(self) -> None:
        self._budget: Budget | None = None
        self._places: dict[str, Place | None] = {}
        self.problems: dict[str, str] = {}
        """Database → why it cannot be opened as a store."""

    @property
    def budget(self) -> Budget:
        """The same one for all values of the response; its time begins with the first."""
        if self._budget is None:
            self._budget = Budget()
        return self._budget

    async def place(self, datasette: Any, database: str) -> Place | None:
        """As `place_of`, asked once."""
        if database not in self._places:
            self._places[database] = await place_of(datasette, database)
        return self._places[database]


_spending: ContextVar[Spending | None] = ContextVar("_spending", default=None)


def spending() -> Spending:
    """That of the response in progress; outside of one, a new one for each value."""
    return _spending.get() or Spending()


class Application:
    """Datasette as an ASGI application, with a `Spending` for each request; closes the stores as the server ends."""

    def __init__(self, stores: Stores, application: Any) -> None:
        self._stores = stores
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._application(scope, receive, self._closing(send))
            return
        token = _spending.set(Spending())
        try:
            await self._application(scope, receive, send)
        finally:
            _spending.reset(token)

    def _closing(self, send: Send) -> Send:
        async def send_closed(message: Any) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                self._stores.close()
            await send(message)

        return send_closed
