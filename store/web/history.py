"""`History`: the revisions of records that were seen while the application ran."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from heapq import nlargest

from store.rows.record import Record

MOST_RECORDS = 1000
MOST_REVISIONS = 50  # of one record; the oldest go first
MOST_TEXT = 200  # characters of a type and a version of Python; in a crafted file they may have any length
MOST_NAME = 4096  # characters; a record with a longer name is not kept


@dataclass(frozen=True, slots=True)
class Seen:
    """One state of a record: its metadata, and the Unix time when it was noticed. None: the record was gone."""

    record: Record | None
    noticed: float


class History:
    """The states of records that pages or a watch have met, in memory. Safe across threads.

    A store keeps one state of each record, so that only those that were met are known.
    """

    def __init__(self, records: int = MOST_RECORDS, revisions: int = MOST_REVISIONS) -> None:
        self._records = records
        self._revisions = revisions
        self._seen: OrderedDict[tuple[str, str], deque[Seen]] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, namespace: str, name: str, record: Record | None, now: float) -> None:
        """Keep a state, if it is neither the last one that is known nor one from before it."""
        if len(namespace) + len(name) > MOST_NAME:
            return
        with self._lock:
            states = self._seen.setdefault((namespace, name), deque(maxlen=self._revisions))
            self._seen.move_to_end((namespace, name))
            if not states or _is_later(record, states[-1].record):
                states.append(Seen(_short(record), now))
            while len(self._seen) > self._records:
                self._seen.popitem(last=False)

    def of(self, namespace: str, name: str) -> list[Seen]:
        """The states of a record that are known, the oldest first."""
        with self._lock:
            return list(self._seen.get((namespace, name), ()))

    def recent(self, most: int) -> list[tuple[str, str, Seen]]:
        """Up to `most` records as namespace, name and last known state, those that were noticed last first."""
        with self._lock:
            last = [(namespace, name, states[-1]) for (namespace, name), states in self._seen.items()]
        return nlargest(most, last, key=lambda one: one[2].noticed)


def _is_later(record: Record | None, last: Record | None) -> bool:
    """Whether a state is a new one. A page takes a while to decode a value, and a watch may be faster."""
    if record is None or last is None:
        return record is not last
    is_overtaken = record.created == last.created and record.revision < last.revision
    return record.version != last.version and not is_overtaken


def _short(record: Record | None) -> Record | None:
    """The metadata with long texts cut: many states are kept."""
    if record is None:
        return None
    return replace(
        record,
        codec=record.codec[:MOST_TEXT],
        type=None if record.type is None else record.type[:MOST_TEXT],
        python=None if record.python is None else record.python[:MOST_TEXT],
    )
