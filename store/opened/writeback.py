"""`writeback=True`: values that were read stay live, and changed ones are written back."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol
from weakref import WeakSet, WeakValueDictionary

from store.engines.capabilities import Transaction
from store.errors import CodecUnavailable, RecordError
from store.rows.row import Row
from store.system import forking
from store.values.large import digest_of
from store.values.pipeline import Pipeline


class Entry(NamedTuple):
    """A live value, the row it came from (less its body), and the fingerprint that it had then."""

    value: Any
    row: Row
    fingerprint: bytes

    def is_older_than(self, row: Row) -> bool:
        """Whether the record had expired before `row` was written, which is then another record."""
        return self.row.expires is not None and self.row.expires <= row.modified

    def is_unchanged(self, pipeline: Pipeline) -> bool:
        """Whether a large value has the same fingerprint, so that it need not be packed, which writes files."""
        try:
            return self.row.spill is not None and pipeline.fingerprint(self.value, self.row) == self.fingerprint
        except (RecordError, CodecUnavailable):  # then packing raises the error, or finds another codec
            return False


class Writeback:
    """The live values of one `Store`, by name. Between processes the last one to write back wins.

    Safe across threads, except that two threads must not change one live value at once. No lock is held
    while a value is encoded or written: that waits for the writer's lock, whose holder may be reading here.
    A forked child begins with none.
    """

    def __init__(self) -> None:
        self.begin_empty()
        _all.add(self)

    def begin_empty(self) -> None:
        """Forgets all live values, also those of a lock holder that is not in this process."""
        self._entries: dict[str, Entry] = {}
        self._lock = threading.RLock()  # a signal handler may come here in the thread that holds it

    def value_of(self, row: Row, pipeline: Pipeline) -> Any:
        """The live value of a row's name; decodes and keeps it where there is none yet."""
        entry = self._entries.get(row.name)
        if entry is None or entry.is_older_than(row):
            value = pipeline.unpack(row, private=True)  # live objects are changed
            new = Entry(value, row._replace(body=b""), pipeline.fingerprint(value, row))
            entry = self._exchange(row.name, entry, new) or new
        return entry.value

    def learn(self, value: Any, row: Row, transaction: Transaction) -> None:
        """Keeps a value that was just written."""
        self.restore_after(transaction, row.name)
        self._entries[row.name] = Entry(value, row._replace(body=b""), digest_of(row))

    def forget(self, name: str, transaction: Transaction) -> None:
        """Forgets a value whose record was deleted, or replaced otherwise."""
        self.restore_after(transaction, name)
        self._entries.pop(name, None)

    def clear(self, transaction: Transaction) -> None:
        """Forgets all values, since all records were deleted."""
        before, self._entries = self._entries, {}
        transaction.on_rollback(lambda: setattr(self, "_entries", before))

    def keep_until(self, name: str, expires: float | None, transaction: Transaction) -> None:
        """Notes the new lifetime of a record."""
        entry = self._entries.get(name)
        if entry is not None:
            self.restore_after(transaction, name)
            self._entries[name] = entry._replace(row=entry.row._replace(expires=expires))

    def restore_after(self, transaction: Transaction, name: str) -> None:
        """If the transaction is rolled back, restores the value that is live under that name now.

        Changes that the program made to it before must still be written back.
        """
        before = self._entries.get(name)

        def restore() -> None:
            if before is None:
                self._entries.pop(name, None)
            else:
                self._entries[name] = before

        transaction.on_rollback(restore)

    def flush(
        self,
        pipeline: Pipeline,
        pack: Callable[[Any, Row], Row],
        store: Callable[[Row], None],
        only: str | None = None,
    ) -> None:
        """Writes back the values that changed, or only that name's, then forgets them.

        Raises:
            RecordError: of the first value that cannot be encoded, with a note for each further one; all
                others were written.
        """
        failures: list[RecordError] = []
        for name in list(self._entries) if only is None else [only]:
            entry = self._entries.get(name)
            if entry is None:
                continue
            try:
                row = None if entry.is_unchanged(pipeline) else pack(entry.value, entry.row)
            except RecordError as exc:
                failures.append(exc)
                continue
            if row is not None:
                try:
                    if digest_of(row) != entry.fingerprint:
                        store(row)
                finally:
                    pipeline.discard(row)
            self._exchange(name, entry, None)
        if failures:
            for other in failures[1:]:
                failures[0].add_note(str(other))
            raise failures[0]

    def _exchange(self, name: str, old: Entry | None, new: Entry | None) -> Entry | None:
        """Puts `new` in the place of `old` unless another thread was faster; returns the entry that is there then."""
        with self._lock:
            if self._entries.get(name) is old:
                if new is not None:
                    self._entries[name] = new
                else:
                    self._entries.pop(name, None)
            return self._entries.get(name)


_all: WeakSet[Writeback] = WeakSet()


def _after_fork_in_child() -> None:
    """Leaves the live values to the parent: if both wrote them back, the later one would win."""
    for writeback in _all:
        writeback.begin_empty()


forking.register(forking.Stage.WRITEBACK, in_child=_after_fork_in_child)


class Closable(Protocol):
    def close(self) -> None: ...


_to_close: WeakValueDictionary[int, Closable] = WeakValueDictionary()


def close_at_exit(store: Closable) -> None:
    """Closes a store when the program ends, as programs written for `shelve` may expect.

    Not left to `__del__`: by then nothing can be imported any more, and changes would be lost.
    """
    _to_close[id(store)] = store
    atexit.unregister(_close_all)  # registered last it runs first, before the engines' own
    atexit.register(_close_all)


def _close_all() -> None:
    failures = []
    for store in list(_to_close.values()):
        try:
            store.close()
        except Exception as exc:
            failures.append(exc)
    if failures:
        raise failures[0] if len(failures) == 1 else ExceptionGroup("stores that could not be closed", failures)
