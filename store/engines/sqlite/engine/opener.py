"""Opens the connections of one engine, and checks that each is to its file."""

from __future__ import annotations

import sqlite3

from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine import wal_index
from store.engines.sqlite.engine.database_file import DatabaseFile
from store.engines.sqlite.engine.thread_connection import ThreadConnection
from store.engines.sqlite.engine.usability import Usability, moved
from store.engines.sqlite.errors import NO_SUCH_TABLE, code_of
from store.engines.sqlite.opening.network import is_marked, other_mode
from store.engines.sqlite.opening.strategy import Opening
from store.errors import NotAStore
from store.system.rights import regroup

ID_BYTES = 16
SYNCHRONOUS = {"normal": "NORMAL", "full": "FULL"}


class Opener:
    """Opens connections as the strategy of the file says. They are closed by `DatabaseFile.leave`."""

    def __init__(self, opening: Opening, file: DatabaseFile, usability: Usability) -> None:
        self.store_id = b""
        """The id of the store, once a connection was opened."""
        self.durability = "full" if opening.strategy.syncs_commits else "normal"
        self._connect = opening.connect
        self._strategy = opening.strategy
        self._file = file
        self._usability = usability

    def open(self, connection: ThreadConnection) -> sqlite3.Connection:
        """Open a connection. Raises: StoreError: the engine is closed, or the file was replaced. sqlite3.Error."""
        self._usability.check()
        self._file.check_in_place()
        with wal_index.opening():
            self._file.join()
            conn = None
            try:
                conn = self._connect()
                self._check_identity(conn)
                connection.logged = conn.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
                self._check_journal(connection.logged)
                if connection.logged:
                    regroup(self._file.path, ("-wal", "-shm"))
                    self._file.opened()
                log = self._file.log_to_sync() if connection.logged and self.durability == "full" else None
                level = self.durability if log is None else "normal"  # then `Writer.sync` syncs it
                conn.execute(f"PRAGMA synchronous = {SYNCHRONOUS[level]}")
            except BaseException:
                self._file.leave(conn)
                raise
            connection.log = log
            connection.conn = conn  # set here, so that no other connection is taken for the last one
            return conn

    def close(self) -> None:
        """Open no more connections; the private copy of a reader is removed with the function that opens it."""
        self._connect = _nowhere

    def _check_journal(self, logged: bool) -> None:
        """Raises: StorageError: another program uses the file in the other mode."""
        expected = self._strategy.journal
        if expected is None:
            return
        if logged if expected != "WAL" else not logged and is_marked(self._file.path):
            raise other_mode(self._file.path, self._strategy)

    def _check_identity(self, conn: sqlite3.Connection) -> None:
        """Check the store's id: the system reuses the inode of a file that is not open any more."""
        path = self._file.path
        try:
            found: bytes = conn.execute(sql.STORE_ID).fetchone()[0]
        except (sqlite3.OperationalError, TypeError) as exc:
            if isinstance(exc, sqlite3.Error) and code_of(exc) != NO_SUCH_TABLE:
                raise
            raise NotAStore(
                f"{path} is marked as a store and lacks its tables ({exc}); restore a backup", path=path
            ) from exc
        if not isinstance(found, bytes) or len(found) != ID_BYTES:
            raise NotAStore(f"{path} is marked as a store and has no identity; restore a backup", path=path)
        self.store_id = self.store_id or found
        if found != self.store_id:
            raise moved(path, "replaced")


def _nowhere() -> sqlite3.Connection:
    raise AssertionError("a closed engine opens no connection")
