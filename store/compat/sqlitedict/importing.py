"""The tables of a file that the library sqlitedict wrote, copied into the namespaces that `SqliteDict` reads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from store.compat.sqlitedict import tables
from store.importers.formats.sqlitedict import tables_at
from store.importers.run import Imported, import_into
from store.mapping.store import Store


def import_tables(
    store: Store[Any], path: str | os.PathLike[str], *, dry_run: bool = False, **how: Any
) -> Iterator[Imported]:
    """Copies each table into its namespace, empty ones too; one result for each record, named `table:name`.

    `how` is as for `import_into`, which does it; so are the errors.
    """
    path = os.path.abspath(os.fsdecode(path))
    for table in tables_at(path):
        name = tables.found(store, table) or table
        if not dry_run:
            tables.add(store, name)
        with store.within(tables.namespace_of(name)) as into:
            for result in import_into(into, "sqlitedict", path, table=table, dry_run=dry_run, **how):
                yield replace(result, name=f"{table}:{result.name}")
