"""Care of what is stored: expiry, namespaces, and figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from store.errors import Untrusted, label
from store.handle import Handle, check_name, check_ttl
from store.record import Record
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
            if sealer.check(row) is not Verdict.OWN:
                raise Untrusted(
                    f"{label(name, self._namespace)} was not sealed with a key of yours, so its lifetime is not "
                    "yours to change; assign the value again to make the record yours",
                    name=name,
                    namespace=self._namespace,
                )
            now = self._clock()
            expires = None if ttl is None else now + ttl
            self._store(sealer.seal(row._replace(expires=expires, modified=now)))
            if self._writeback is not None:
                self._writeback.keep_until(name, expires, transaction)
            header = self._backend.header(self._namespace, name, now)
        assert header is not None
        return Record.from_header(header)

    def purge(self) -> int:
        """Deletes what has expired in this namespace; how many records that were."""
        return self._backend.purge(self._namespace, self._clock())

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
            size += bytes_ or 0  # NULL where the file is damaged
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
