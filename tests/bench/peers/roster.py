"""Everybody who takes part, in the order of the tables."""

from __future__ import annotations

from . import Kind, cachelib, diskcache, lmdb, loads, raw, rocksdict, shelve, sqlitedict, store, zodb

EVERYBODY: tuple[Kind, ...] = (
    *loads.KINDS, *store.KINDS, *raw.KINDS, *shelve.KINDS, *sqlitedict.KINDS, *diskcache.KINDS, *lmdb.KINDS,
    *rocksdict.KINDS, *zodb.KINDS, *cachelib.KINDS,
)  # fmt: skip


def present(measure: str, wanted: tuple[str, ...] = ()) -> list[Kind]:
    """Who is installed and takes part in a measure; `wanted` are beginnings of labels, none = all."""
    return [
        kind for kind in EVERYBODY
        if kind.takes_part(measure) and not kind.is_absent() and (not wanted or kind.label.lower().startswith(wanted))
    ]  # fmt: skip


def absent() -> list[Kind]:
    return [kind for kind in EVERYBODY if kind.is_absent()]


def durability_of(label: str) -> str:
    """The name of it; nothing for what is not a kind, such as a bare interpreter."""
    return next((kind.durability.name for kind in EVERYBODY if kind.label == label), "")
