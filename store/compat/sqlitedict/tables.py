"""The tables of a file: each is a namespace, "unnamed" that of the empty name, as `Store(path)` opens it.

A table may be empty, and a namespace is not there then. So a namespace of its own lists the tables that were opened.
Namespaces that it does not list, as `Store` and the command `store import` make them, are tables too.
"""

from __future__ import annotations

from typing import Any

from store.mapping.store import Store

UNNAMED = "unnamed"
LIST = "sqlitedict#tables"
"""The namespace that lists the tables; on disk, never to change."""


def namespace_of(table: str) -> str:
    """Raises: TypeError: it is not text. ValueError: the table is the list of tables."""
    if not isinstance(table, str):
        raise TypeError(f"a table's name is a str, not {type(table).__name__}: {table!r:.80}")
    if table == LIST:
        raise ValueError(f"{LIST!r} is the list of the tables of a file; give the table another name")
    return "" if table == UNNAMED else table


def table_of(namespace: str) -> str:
    return namespace or UNNAMED


def tables_in(store: Store[Any]) -> list[str]:
    """The tables of the file, in the order in which they were made; those that `Store` made come last."""
    with store.within(LIST) as listed:
        others = [table_of(namespace) for namespace in store.namespaces() if namespace != LIST]
        return list(dict.fromkeys([*listed, *others]))


def found(store: Store[Any], table: str) -> str | None:
    """The table of that name in the spelling it was made with, since SQLite takes `Users` for `users`; or None."""
    with store.within(LIST) as listed:
        if table in listed:
            return table
    there = tables_in(store)
    if table in there:
        return table
    folded = table.encode().lower()  # bytes: the letters of ASCII alone, as in SQLite
    return next((each for each in there if each.encode().lower() == folded), None)


def add(store: Store[Any], table: str) -> None:
    """Lists a table; one that is listed keeps its place."""
    with store.within(LIST) as listed:
        listed.add(table, None)


def drop_all(store: Store[Any]) -> None:
    """Deletes the records of all namespaces of the file."""
    namespaces = [store.within(namespace) for namespace in store.namespaces()]
    try:
        with store.transaction(*namespaces):
            for each in namespaces:
                each.clear()
    finally:
        for each in namespaces:
            each.close()
