"""The cache of verified bytes: a read that is repeated costs a look into a dict, and decoding.

Coherent between processes without a message. What is cached is good while the header of the file's index, which
every commit by anybody changes, equals the *tag* that it was filed under. The state of a cache is one tuple,
(index, tag, entries), replaced as a whole when index or tag change:

- A read takes the state, whose tag equals the header, before it asks the backend, and files what it found only where
  that very state still stands: else something was committed in between, and the row may be the one before it.
- A commit of our own takes out what it touched and then moves the tag on, in this order; but only where it is the one
  commit between the old tag and the new header. Else the tag stays as it was, is found to be old, and all is cleared.
- While a thread of this process writes nothing is used and nothing filed: it may be this one, in a transaction, whose
  reads see what nobody has committed.

Never live objects, since two readers must not share a value that can change: scalars, which cannot, are kept decoded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from store.backends import Coherence
from store.errors import RecordError
from store.row import Row

MISSING: Any = object()
LOOK_SECONDS = 1.0  # as often the backend is asked all the same: it looks whether the file is still in its place
ENTRY_BYTES = 300  # what an entry takes beside its body, about
SCALARS = frozenset({int, float, complex, bool, str, bytes, type(None)})

_HEADER = slice(0, 48)
_COUNT: Any = object()  # the place of `len` among the entries

Decode = Callable[[bytes], Any]
Entry = tuple[Any, Any, Any, int]
State = tuple[Any, "bytes | None", dict[Any, Entry]]

_NO_ENTRIES: dict[Any, Entry] = {}


class ReadCache:
    """What one `Store` has read and verified, up to `limit` bytes; the oldest goes first. Safe across threads.

    An entry is (decode, body, expires, bytes of the body); (None, value, expires, bytes of the body) for a scalar.
    """

    def __init__(self, coherence: Coherence | None, namespace: str, limit: int) -> None:
        self._coherence = coherence if limit else None
        self._writer: Any = None if coherence is None else coherence.writer
        self._namespace = namespace
        self._limit = limit
        self._lock = threading.Lock()
        self._looked = 0.0
        self._bytes = 0
        self._state: State = _no_state()
        if self._coherence is not None:
            self._coherence.register(self)

    # -- reading

    def value(self, name: str, now: float) -> Any:
        """The value of that name; MISSING where the backend must be asked. Raises: what decoding does."""
        entry = self._fresh(now).get(name)
        return MISSING if entry is None else self._decoded(name, entry, now)

    def has(self, name: str, now: float) -> bool:
        """Whether there is a record of that name; False where the backend must be asked."""
        entry = self._fresh(now).get(name)
        return entry is not None and (entry[2] is None or entry[2] > now)

    def values(self, names: list[str], now: float) -> dict[str, Any] | None:
        """The values of all those names, as of one moment; None where the backend must be asked."""
        entries = self._fresh(now)
        found = {}
        for name in names:
            entry = entries.get(name)
            value = MISSING if entry is None else self._decoded(name, entry, now)
            if value is MISSING:
                return None
            found[name] = value
        return found

    def count(self, now: float) -> int | None:
        """How many records there are; None where the backend must be asked."""
        entry = self._fresh(now).get(_COUNT)
        if entry is None or not entry[0] <= now < entry[2]:
            return None
        return entry[1]  # type: ignore[no-any-return]

    def _fresh(self, now: float) -> dict[Any, Any]:
        """The entries, if they are good just now."""
        index, tag, entries = self._state
        try:
            good = index[_HEADER] == tag and self._writer.holder is None and 0.0 <= now - self._looked < LOOK_SECONDS
        except ValueError:  # the map was closed by another thread, with the store
            return _NO_ENTRIES
        return entries if good else _NO_ENTRIES

    def _decoded(self, name: str, entry: Entry, now: float) -> Any:
        decode, body, expires, _ = entry
        if expires is not None and expires <= now:
            return MISSING
        if decode is None:
            return body
        try:
            return decode(body)
        except RecordError as exc:
            raise exc.about(name, self._namespace) from exc.__cause__

    # -- filing

    def begin(self) -> State | None:
        """Before the backend is asked: what `file` needs. None: what will be read must not be filed."""
        if self._coherence is None or self._writer.holder is not None:
            return None
        index = self._coherence.index()
        if index is None:
            return None
        state = self._state
        try:
            header = index[_HEADER]
        except ValueError:  # as above
            return None
        if state[0] is index and state[1] == header:
            return state
        with self._lock:
            self._bytes = 0
            self._state = state = (index, header, {})
        if self._coherence.index() is not index:  # dropped since, perhaps before there was something to drop
            self.drop()
            return None
        return state

    def file(self, state: State, row: Row, decode: Decode, value: Any, now: float) -> None:
        """Keep what was read since `begin` gave that state: a row whose seal is ours, and the value it made."""
        if type(value) in SCALARS:
            self._put(state, row.name, (None, value, row.expires, len(row.body)))
        else:
            self._put(state, row.name, (decode, row.body, row.expires, len(row.body)))
        self._looked = now  # the backend has just been asked

    def file_count(self, state: State, count: int, since: float, until: float) -> None:
        """Keep a count that holds from one moment until another."""
        self._put(state, _COUNT, (since, count, until, 0))
        self._looked = since

    def learn(self, tag: bytes, row: Row, decode: Decode) -> None:
        """Keep what was just written; `tag` is the header after its commit.

        Not the value that was given: what the codec makes of it may be another one.
        """
        state = self._state
        if state[1] == tag:
            self._put(state, row.name, (decode, row.body, row.expires, len(row.body)))

    def _put(self, state: State, name: Any, entry: Entry) -> None:
        with self._lock:
            if self._state is not state:
                return
            entries = state[2]
            self._forget(entries, name)
            entries[name] = entry
            self._bytes += ENTRY_BYTES + entry[3]
            while self._bytes > self._limit:
                self._forget(entries, next(iter(entries)))

    def _forget(self, entries: dict[Any, Entry], name: Any) -> None:
        entry = entries.pop(name, None)
        if entry is not None:
            self._bytes -= ENTRY_BYTES + entry[3]

    # -- what the backend tells

    def committed(self, before: bytes, after: bytes, touched: Iterable[tuple[str, str]]) -> None:
        """A commit of this process led from one header to the other, and changed no more than what it touched."""
        with self._lock:
            index, tag, entries = self._state
            if tag != before:
                return
            for namespace, name in touched:
                if namespace == self._namespace:
                    self._forget(entries, name)
                    self._forget(entries, _COUNT)
            self._state = (index, after, entries)

    def drop(self) -> None:
        """Nothing will tell of changes any more."""
        with self._lock:
            self._bytes = 0
            self._state = _no_state()

    def renew(self) -> None:
        """In a forked child: begin anew."""
        self._lock = threading.Lock()
        self.drop()

    def close(self) -> None:
        """For good."""
        coherence, self._coherence = self._coherence, None
        if coherence is not None:
            coherence.unregister(self)
        self.drop()


def _no_state() -> State:
    return b"", None, {}  # no header equals None
