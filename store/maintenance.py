"""Care of what is stored: expiry, namespaces, and figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from store.errors import RecordError, Untrusted, label
from store.handle import Handle, check_name, check_ttl
from store.record import Record, Row
from store.trust.seal import Verdict

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Stats:
    """Figures of one namespace and of its file; sizes are in bytes."""

    records: int
    bytes: int
    codecs: dict[str, int]
    protocols: dict[str, int]
    namespaces: int
    file_bytes: int
    wal_bytes: int
    checkpoint_error: str | None


class Maintenance(Handle[V]):
    """The part of `Store` that looks after what is there."""

    def touch(self, name: str, ttl: float | None) -> Record:
        """Gives a record a new lifetime, in seconds from now (None: for ever); returns it.

        The value is not decoded: its bytes are checked and sealed anew with the new expiry.

        Raises:
            KeyError: no such record. Untrusted: it was not sealed by a key of ours, and nothing else is.
        """
        name = check_name(name)
        ttl = check_ttl(ttl)
        with self._backend.transaction() as transaction:
            row = self._find(name)
            if row is None:
                raise KeyError(name)
            sealer = self._pipeline.sealer
            try:
                verdict = sealer.check(row)
            except RecordError as exc:
                raise exc.about(name, self._namespace) from None
            if verdict is not Verdict.OWN:
                raise Untrusted(
                    f"{label(name, self._namespace)} was not sealed with a key of yours, so its lifetime is not "
                    "yours to change; assign the value again to make the record yours",
                    name=name,
                    namespace=self._namespace,
                )
            now = self._clock()
            expires = None if ttl is None else now + ttl
            self._store(self._pipeline.reseal(row._replace(expires=expires, modified=now)))
            if self._writeback is not None:
                self._writeback.keep_until(name, expires, transaction)
            header = self._backend.header(self._namespace, name, now)
        assert header is not None
        return Record.from_header(header)

    def purge(self) -> int:
        """Deletes the expired records of this namespace that a key of yours sealed; how many those were.

        Anybody who can write the file can make a record of yours look expired: one whose seal does not hold stays,
        and `verify` names it. Those of other keys stay as well; no one here can tell when they were to expire.
        """
        now, deleted = self._clock(), 0
        last: Row | None = None
        while True:
            with self._backend.transaction():  # for each page, so that other writers get their turn
                rows = self._backend.expired(self._namespace, last, now)
                if not rows:
                    return deleted
                own = [row for row in rows if self._is_own(row)]
                self._backend.delete_rows(own)
            deleted += len(own)
            last = rows[-1]

    def _is_own(self, row: Row) -> bool:
        try:
            return self._pipeline.sealer.check(row) is Verdict.OWN
        except RecordError:
            return False

    def namespaces(self) -> list[str]:
        """The namespaces of the file that have records, in order."""
        return self._backend.namespaces(self._clock())

    def stats(self) -> Stats:
        """Counts and sizes of this namespace, and of the file."""
        now = self._clock()
        codecs: dict[str, int] = {}
        protocols: dict[str, int] = {}
        size = 0
        for codec, protocol, records, bytes_ in self._backend.totals(self._namespace, now):
            codecs[codec] = codecs.get(codec, 0) + records
            protocols[f"{codec} {protocol}"] = records
            size += bytes_
        usage = self._backend.usage()
        return Stats(
            records=sum(codecs.values()),
            bytes=size,
            codecs=codecs,
            protocols=protocols,
            namespaces=len(self._backend.namespaces(now)),
            file_bytes=usage.file_bytes,
            wal_bytes=usage.wal_bytes,
            checkpoint_error=usage.checkpoint_error,
        )
