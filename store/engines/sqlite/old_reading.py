"""The reading half of the SQLite backend, and what it makes of a damaged file: no answer rather than a wrong one.

No seal is checked where names are listed or counted, and an index can lead anywhere; so each answer is compared with
what was asked.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import gt, lt
from typing import Any, NamedTuple, TypeVar

from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine.coherence import SqliteCoherence
from store.engines.sqlite.engine.engine import Engine
from store.engines.sqlite.engine.fetching import (
    PAGE_ROWS,
    NotText,
    all_by_id,
    bad_index,
    fetch_all,
    fetch_one,
    take_page,
    until_repeated,
)
from store.engines.sqlite.engine.wal_readers import pinned
from store.engines.sqlite.opening.attach import Lease
from store.engines.sqlite.spill.files import header_of
from store.errors import Corrupt
from store.rows.row import Header, Identity, Row, Total
from store.rows.spilled import count_of, size_of
from store.system.file_status import reaching

Found = TypeVar("Found", Row, Header)


class SqliteUsage(NamedTuple):
    """Sizes on disk, in bytes, and why the last checkpoint failed, if it did."""

    file_bytes: int
    wal_bytes: int
    checkpoint_error: str | None
    wal_pinned_bytes: int
    wal_pinned_by: int | None


class SqliteReading:
    """What a `SqliteBackend` answers without changing anything."""

    def __init__(self, lease: Lease, location: str, *, read_only: bool, timeout: float) -> None:
        self.location = location
        self.read_only = read_only
        self._lease = lease
        self._engine: Engine = lease.engine
        self._timeout = timeout
        self.store_id = self._engine.identity(timeout)
        self.coherence: SqliteCoherence = self._engine.coherence

    def get(self, namespace: str, name: str, now: float) -> Row | None:
        row = self._engine.read(sql.GET, (namespace, name, now), fetch_one, now, self._timeout)
        return None if row is None else self._asked_for(Row._make(row), namespace, name)

    def find(self, namespace: str, name: str, now: float) -> Row | None:
        row = self._engine.read(sql.FIND, (namespace, name), fetch_one, now, self._timeout)
        if row is None:
            self._check_nowhere(namespace, name, now)
            return None
        return self._asked_for(Row._make(row), namespace, name)

    def find_many(self, namespace: str, names: Sequence[str], now: float) -> list[Row]:
        rows = list(map(Row._make, self._read_many(sql.FIND_MANY, (namespace,), names, now)))
        found = {row.name for row in self._all_named(self._all_in(namespace, rows), names)}
        for name in names:
            if name not in found:
                self._check_nowhere(namespace, name, now)
        return rows

    def exists(self, namespace: str, name: str, now: float) -> bool | None:
        row = self._one(sql.EXISTS, (now, namespace, name), now)
        if row is None:
            self._check_nowhere(namespace, name, now)
            return False
        return True if row[0] else None

    def count(self, namespace: str, now: float) -> int:
        count: int = self._one(sql.COUNT, (namespace, namespace, now), now)[0]
        if count < 0:  # more have expired than there are
            raise self._bad_index()
        return count

    def count_until(self, namespace: str, now: float) -> tuple[int, float]:
        count = self.count(namespace, now)  # before the look for an expiry: what comes in between changes the header
        until = self._one(sql.NEXT_EXPIRY, (namespace, now), now)[0]
        return count, math.inf if until is None else until

    def last(self, namespace: str, now: float) -> Row | None:
        row = self._one(sql.LAST, (namespace, now), now)
        return None if row is None else self._asked_for(Row._make(row), namespace)

    def last_id(self, namespace: str) -> int:
        return self._one(sql.LAST_ID, (namespace,), 0.0)[0] or 0

    def page(self, namespace: str, after: int, until: int, now: float, *, reverse: bool) -> list[Row]:
        statement = sql.PAGE_REVERSE if reverse else sql.PAGE
        rows = self._engine.read(statement, (namespace, after, until), take_page, now, self._timeout)
        if rows:
            self._moves_on(after < (rows[-1].id or 0) <= until)
            self._in_order([row.id for row in rows], reverse)
        return self._all_in(namespace, rows)

    def name_page(
        self, namespace: str, after: int, until: int, now: float, *, reverse: bool
    ) -> list[tuple[int, str | bytes]]:
        statement = sql.NAME_PAGE_REVERSE if reverse else sql.NAME_PAGE
        rows = self._all(statement, (now, namespace, now, after, until, PAGE_ROWS), now)
        if rows:
            self._moves_on(after < rows[-1][0] <= until)
            self._in_order([row[0] for row in rows], reverse)
        return [(id_, name if type(name) is NotText else self._indexed(name, is_so)) for id_, name, is_so in rows]

    def all_rows(self, namespace: str, now: float) -> list[Row]:
        values = namespace, 0, sql.LARGEST_ID
        rows = self._engine.read(sql.PAGE, values, all_by_id(self.location, 0), now, self._timeout)
        return self._all_in(namespace, list(map(Row._make, rows)))

    def every_row(self) -> Iterator[Row]:
        after, until = 0, self._one(sql.LAST_ID_OF_ALL, (), 0.0)[0] or 0
        while page := self._engine.read(sql.EVERY, (after, until), take_page, 0.0, self._timeout):
            for row in page:
                self._moves_on(after < (row.id or 0) <= until)
                after = row.id or 0
                yield row

    def damage(self, *, quick: bool) -> list[str]:
        with reaching(self.location):
            from store.engines.sqlite.care.check import damage

        return damage(self._engine, self._timeout, quick=quick)

    def unread_commits(self) -> int:
        with reaching(self.location):
            from store.engines.sqlite.care.check import unread_commits

        return unread_commits(self._engine)

    def listed(self) -> Iterator[tuple[Any, Any, Any]]:
        found, ends = self._engine.read(sql.NAMES_BY_INDEX, (), until_repeated, 0.0, self._timeout)
        yield from found
        self._moves_on(ends)

    def row(self, id_: int) -> Row | None:
        row = self._one(sql.BY_ID, (id_,), 0.0)
        return None if row is None else Row._make(row)

    def names(
        self, namespace: str, prefix: str, after: str | None, limit: int, now: float, *, reverse: bool
    ) -> list[str]:
        found: list[str] = []
        place: str | bytes | None = after
        while True:
            left = limit - len(found) if limit >= 0 else limit
            rows = self._name_rows(namespace, prefix, place, left, now, reverse=reverse)
            found += [self._indexed(name, is_so) for name, is_so in rows if type(name) is not NotText]
            if limit < 0 or len(found) == limit or len(rows) < left:
                return found
            place = rows[-1][0]  # some were no text: nothing could be asked for by such a name

    def _name_rows(
        self, namespace: str, prefix: str, after: str | bytes | None, limit: int, now: float, *, reverse: bool
    ) -> list[Any]:
        lower, upper = (sql.bytes_bounds if isinstance(after, bytes) else sql.bounds)(prefix, after, reverse)  # type: ignore[arg-type]
        ends = (lower,) if upper is None else (lower, upper)
        rows = self._all(sql.NAMES[upper is not None, reverse], (now, namespace, now, *ends, limit), now)
        places = [sql.as_bytes(name) for name, _ in rows if isinstance(name, str | bytes)]
        self._in_order(places if after is None else [sql.as_bytes(after), *places], reverse)
        return rows

    def header(self, namespace: str, name: str, now: float) -> Header | None:
        row = self._one(sql.HEADER, (namespace, name, now), max(now, 0.0))  # -inf is no time to look at the file
        return None if row is None else self._asked_for(header_of(row), namespace, name)

    def headers(self, namespace: str, names: Sequence[str], now: float) -> list[Header]:
        rows = self._read_many(sql.HEADERS, (namespace, now), names, now)
        return self._all_named(list(map(header_of, rows)), names)

    def identity(self, namespace: str, name: str, now: float) -> Identity | None:
        row = self._one(sql.IDENTITY, (namespace, name, now), now)
        if row is None:
            return None
        identity = Identity._make(row)
        if not identity.has_types():
            raise Corrupt("its metadata is damaged; restore the store from a backup").about(name, namespace)
        return identity

    def namespaces(self, now: float) -> list[str]:
        found = (namespace for (namespace,) in self._all(sql.NAMESPACES, (now,), now))
        # What is no text is left out: nobody can have opened such a namespace.
        return [self._text(namespace) for namespace in found if type(namespace) is not NotText]

    def sealers(self) -> set[bytes]:
        found = {key_id for (key_id,) in self._all(sql.SEALERS, (sql.MOST_SEALERS,), 0.0)}
        self._engine.known_sealers |= found
        return found

    def count_by_key(self) -> dict[bytes, int]:
        return {key_id: count for key_id, count in self._all(sql.COUNT_BY_KEY, (), 0.0) if isinstance(key_id, bytes)}

    def row_count(self) -> int:
        count: int = self._one(sql.ROW_COUNT, (), 0.0)[0]
        return count

    def totals(self, namespace: str, now: float) -> Iterable[Total]:
        files: Counter[Any] = Counter()  # by codec and protocol
        sizes: Counter[Any] = Counter()
        totals = []
        statements = [(statement, (namespace, now)) for statement in (sql.TOTALS_SPILLED, sql.TOTALS)]
        for named, protocol, *figures in self._engine.read_together(statements, now, self._timeout):
            codec = named.decode("utf-8", "backslashreplace") if type(named) is NotText else named
            if len(figures) == 1:
                files[codec, protocol] += count_of(figures[0])
                sizes[codec, protocol] += size_of(figures[0])
                continue
            if tuple(map(type, (codec, protocol, *figures))) != (str, int, int, int):
                raise self._damaged((codec, protocol, *figures), "codec, protocol and size of records")
            records, size = figures
            beside = sizes[codec, protocol]
            totals.append(Total(codec, protocol, records, size + beside, files[codec, protocol], beside))
        return totals

    def expired(self, namespace: str, after: tuple[float, int] | None, now: float, limit: int) -> list[Row]:
        position = (-math.inf, -sql.LARGEST_ID) if after is None else after
        rows = self._engine.read(sql.EXPIRED, (namespace, now, *position, limit), take_page, now, self._timeout)
        self._in_order([position, *((row.expires, row.id) for row in rows)], False)
        return self._all_in(namespace, rows)

    def expiring(self, after: str | None, now: float, limit: int) -> list[tuple[str, bool]]:
        found: list[tuple[str, bool]] = []
        place: str | bytes | None = after
        while True:
            statement, values = (sql.FIRST_EXPIRING, ()) if place is None else (sql.NEXT_EXPIRING, (place,))
            left = limit - len(found)
            rows = self._all(statement, (*values, left, now), 0.0)
            found += [(self._text(name), bool(has)) for name, has in rows if type(name) is not NotText]
            passed = [] if place is None else [sql.as_bytes(place)]
            self._in_order([*passed, *(sql.as_bytes(name) for name, _ in rows)], False)
            if len(found) == limit or len(rows) < left:
                return found
            place = rows[-1][0]  # some were no text: nobody can have opened such a namespace

    def usage(self) -> SqliteUsage:
        engine = self._engine
        error = engine.checkpoints.error
        pinned_bytes, process = pinned(engine.path) if engine.coherence.index() is not None else (0, None)
        return SqliteUsage(
            file_bytes=engine.file_bytes(),
            wal_bytes=engine.checkpoints.log_bytes(),
            checkpoint_error=None if error is None else str(error),
            wal_pinned_bytes=pinned_bytes,
            wal_pinned_by=process,
        )

    # -- whether that is what was asked

    def _text(self, found: Any) -> str:
        """What a column of text held: anything, where somebody rewrote the schema by hand."""
        if isinstance(found, str):
            return found
        raise self._damaged(found, "a name")

    def _indexed(self, name: Any, is_so: Any) -> str:
        """A name on which table and index agree: no seal is checked where names are listed."""
        if is_so:
            return self._text(name)
        raise self._bad_index()

    def _damaged(self, found: Any, what: str) -> Corrupt:
        return Corrupt(f"{self.location} is damaged: {found!r:.80} stands where {what} should; restore a backup")

    def _moves_on(self, moves: bool) -> None:
        """A page ends past its beginning, or whoever asks for page after page never comes to an end."""
        if not moves:
            raise self._bad_index()

    def _in_order(self, ids: list[Any], reverse: bool) -> None:
        """No record comes twice, nor out of its place, as a damaged index has them."""
        if not all(map(gt if reverse else lt, ids, ids[1:])):
            raise self._bad_index()

    def _asked_for(self, found: Found, namespace: str, name: str | None = None) -> Found:
        """What was found is what was looked for: by a damaged or planted index it can be any row of the table."""
        if found.namespace != namespace or (name is not None and found.name != name):
            raise self._bad_index()
        return found

    def _all_in(self, namespace: str, rows: list[Row]) -> list[Row]:
        for row in rows:
            if row.namespace != namespace:
                raise self._bad_index()
        return rows

    def _check_nowhere(self, namespace: str, name: str, now: float) -> None:
        """A name that was not found is not there. The table is searched only where the index is damaged."""
        if 0 in self._one(sql.NEIGHBOURS, (namespace, name, namespace, name), now) and self._one(
            sql.IS_IN_TABLE, (namespace, name), now
        ):
            raise self._bad_index()

    def _all_named(self, found: list[Found], names: Sequence[str]) -> list[Found]:
        asked = set(names)
        if any(one.name not in asked for one in found):
            raise self._bad_index()
        return found

    def _bad_index(self) -> Corrupt:
        return bad_index(self.location)

    # -- asking

    def _one(self, statement: str, values: Sequence[Any], now: float) -> Any:
        return self._engine.read(statement, values, fetch_one, now, self._timeout)

    def _all(self, statement: str, values: Sequence[Any], now: float) -> list[Any]:
        return self._engine.read(statement, values, fetch_all, now, self._timeout)

    def _read_many(self, statement: str, first: Sequence[Any], names: Sequence[str], now: float) -> list[Any]:
        """One statement for each MANY names, which come after the `first` values; several of them in one snapshot."""
        parts = [names[start : start + sql.MANY] for start in range(0, len(names), sql.MANY)]
        statements = [(statement.format(", ".join("?" * len(part))), part) for part in parts]
        return self._engine.read_together([(text, (*first, *part)) for text, part in statements], now, self._timeout)
