"""`AsyncStore` and `AsyncSessions`: for programs on asyncio."""

from store.aio.sessions import AsyncSessions, AsyncUserSessions
from store.aio.store import AsyncStore

__all__ = ["AsyncSessions", "AsyncStore", "AsyncUserSessions"]
