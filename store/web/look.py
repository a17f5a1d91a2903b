"""Decoding a record for a page: its value, or what is wrong with it, within bounds of size and time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

from store.care.inspect import verdict_of
from store.classes.shown import described
from store.display.units import size_text
from store.engines.contract import Fields
from store.errors import ClassNotFound, Corrupt, RecordError, StoreError, Tampered
from store.mapping.store import Store
from store.opened.namespace import Namespace
from store.opened.sentinels import MISSING
from store.rows.record import Record
from store.rows.row import Row

CELL_BYTES = 64 * 1024
PAGE_BYTES = 16 * 1024 * 1024
PAGE_SECONDS = 2.0
ATTEMPTS = 3  # at a record that others replace while it is read


class Budget:
    """What a page may spend on decoding: `most` bytes in memory for one record, and `seconds` for all of them."""

    def __init__(
        self, most: int = CELL_BYTES, seconds: float = PAGE_SECONDS, clock: Callable[[], float] = monotonic
    ) -> None:
        self.most = most
        self._clock = clock
        self._end = clock() + seconds

    def refusal(self, size: int) -> str | None:
        """Why a record that takes so many bytes in memory is not decoded; None where it is."""
        if size > self.most:
            return f"too large to show here: {size_text(size)}, and the limit is {size_text(self.most)}"
        if self._clock() > self._end:
            return "not decoded: this page has used up its time; the page of the record shows it"
        return None

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Around the decoding of one record: where it imports modules, its time is not counted.

        A process imports a module once. Else the first table of pandas would use up the time of all other records.
        """
        start, loaded = self._clock(), len(sys.modules)
        yield
        if len(sys.modules) > loaded:
            self._end += self._clock() - start


@dataclass(frozen=True, slots=True)
class Look:
    """A record as a page meets it.

    `badge` is "own" or "foreign" where there is a value. Else it is "tampered", "corrupt", "refused" (its bytes are
    sound, and cannot be decoded here) or "skipped" (it is too large, the time is used up, or the record is gone).
    """

    name: str
    record: Record | None
    """The metadata of the very bytes that were decoded. None: the record is gone."""
    badge: str
    value: Any = MISSING
    problem: str | None = None
    """Why there is no value, and what to do."""


def look(s: Store[Any], record: Record, budget: Budget) -> Look:
    """Decodes a record of the namespace of `s`: in full if a key of ours sealed it, else as plain data.

    No error of the record is raised: it is the `problem`. A store that trusts all (`trust="all"`) changes nothing.
    """
    ns = s.opened
    try:
        refusal = budget.refusal(_row_bytes(ns, record, budget))
        if refusal is not None:
            return Look(record.name, record, "skipped", problem=refusal)
        return _newest(ns, record.name, budget)
    except StoreError as exc:
        return Look(record.name, record, _badge_of(exc), problem=str(exc))
    except (Exception, SystemExit, GeneratorExit) as exc:  # MemoryError, and errors of the class's own code
        return Look(record.name, record, "refused", problem=f"decoding it failed: {described(exc)}")


def _row_bytes(ns: Namespace, record: Record, budget: Budget) -> int:
    """How many bytes reading the row of a record takes, without its files: these may be mapped."""
    if record.size <= budget.most or ns.values.large is None:
        return record.size
    header = ns.engine.get(ns.name, (record.name,), Fields.HEADER).get(record.name)
    return 0 if header is None else header.size - header.file_bytes


def _newest(ns: Namespace, name: str, budget: Budget) -> Look:
    """A look at the row of a name; at the next one where others replace it, and so delete its files, meanwhile."""
    row = ns.find(name)
    for _ in range(ATTEMPTS):
        if row is None:
            return Look(name, None, "skipped", problem="it is gone: it was deleted, or has expired")
        try:
            return _look_at(ns, row, budget)
        except Corrupt as exc:
            now = ns.find(name)
            if exc.file is None or (now is not None and now.spill == row.spill):
                raise
            row = now
    return Look(name, None, "skipped", problem="others are replacing it; load the page again")


def _look_at(ns: Namespace, row: Row, budget: Budget) -> Look:
    verdict, problem = verdict_of(ns, row)
    record = Record.from_header(row.header())
    if problem is not None:
        return Look(row.name, record, verdict, problem=problem)
    refusal = budget.refusal(_memory_of(ns, row, foreign=verdict == "foreign"))
    if refusal is not None:
        return Look(row.name, record, "skipped", problem=refusal)
    # A copy cannot change, or end, while it is shown; only what is too large for one is mapped.
    with budget.decoding():
        value = ns.values.unpack(row, private=record.size <= budget.most, restricted=True)
    return Look(row.name, record, verdict, value)


def _memory_of(ns: Namespace, row: Row, *, foreign: bool) -> int:
    large = ns.values.large
    if large is None or row.spill is None:
        return row.header().size
    return large.copied_bytes(row, foreign=foreign)


def _badge_of(error: StoreError) -> str:
    if isinstance(error, Tampered):
        return "tampered"
    is_damage = isinstance(error, Corrupt) and not isinstance(error, ClassNotFound)
    return "corrupt" if is_damage and isinstance(error, RecordError) else "refused"
