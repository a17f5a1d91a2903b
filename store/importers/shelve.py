"""Shelves of the standard library: dbm files whose values are pickles.

The module `shelve` is not used to read them: it would run what they hold.
"""

from __future__ import annotations

from collections.abc import Generator

from store.importers import Found
from store.importers.dbm import form_of, pairs
from store.importers.names import as_text


class ShelveImporter:
    """Reads what `shelve.open` wrote; `path` is the name that it was given."""

    name = "shelve"

    def recognises(self, path: str) -> bool:
        return form_of(path) is not None

    def read(self, path: str, *, table: str | None = None) -> Generator[Found, None, None]:
        for key, value, problem in pairs(path):
            yield Found(as_text(key), value, codec="pickle", problem=problem)


importer = ShelveImporter()
