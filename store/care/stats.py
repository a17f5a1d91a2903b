"""`stats`: figures of a namespace and of its file; `totals_of`: those of the records of several namespaces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields

from store.opened.namespace import Namespace


@dataclass(frozen=True, slots=True)
class Totals:
    """Figures of the records of some namespaces; sizes are in bytes."""

    records: int
    bytes: int
    codecs: dict[str, int]
    protocols: dict[str, int]
    spill_files: int
    """Files of large values, beside the database; `spill_bytes` is their size, which `bytes` includes."""
    spill_bytes: int


@dataclass(frozen=True, slots=True)
class Stats(Totals):
    """Figures of one namespace and of its file; sizes are in bytes."""

    namespaces: int
    file_bytes: int
    wal_bytes: int
    wal_pinned_bytes: int | None
    """The part of the log that cannot be folded into the file, since a reader began before it was written.

    None on PostgreSQL, which does not tell it.
    """
    wal_pinned_by: int | None
    """The process of that reader, where the system knows it."""
    wal_pinned_seconds: float
    """On PostgreSQL, whose log is the table of changes: the age of the oldest transaction that keeps old rows there.

    `wal_pinned_by` is its session, which has written or reads from one snapshot. Until it ends, no row that was
    deleted or replaced since then is freed; and if it has written, changes that are newer than it are kept.
    """
    checkpoint_error: str | None
    purge_error: str | None
    """Why this `Store` could not delete expired records at its last attempt."""

    def _repr_html_(self) -> str:
        """The figures as a table, for notebooks."""
        from store.display.notebook import card, figures

        return card(type(self).__name__, figures({one.name: getattr(self, one.name) for one in fields(self)}))


def totals_of(ns: Namespace, namespaces: Iterable[str]) -> Totals:
    """The sums over namespaces of the store, with one or two questions to the engine for each.

    Raises: StorageError, StoreClosed.
    """
    now = ns.clock()
    ns.look(now)
    codecs: Counter[str] = Counter()
    protocols: Counter[str] = Counter()
    size = files = file_bytes = 0
    for namespace in namespaces:
        for total in ns.engine.totals(namespace, now):
            codecs[total.codec] += total.records
            protocols[f"{total.codec} {total.protocol}"] += total.records
            size, files, file_bytes = size + total.bytes, files + total.files, file_bytes + total.file_bytes
    return Totals(codecs.total(), size, dict(codecs), dict(protocols), files, file_bytes)


def stats(ns: Namespace) -> Stats:
    """See `Store.stats`."""
    totals, now = totals_of(ns, [ns.name]), ns.clock()
    usage = ns.engine.usage()
    return Stats(
        **{one.name: getattr(totals, one.name) for one in fields(Totals)},
        namespaces=len(ns.engine.namespaces(now)),
        file_bytes=usage.data_bytes,
        wal_bytes=usage.log_bytes,
        wal_pinned_bytes=usage.log_pinned_bytes,
        wal_pinned_by=usage.log_pinned_by,
        wal_pinned_seconds=usage.log_pinned_seconds,
        checkpoint_error=usage.log_error,
        purge_error=None if ns.purging.error is None else str(ns.purging.error),
    )
