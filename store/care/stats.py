"""`stats`: figures of a namespace and of its file."""

from __future__ import annotations

from dataclasses import dataclass, fields

from store.opened.namespace import Namespace


@dataclass(frozen=True, slots=True)
class Stats:
    """Figures of one namespace and of its file; sizes are in bytes."""

    records: int
    bytes: int
    codecs: dict[str, int]
    protocols: dict[str, int]
    spill_files: int
    """Files of large values, beside the database; `spill_bytes` is their size, which `bytes` includes."""
    spill_bytes: int
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


def stats(ns: Namespace) -> Stats:
    """See `Store.stats`."""
    now = ns.clock()
    ns.look(now)
    codecs: dict[str, int] = {}
    protocols: dict[str, int] = {}
    totals = list(ns.engine.totals(ns.name, now))
    for total in totals:
        codecs[total.codec] = codecs.get(total.codec, 0) + total.records
        protocols[f"{total.codec} {total.protocol}"] = total.records
    usage = ns.engine.usage()
    return Stats(
        records=sum(codecs.values()),
        bytes=sum(total.bytes for total in totals),
        codecs=codecs,
        protocols=protocols,
        spill_files=sum(total.files for total in totals),
        spill_bytes=sum(total.file_bytes for total in totals),
        namespaces=len(ns.engine.namespaces(now)),
        file_bytes=usage.data_bytes,
        wal_bytes=usage.log_bytes,
        wal_pinned_bytes=usage.log_pinned_bytes,
        wal_pinned_by=usage.log_pinned_by,
        wal_pinned_seconds=usage.log_pinned_seconds,
        checkpoint_error=usage.log_error,
        purge_error=None if ns.purging.error is None else str(ns.purging.error),
    )
