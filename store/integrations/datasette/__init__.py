"""A plugin for Datasette 0.65 and 1.0, which shows the values of a store in place of its bytes.

`pip install '.[datasette]'` and `datasette app.db` are enough: Datasette finds it by its entry point. Each function
here is one of Datasette's hooks (https://docs.datasette.io/en/stable/plugin_hooks.html), which names the arguments.
"""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from datasette import hookimpl

from store.integrations.datasette import actions, cells, pages
from store.integrations.datasette.configuration import check_configuration
from store.integrations.datasette.databases import shares_library, stores_of
from store.integrations.datasette.responses import Application

Later = Callable[[], Awaitable[Any]]
"""What Datasette calls, and awaits, if it needs the result: it drops those of other plugins than the first."""

PYSQLITE3 = (
    "Datasette uses pysqlite3 here, and stores are opened with Python's own SQLite; two of them in one process undo "
    "each other's locks, so that stores are shown as other databases are. Uninstall pysqlite3 to see their values"
)


@hookimpl
def startup(datasette: Any) -> Later:
    """Refuses a configuration that is wrong, before the server starts."""
    if not shares_library():
        warnings.warn(PYSQLITE3, stacklevel=2)
    return partial(check_configuration, datasette)


@hookimpl
def asgi_wrapper(datasette: Any) -> Callable[[Any], Application]:
    """Gives each response its own limit of time, and closes the stores with the server."""
    return partial(Application, stores_of(datasette))


@hookimpl(optionalhook=True)
def shutdown(datasette: Any) -> None:
    """Closes the stores; only Datasette 1.0 calls it."""
    stores_of(datasette).close()


@hookimpl
def render_cell(row: Any, value: Any, column: str, table: str | None, database: str, datasette: Any) -> Later | None:
    """A value in place of the bytes of `body`, and times in place of numbers, in the table `records` of a store."""
    if not cells.is_ours(table, column):
        return None
    return partial(cells.cell, datasette, database, row, column, value)


@hookimpl
def extra_css_urls(database: str | None, table: str | None, datasette: Any) -> Later | list[str]:
    """The style sheet of these cells."""
    return partial(cells.style_sheets, datasette, database) if cells.is_records(table) else []


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Awaitable[Any]]]]:
    """The pages of each store, below `/-/store/DATABASE/`."""
    return pages.ROUTES


@hookimpl
def menu_links(datasette: Any, actor: Any) -> Later:
    """The first page of each store, in the menu of every page."""
    return partial(actions.of_all, datasette, actor)


@hookimpl
def database_actions(datasette: Any, actor: Any, database: str) -> Later:
    """The first page of the store, in the menu of a database."""
    return partial(actions.of_database, datasette, actor, database)


@hookimpl
def table_actions(datasette: Any, actor: Any, database: str, table: str) -> Later | None:
    """The same, in the menu of the table `records`."""
    return partial(actions.of_database, datasette, actor, database) if cells.is_records(table) else None


@hookimpl(optionalhook=True)
def row_actions(datasette: Any, actor: Any, database: str, table: str, row: Any) -> Later | None:
    """The page of the record, in the menu of its row; Datasette 1.0 has that menu."""
    return partial(actions.of_row, datasette, actor, database, row) if cells.is_records(table) else None
