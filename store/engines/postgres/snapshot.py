"""All records of a database as of one moment, for maintenance: a read-only transaction on its own connection."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from store.engines.contract import Fields
from store.engines.postgres import parts as chunked
from store.engines.postgres.care_statements import CareStatements
from store.engines.postgres.connection import Connection
from store.engines.postgres.errors import DRIVER_ERRORS, translated
from store.engines.postgres.handle import Handle
from store.engines.postgres.part_statements import PartStatements
from store.rows.row import Row
from store.rows.spilled import Part

PAGE_ROWS = 32  # read at once; a body in a row is up to `spill_bytes`
LAST_ID = 2**63 - 1


class Snapshot:
    """A context manager; it blocks no writer. For use by one thread."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._statements = CareStatements(handle.sessions.location, handle.sessions.same)
        self._parts = PartStatements(handle.sessions.location, handle.sessions.same)
        self._conn: Connection | None = None

    def __enter__(self) -> Snapshot:
        handle = self._handle
        try:
            self._conn = handle.sessions.take(handle.timeout)
            self._conn.together((self._statements.begin_snapshot, ()))
        except DRIVER_ERRORS as exc:
            self._give_back()
            raise translated(exc, handle.location, handle.sessions.role) from exc
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()
        if isinstance(error, DRIVER_ERRORS):
            raise translated(error, self._handle.location, self._handle.sessions.role) from error

    def _give_back(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            try:
                conn.execute("ROLLBACK")
            except DRIVER_ERRORS:
                conn.close()
            finally:
                self._handle.sessions.put_back(conn)

    @property
    def conn(self) -> Connection:
        assert self._conn is not None, "it was not entered"
        return self._conn

    def size(self) -> int:
        """The bytes of all bodies and parts."""
        bodies, parts = self.conn.execute(self._statements.sizes).fetchone() or (0, 0)
        return int(bodies + parts)

    def rows(self) -> Iterator[Row]:
        """All rows, in order of insertion."""
        statement = self._handle.sessions.statements.every_page[Fields.ROW, False]
        last, page = 0, [()]
        while page:
            page = self.conn.execute(statement, (last, LAST_ID, PAGE_ROWS), binary=True).fetchall()
            for values in page:
                row = Row._make(values)
                last = row.id or 0
                yield row

    def chunks(self, part: Part) -> Iterator[bytes]:
        """The content of a part, checked chunk by chunk and at its end. Raises: Corrupt."""
        return chunked.chunks(self.conn, self._parts, part)

    def listed(self, *, by_index: bool) -> list[tuple[int, str, str]]:
        """Id, namespace and name of every record, along the index of names or along the table."""
        statements = self._statements
        ways, statement = (
            (statements.only_index, statements.by_index) if by_index else (statements.only_table, statements.by_table)
        )
        for way in ways:
            self.conn.execute(way)
        return self.conn.execute(statement, binary=True).fetchall()
