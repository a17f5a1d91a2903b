"""Everybody who takes part, in the order of the tables."""

from __future__ import annotations

from . import (
    FLOOR,
    Guarantee,
    Kind,
    cachelib,
    diskcache,
    lmdb,
    loads,
    raw,
    rocksdict,
    shelve,
    sqlitedict,
    store,
    zodb,
)

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


def kind_of(label: str) -> Kind | None:
    """The kind of that label, or the one that a longer label begins with; None for a bare interpreter."""
    same = [kind for kind in EVERYBODY if kind.label == label]
    longer = [kind for kind in EVERYBODY if label.startswith((f"{kind.label},", f"{kind.label} "))]
    return next(iter(same + longer), None)


def durability_of(label: str) -> str:
    """The name of it; nothing for what is not a kind."""
    kind = kind_of(label)
    return kind.durability.name if kind else ""


def guarantee_of(label: str) -> Guarantee:
    kind = kind_of(label)
    return kind.guarantee if kind else FLOOR
