"""`upgrade`: re-encodes records whose codec, protocol, class versions or names are out of date.

In batches, a transaction each: killed at any moment, each record is old or new, and rerunning resumes. Only records
that a key of ours sealed are decoded and sealed again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any

from store.care.inspect import described, verdict_of
from store.classes.shown import message_of
from store.classes.versions import upgrades
from store.codecs import CodecChoice
from store.engines.capabilities import Transaction
from store.engines.contract import every_row
from store.errors import CodecUnavailable, NotSerializable, RecordError, StoreError, label
from store.opened.namespace import Namespace
from store.rows.row import Row, has_expired

BATCH = 100  # records that are re-encoded as one transaction, while other writers wait


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The result for one record.

    `outcome` is "upgraded", "current" (nothing to do), "left" (sealed by no key of ours, or its seal does not hold)
    or "failed" (it stays as it was); `why` says what changed, or what prevented it.
    """

    namespace: str
    name: str
    outcome: str
    why: str


def upgrade(
    ns: Namespace,
    *,
    codec: CodecChoice | None = None,
    protocol: int | None = None,
    namespace: str | None = None,
    dry_run: bool = False,
    batch: int = BATCH,
) -> Iterator[Upgraded]:
    """Re-encodes the records of the file, or of one namespace, as the results are read; one for each record.

    Expiry stays; the revision goes up. Names follow the `renames=` that the store was opened with, and versions those
    of the classes that `store.versioned` decorates.

    Args:
        codec: the new codec; None: each record keeps its own.
        protocol: the codec's protocol; None: its default, or the one a record has where that is higher.
        dry_run: write nothing; report what would be done.
        batch: records that are one transaction.

    Raises:
        TypeError, ValueError: there is no such codec or protocol. ReadOnly, StorageError: as any write.
    """
    work = _Upgrade(ns, codec, protocol)
    found = ((row.namespace, row.name) for row in every_row(ns.engine) if namespace in (None, row.namespace))
    while names := list(islice(found, batch)):
        with work.begin(dry_run):
            done = [result for where in names if (result := work.upgraded(*where, dry_run=dry_run)) is not None]
        yield from done


class _Upgrade:
    """One run over a store."""

    _transaction: Transaction

    def __init__(self, ns: Namespace, codec: CodecChoice | None, protocol: int | None) -> None:
        self._ns = ns
        self._pipeline = ns.values
        self._codec, self._protocol = codec, protocol
        if codec is not None:
            self._pipeline.choice(None, codec, protocol)  # a wrong argument raises at once

    def begin(self, dry_run: bool) -> AbstractContextManager[Any]:
        """The transaction of a batch."""
        if dry_run:
            return nullcontext()
        self._transaction = self._ns.transaction()
        return self._transaction

    def upgraded(self, namespace: str, name: str, *, dry_run: bool) -> Upgraded | None:
        """The result for a record; None if it was deleted meanwhile."""
        row = self._ns.engine.get(namespace, (name,)).get(name)
        if row is None or has_expired(row, self._ns.clock()):
            return None
        verdict, problem = verdict_of(self._ns, row)
        if verdict != "own":
            return Upgraded(namespace, name, "left", problem or "it was not sealed with a key of yours")
        try:
            why, new = self._renewed(row)
        except (RecordError, CodecUnavailable) as exc:
            return Upgraded(namespace, name, "failed", str(exc))
        except MemoryError:
            return Upgraded(namespace, name, "failed", f"{label(name, namespace)}: there is not enough memory for it")
        if new is None:
            return Upgraded(namespace, name, "current", "")
        if dry_run:
            self._pipeline.discard(new)
        else:
            self._write(new)
        return Upgraded(namespace, name, "upgraded", why)

    def _renewed(self, row: Row) -> tuple[str, Row | None]:
        """What changes, and the row to write; None if nothing does."""
        with upgrades() as changes:
            value = self._pipeline.unpack(row)
        changes += self._renamed(row)
        codec, protocol = self._target(value, row)
        if (codec, protocol) != (row.codec, row.protocol):
            changes.insert(0, f"{row.codec} {row.protocol} → {codec} {protocol}")
        if not changes:
            return "", None
        new = self._packed(row, value, codec, protocol)
        try:
            self._pipeline.unpack(new)  # a row that cannot be read back must not replace one that can
        except BaseException:
            self._pipeline.discard(new)
            raise
        return ", ".join(dict.fromkeys(changes)), new

    def _packed(self, row: Row, value: Any, codec: str, protocol: int) -> Row:
        """The value as a row of that codec. Raises: NotSerializable: also for other exceptions of a codec."""
        try:
            return self._pipeline.pack(
                row.namespace, row.name, value, self._ns.clock(), row.expires, codec, protocol
            )  # fmt: skip
        except (StoreError, MemoryError, OSError):
            raise
        except Exception as exc:
            why = f"the codec {codec!r} failed to encode it ({type(exc).__name__}: {message_of(exc)})"
            raise NotSerializable(why).about(row.name, row.namespace) from exc

    def _target(self, value: Any, row: Row) -> tuple[str, int]:
        chosen, protocol = self._pipeline.choice(value, self._codec or row.codec, self._protocol)
        if self._protocol is None and chosen.name == row.codec:
            protocol = max(protocol, row.protocol)
        return chosen.name, protocol

    def _renamed(self, row: Row) -> list[str]:
        """The renames that apply to a row, for the report."""
        lookup = self._pipeline.lookup
        if lookup.is_plain:
            return []
        names, _, _ = described(self._ns, row)
        moved = [(name, lookup.renamed(*name.rpartition(".")[::2])) for name in names]
        return [f"{old} → {new}" for old, new in moved if new is not None]

    def _write(self, row: Row) -> None:
        self._ns.put(row)
        writeback = self._ns.writeback
        if writeback is not None and row.namespace == self._ns.name:
            writeback.forget(row.name, self._transaction)
