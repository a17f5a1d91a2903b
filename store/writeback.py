"""`writeback=True`: values that were read stay live, and those that changed are written back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from store.errors import NotSerializable
from store.pipeline import Pipeline
from store.record import Row


@dataclass(slots=True)
class Entry:
    """A live value, the row it came from, and the fingerprint that it had then."""

    value: Any
    row: Row
    fingerprint: bytes


class Writeback:
    """The live values of one `Store`, by name. Between processes the last one to write back wins.

    Safe across threads, except that two threads must not change one live value at once.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._lock = threading.RLock()

    def value_of(self, row: Row, pipeline: Pipeline) -> Any:
        """The live value of a row's name; decoded and kept where there is none yet."""
        with self._lock:
            entry = self._entries.get(row.name)
            if entry is None:
                entry = self._keep(pipeline.unpack(row), row, pipeline)
            return entry.value

    def learn(self, value: Any, row: Row, pipeline: Pipeline) -> None:
        """Keep a value that was just written."""
        with self._lock:
            self._keep(value, row, pipeline)

    def get(self, name: str) -> Entry | None:
        """The entry of that name, if it is live."""
        return self._entries.get(name)

    def forget(self, name: str) -> None:
        """The record was deleted, or replaced by other means."""
        with self._lock:
            self._entries.pop(name, None)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._entries.clear()

    def flush(self, pack: Callable[[Any, Row], Row], store: Callable[[Row], None], only: str | None = None) -> None:
        """Write back what changed, or only that name, then let go of it.

        Raises:
            NotSerializable: of the first value that cannot be encoded, with a note for each further one; all
                others were written.
        """
        failures: list[NotSerializable] = []
        with self._lock:
            for name in list(self._entries) if only is None else [only] * (only in self._entries):
                try:
                    self._flush_one(self._entries[name], pack, store)
                except NotSerializable as exc:
                    failures.append(exc)
                else:
                    del self._entries[name]
        if failures:
            for other in failures[1:]:
                failures[0].add_note(str(other))
            raise failures[0]

    def _flush_one(self, entry: Entry, pack: Callable[[Any, Row], Row], store: Callable[[Row], None]) -> None:
        row = pack(entry.value, entry.row)
        if Pipeline.digest(row.body) != entry.fingerprint:
            store(row)

    def _keep(self, value: Any, row: Row, pipeline: Pipeline) -> Entry:
        entry = Entry(value, row._replace(body=b""), pipeline.fingerprint(value, row))
        self._entries[row.name] = entry
        return entry
