"""Shelves of the standard library: dbm files whose values are pickles.

The module `shelve` is not used to read them: it would run their code.
"""

from __future__ import annotations

from collections.abc import Generator

from store.importers.contract import Found
from store.importers.dbm import form_of, records


class ShelveImporter:
    """Reads the files of `shelve.open`; `path` is the name that was given to it."""

    name = "shelve"

    def recognises(self, path: str) -> bool:
        return form_of(path) is not None

    def read(self, path: str, *, table: str | None = None) -> Generator[Found]:
        return records(path, "pickle")


importer = ShelveImporter()
