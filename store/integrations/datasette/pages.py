"""The pages of a store, below `/-/store/DATABASE/` of Datasette."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from datasette import Forbidden, NotFound, Response
from datasette.utils import tilde_decode

import store.web
from store.display.html import Url
from store.errors import LockTimeout, StoreNotFound
from store.integrations.datasette.databases import NOT_OPENED, Place, Stores, place_of, stores_of
from store.integrations.datasette.permissions import may_see
from store.web.pages.layout import HEADERS, document
from store.web.routing import page_of

STATIC = {
    "page.css": (Path(store.web.__file__).parent / "static", "text/css; charset=utf-8"),
    "page.js": (Path(store.web.__file__).parent / "static", "text/javascript; charset=utf-8"),
    "cells.css": (Path(__file__).parent / "static", "text/css; charset=utf-8"),
}
METHODS = ("GET", "HEAD")


async def page(datasette: Any, request: Any) -> Any:
    """The response to a request for a page. Raises: NotFound, Forbidden: Datasette answers as for its own pages."""
    place = await _place(datasette, request)
    if request.method not in METHODS:
        return _answer("These pages only show: ask with GET.\n", 405, "text/plain; charset=utf-8", Allow="GET, HEAD")
    query = {key: request.args.get(key) for key in request.args}
    way_back = Url(datasette.urls.database(place.name))
    try:
        stores = stores_of(datasette)
        status, text = await stores.run(_rendered, stores, place, request.url_vars["path"], query, way_back)
    except NOT_OPENED as exc:
        return await _refusal(datasette, request, exc)
    return _answer(text, status)


async def first_page(datasette: Any, request: Any) -> Any:
    """Leads to the first page, whose address ends with a slash.

    Raises: as `page`, here too: where nothing is found, Datasette leads back to the address without a slash.
    """
    return Response.redirect(f"{(await _place(datasette, request)).base}/")


async def static(request: Any) -> Any:
    """A style sheet or script, which is the same for all stores and tells nothing of them."""
    name = request.url_vars["file"]
    if name not in STATIC:
        raise NotFound("There is no such file")
    folder, kind = STATIC[name]
    return _answer((folder / name).read_bytes(), 200, kind, Cache_Control="public, max-age=300")


ROUTES: list[tuple[str, Callable[..., Awaitable[Any]]]] = [
    (r"/-/store/(?P<database>[^/]+)$", first_page),
    (r"/-/store/(?P<database>[^/]+)/static/(?P<file>[^/]+)$", static),
    (r"/-/store/(?P<database>[^/]+)/(?P<path>.*)$", page),
]


def _database(datasette: Any, request: Any) -> Any:
    try:
        return datasette.get_database(route=tilde_decode(request.url_vars["database"]))
    except KeyError:
        raise NotFound("Database not found") from None


async def _place(datasette: Any, request: Any) -> Place:
    database = _database(datasette, request)
    if not await may_see(datasette, request.actor, database.name):
        raise Forbidden("You do not have permission to view this table")
    place = await place_of(datasette, database.name)
    if place is None:
        raise NotFound("This database is no store")
    return place


def _rendered(stores: Stores, place: Place, path: str, query: dict[str, str], way_back: Url) -> tuple[int, str]:
    site = stores.site(place)
    shown = page_of(site, path, query)
    return shown.status, document(site, shown, above=(f"{place.name} in Datasette", way_back))


async def _refusal(datasette: Any, request: Any, error: Exception) -> Any:
    """The error of a store as one of Datasette's pages: it says what to do."""
    status = 404 if isinstance(error, StoreNotFound) else 503 if isinstance(error, LockTimeout) else 500
    context = {"title": "The store cannot be shown", "error": str(error), "status": status}
    return Response.html(await datasette.render_template("error.html", context, request=request), status=status)


def _answer(body: str | bytes, status: int, kind: str = "text/html; charset=utf-8", **headers: str) -> Any:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(body, status=status, headers=HEADERS | given, content_type=kind)
