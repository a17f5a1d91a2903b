"""Links from Datasette's menus to the pages of a store, for those who may see its records."""

from __future__ import annotations

from typing import Any

from store.integrations.datasette.cells import named_in
from store.integrations.datasette.databases import Place, place_of
from store.integrations.datasette.permissions import may_see
from store.web.links import Links

MOST_IN_MENU = 10  # the others are reached by the pages of their databases

Link = dict[str, str]


async def of_all(datasette: Any, actor: Any) -> list[Link]:
    """A link for each store that `actor` may see."""
    found: list[Link] = []
    for database in list(datasette.databases):
        if len(found) < MOST_IN_MENU:
            place = await _seen_by(datasette, actor, database)
            found += [] if place is None else [{"href": f"{place.base}/", "label": f"Store: {place.name}"}]
    return found


async def of_database(datasette: Any, actor: Any, database: str) -> list[Link]:
    """The link to the first page of a store."""
    place = await _seen_by(datasette, actor, database)
    if place is None:
        return []
    return [{"href": f"{place.base}/", "label": "Show as a store", "description": "Values, sizes, expiry and health"}]


async def of_row(datasette: Any, actor: Any, database: str, row: Any) -> list[Link]:
    """The link to the page of a record."""
    place = await _seen_by(datasette, actor, database)
    named = named_in(row)
    if place is None or named is None:
        return []
    url = Links(place.base).record(*named)
    return [{"href": str(url), "label": "Show as a record", "description": "Its value, seal, codec and disassembly"}]


async def _seen_by(datasette: Any, actor: Any, database: str) -> Place | None:
    place = await place_of(datasette, database)
    return place if place is not None and await may_see(datasette, actor, database) else None
