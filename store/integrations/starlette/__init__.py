"""Sessions of Starlette and FastAPI: `StoreSessionMiddleware`, and `StarsessionsStore` for starsessions.

    app.add_middleware(StoreSessionMiddleware, location="app.db")
    app.add_middleware(starsessions.SessionMiddleware, store=StarsessionsStore("app.db"))

One of the two. Each visitor has a cookie with an id; the data stay on the server.
"""

from typing import TYPE_CHECKING, Any

from store.integrations.starlette.middleware import StoreSessionMiddleware
from store.integrations.starlette.session import StoreSession, session_of
from store.sessions.records import NoSuchSession

if TYPE_CHECKING:
    from store.integrations.starlette.starsessions import StarsessionsStore

__all__ = ["NoSuchSession", "StarsessionsStore", "StoreSession", "StoreSessionMiddleware", "session_of"]


def __getattr__(name: str) -> Any:
    if name != "StarsessionsStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from store.integrations.starlette.starsessions import StarsessionsStore  # which another extra installs

    return StarsessionsStore
