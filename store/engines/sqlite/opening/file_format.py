"""SQLite's files for code that has no handle on a store: is it a store, and what may lie beside it."""

from __future__ import annotations

from store.engines.sqlite.opening import attach, companions, private_copy
from store.engines.sqlite.schema import APPLICATION_ID

_APPLICATION_ID = slice(68, 72)  # of SQLite's file header: https://sqlite.org/fileformat2.html#the_database_header


class SqliteFiles:
    """The contract `FileFormat`."""

    is_store = staticmethod(attach.is_store)
    copy_file = staticmethod(private_copy.copy_file)

    def bears_mark(self, header: bytes) -> bool:
        return int.from_bytes(header[_APPLICATION_ID], "big") == APPLICATION_ID

    def check_companions(self, path: str) -> None:
        companions.check_logs(path, writes=False)

    def are_companions_safe(self, path: str) -> bool:
        return not companions.is_exposed(path)


file_format = SqliteFiles()
