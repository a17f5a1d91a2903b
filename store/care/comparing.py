"""Comparing a record with its copy in another store, by verified bytes: nothing is decoded."""

from __future__ import annotations

from store.care.inspect import verdict_of
from store.errors import Corrupt
from store.opened.namespace import Namespace
from store.rows import spilled
from store.rows.row import Row
from store.trust.keys.key import UNKEYED

_DAMAGED = ("tampered", "corrupt")


def difference(of: Namespace, row: Row, to: Namespace, there: Row | None, *, content: bool) -> str | None:
    """What differs between a row of the store `of` and its copy in `to`; None: it is the same record there.

    `content`: the files of its copy are read and compared with their checksums too.
    """
    if there is None:
        return "is missing"
    if there[3:7] != row[3:7] or there[11:] != row[11:]:
        return "has another codec, type, revision, time or expiry"
    verdict, copied = verdict_of(of, row)[0], verdict_of(to, there)[0]
    if verdict in _DAMAGED:
        return _of_bytes(of, row, to, there) if copied in _DAMAGED else "is sound, and was copied from a damaged one"
    if copied != verdict:
        return f"has a seal that says {copied}, not {verdict}"
    if verdict == "foreign" and not row.seal.startswith(UNKEYED) and there.seal != row.seal:
        return "has another seal"
    if verdict == "own" and is_inlined(to, row):
        return None  # it was packed and sealed anew
    return _of_bytes(of, row, to, there) or (_of_files(of, row, to, there, verdict) if content else None)


def is_inlined(to: Namespace, row: Row) -> bool:
    """Whether it is large, and the target keeps values of any size in their rows."""
    return row.spill is not None and to.values.large is None


def _of_bytes(of: Namespace, row: Row, to: Namespace, there: Row) -> str | None:
    if (there.body, _checksums(to, there)) != (row.body, _checksums(of, row)):
        return "has other bytes"
    return None


def _of_files(of: Namespace, row: Row, to: Namespace, there: Row, verdict: str) -> str | None:
    """The first problem of the files of the copy that those of the source do not have."""
    if there.spill is None or to.values.large is None or of.values.large is None:
        return None
    foreign = verdict != "own"
    problems = to.values.large.problems(there, foreign=foreign)
    if not problems or of.values.large.problems(row, foreign=foreign):
        return None
    return f"has a large value that is not sound ({problems[0]})"


def _checksums(ns: Namespace, row: Row) -> list[str]:
    """Those of its files, which have other names in another store."""
    if row.spill is None:
        return []
    try:
        parts = spilled.parts_of(row.spill, spilled.prefix_of(ns.engine.id, row.namespace, row.name))
    except Corrupt:
        return [row.spill]
    return [part.checksum for part in parts]
