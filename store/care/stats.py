"""`stats`: figures of a namespace and of its file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from store.opened.handle import Handle


@dataclass(frozen=True, slots=True)
class Stats:
    """Figures of one namespace and of its file; sizes are in bytes."""

    records: int
    bytes: int
    codecs: dict[str, int]
    protocols: dict[str, int]
    spill_files: int
    """Files of large values, beside the database; `spill_bytes` is their size, which `bytes` has too."""
    spill_bytes: int
    namespaces: int
    file_bytes: int
    wal_bytes: int
    wal_pinned_bytes: int
    """What of the log a reader, which began before it was written, keeps from being folded into the file."""
    wal_pinned_by: int | None
    """Its process, where the system knows it."""
    checkpoint_error: str | None
    purge_error: str | None
    """Why this `Store` could not delete what has expired, the last time that one of its writes saw to it."""


def stats(store: Handle[Any]) -> Stats:
    """See `Store.stats`."""
    now = store._clock()
    codecs: dict[str, int] = {}
    protocols: dict[str, int] = {}
    totals = list(store._backend.totals(store._namespace, now))
    for total in totals:
        codecs[total.codec] = codecs.get(total.codec, 0) + total.records
        protocols[f"{total.codec} {total.protocol}"] = total.records
    usage = store._backend.usage()
    return Stats(
        records=sum(codecs.values()),
        bytes=sum(total.bytes for total in totals),
        codecs=codecs,
        protocols=protocols,
        spill_files=sum(total.files for total in totals),
        spill_bytes=sum(total.file_bytes for total in totals),
        namespaces=len(store._backend.namespaces(now)),
        file_bytes=usage.file_bytes,
        wal_bytes=usage.wal_bytes,
        wal_pinned_bytes=usage.wal_pinned_bytes,
        wal_pinned_by=usage.wal_pinned_by,
        checkpoint_error=usage.checkpoint_error,
        purge_error=None if store._purging.error is None else str(store._purging.error),
    )
