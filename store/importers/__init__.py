"""Importers: the records of other programs' files, copied into a store.

    from store import Store, importers

    with Store("app.db") as s:
        for record in importers.import_into(s, "shelve", "old_shelf", allow=["app.User"]):
            print(record.name, record.outcome, record.why)

On the command line: `store import shelve old_shelf app.db --allow app.User`.
"""

from __future__ import annotations

from typing import Any

from store.importers.contract import Found, Importer
from store.importers.kinds import importers

__all__ = ["Found", "Importer", "importers"]


def __getattr__(name: str) -> Any:
    """`import_into` and `Imported`, loaded when they are used."""
    if name not in ("import_into", "Imported"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from store.importers import run

    return getattr(run, name)
