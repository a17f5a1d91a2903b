"""`AsyncStore` and `AsyncSessions`: for programs on asyncio."""

from store.aio.sessions import AsyncSessions
from store.aio.store import AsyncStore

__all__ = ["AsyncSessions", "AsyncStore"]
