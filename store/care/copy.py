"""`copy`: the records of a store, or of one namespace, in another store, as they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice

from store.care.inspect import verdict_of
from store.care.raw import load, transferred
from store.engines.contract import every_row
from store.errors import Corrupt, RecordError, StorageError, label
from store.opened.edits import Opened
from store.opened.namespace import Namespace
from store.opened.opening import open_namespace
from store.opened.options import Mode, Options
from store.rows import spilled
from store.rows.row import Row
from store.trust.keys.ring import KeySource

BATCH = 200  # records that are written in one transaction

Place = str | os.PathLike[str] | Opened


@dataclass(frozen=True, slots=True)
class Copied:
    """What `copy` did: records written, those that were there already, and those left out since they had expired."""

    records: int
    unchanged: int
    expired: int


def copy(source: Place, target: Place, *, namespace: str | None = None, key: KeySource = None) -> Copied:
    """Copies the records of a store into another one, all namespaces or one, without decoding them.

    Revision, times, expiry, codec and order stay; expired records are left out. What a key of yours sealed is sealed
    anew for the target; records of others and damaged ones are copied as they are, and stay that. A record of the
    same name in the target is replaced, unless it is the same; others there stay. Killed or repeated, it goes on with
    what is missing. Others may write to both meanwhile; a copy as of one moment is `Store.backup`.

    Args:
        source, target: an open `Store`, or a path or URL; a target that is not there is made.
        namespace: only this one; its name stays.
        key: as that of `Store`, for what is opened here.

    Raises:
        StoreNotFound: there is no source. ValueError: source and target are the same store. Corrupt: a record of the
            source has columns that hold something else; the others are copied first. StorageError: the target is in
            memory, and cannot hold a large value of somebody else.
    """
    with ExitStack() as stack:
        of = _opened(source, "r", key, stack)
        to = _opened(target, "c", key, stack)
        if (of.engine.id, of.location) == (to.engine.id, to.location):
            raise ValueError(f"source and target are the same store ({of.location}); copy into another one")
        of.sync()
        return _copy(of, to, namespace)


def _opened(place: Place, mode: Mode, key: KeySource, stack: ExitStack) -> Namespace:
    if not isinstance(place, str | bytes | os.PathLike) and isinstance(getattr(place, "opened", None), Namespace):
        place.opened.check_open()
        return place.opened
    ns = open_namespace(place, "", Options(mode=mode), key=key)  # type: ignore[arg-type]  # it checks what it is
    stack.callback(ns.close)
    return ns


def _copy(of: Namespace, to: Namespace, namespace: str | None) -> Copied:
    records = unchanged = expired = 0
    damaged: list[str] = []
    rows = _rows(of, namespace)
    while batch := list(islice(rows, BATCH)):
        with to.transaction() as transaction:
            for row in batch:
                if not row.has_column_types():
                    damaged.append(label(row.name, row.namespace))
                elif not _is_alive(of, row):
                    expired += 1
                elif _is_there(of, to, row):
                    unchanged += 1
                else:
                    _put(of, to, row)
                    if to.writeback is not None and row.namespace == to.name:
                        to.writeback.forget(row.name, transaction)
                    records += 1
    if damaged:
        raise Corrupt(
            f"{len(damaged)} records have columns that hold something else, and were left out: "
            f"{', '.join(damaged[:3])}; all others were copied"
        )
    return Copied(records, unchanged, expired)


def _rows(of: Namespace, namespace: str | None) -> Iterator[Row]:
    return (row for row in every_row(of.engine) if namespace is None or row.namespace == namespace)


def _is_alive(of: Namespace, row: Row) -> bool:
    try:
        return of.is_alive(row, of.clock())
    except RecordError:  # it only looks expired, perhaps
        return True


def _is_there(of: Namespace, to: Namespace, row: Row) -> bool:
    """Whether the target has the record in this very state, readable."""
    there = to.engine.get(row.namespace, (row.name,)).get(row.name)
    if there is None or there[3:7] != row[3:7] or there[11:] != row[11:]:
        return False
    if not _is_inlined(to, row) and (there.body, _checksums(to, there)) != (row.body, _checksums(of, row)):
        return False
    return there.seal == row.seal or verdict_of(to, there)[0] == "own"


def _checksums(ns: Namespace, row: Row) -> list[str]:
    """Those of its files, which have other names in another store."""
    if row.spill is None:
        return []
    try:
        parts = spilled.parts_of(row.spill, spilled.prefix_of(ns.engine.id, row.namespace, row.name))
    except Corrupt:
        return [row.spill]
    return [part.checksum for part in parts]


def _is_inlined(to: Namespace, row: Row) -> bool:
    """Whether it is large, and the target has no files."""
    return row.spill is not None and to.values.large is None


def _put(of: Namespace, to: Namespace, row: Row) -> None:
    if _is_inlined(to, row):
        new = _inline(of, to, row)
    else:
        new, _ = transferred(of, row, to)
    load(to, new)


def _inline(of: Namespace, to: Namespace, row: Row) -> Row:
    """The row with its large parts in it, for a store that has no files. Its value is decoded for that."""
    if verdict_of(of, row)[0] != "own":
        raise StorageError(
            f"{label(row.name, row.namespace)} is large and was sealed by somebody else, so it cannot be copied into "
            "memory; copy to a file"
        )
    value = of.values.unpacked(row)[0]
    codec = of.values.codec_of(row)
    new = to.values.pack(row.namespace, row.name, value, row.modified, row.expires, codec, row.protocol)
    return new._replace(revision=row.revision, created=row.created)
