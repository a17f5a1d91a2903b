"""The cache of verified bytes: a read that is repeated costs a look into a dict, and decoding.

Coherent between processes without a message. What is cached is good while the header of the file's index, which
every commit by anybody changes, equals the *tag* that it was filed under. The state of a cache is one tuple,
(index, tag, entries), replaced as a whole when index or tag change:

- A read takes the state, whose tag equals the header, before it asks the backend, and files what it found only where
  that very state still stands: else something was committed in between, and the row may be the one before it.
- Commits of our own are followed by the read that finds the tag to be old: where no others lie between it and the
  header, what they touched is taken out, and then the tag moves on, in this order. Else all is cleared.
- While a thread of this process writes nothing is used and nothing filed: it may be this one, in a transaction, whose
  reads see what nobody has committed.

Never live objects, since two readers must not share a value that can change: scalars, which cannot, are kept decoded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from sys import getsizeof
from typing import Any

from store.engines.contract import HEADER, LOOK_SECONDS, Coherence
from store.errors import RecordError
from store.rows.row import Row

MISSING: Any = object()
ENTRY_BYTES = 300  # what an entry takes beside its body, about
SCALARS = frozenset({int, float, complex, bool, str, bytes, type(None)})

_COUNT: Any = object()  # the place of `len` among the entries

Decode = Callable[[bytes], Any]
Entry = tuple[Any, Any, Any, int]


class Entries(dict[Any, Entry]):
    """By name; an entry is (decode, body, expires, bytes), or (None, value, expires, bytes) for a scalar."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0

    def add(self, name: Any, entry: Entry, limit: int) -> None:
        """Put one in, and the oldest out until all take no more than `limit` bytes."""
        self.forget(name)
        size = ENTRY_BYTES + entry[3]
        if size > limit:  # it would put all others out, and itself
            return
        self[name] = entry
        self.size += size
        while self.size > limit:
            self.forget(next(iter(self)))

    def forget(self, name: Any) -> None:
        entry = self.pop(name, None)
        if entry is not None:
            self.size -= ENTRY_BYTES + entry[3]


State = tuple[Any, "bytes | None", Entries]

_NO_ENTRIES = Entries()


class ReadCache:
    """What one `Store` has read and verified, up to `limit` bytes; the oldest goes first. Safe across threads.

    And in the handler of a signal, which may strike amid anything here, in the thread that has the lock:
    the state is taken away while its entries are at work on, so that the handler finds none, and leaves none behind
    that would be taken for it.
    """

    def __init__(self, coherence: Coherence, namespace: str, limit: int) -> None:
        self._coherence = coherence if limit else None
        self._source = coherence
        self._writer = coherence.writer
        self._namespace = namespace
        self._limit = limit
        self._lock = threading.RLock()
        self._state: State = _no_state()
        if self._coherence is not None:
            self._coherence.register(self)

    # -- reading

    def value(self, name: str, now: float) -> Any:
        """The value of that name; MISSING where the backend must be asked. Raises: what decoding does."""
        # As `_fresh` and `_decoded`, without the two calls: a fifth of what a cached read costs beside decoding.
        index, tag, entries = self._state
        try:
            if index[HEADER] != tag:
                entries = self._fresh(now)
            elif self._writer.holder is not None:
                return MISSING
        except ValueError:
            return MISSING
        entry = entries.get(name)
        if entry is None or not 0.0 <= now - self._source.looked < LOOK_SECONDS:
            return MISSING
        decode, body, expires, _ = entry
        if expires is not None and expires <= now:
            return MISSING
        if decode is None:
            return body
        try:
            return decode(body)
        except RecordError as exc:
            raise exc.about(name, self._namespace) from exc.__cause__

    def has(self, name: str, now: float) -> bool:
        """Whether there is a record of that name; False where the backend must be asked."""
        entry = self._fresh(now).get(name)
        return entry is not None and (entry[2] is None or entry[2] > now)

    def values(self, names: list[str], now: float) -> dict[str, Any] | None:
        """The values of all those names, as of one moment; None where the backend must be asked."""
        self._fresh(now)  # which follows what we have committed
        state = self._state
        entries = [state[2].get(name) for name in names]
        # Good after they were taken: then none was filed, or taken out, since anybody committed.
        if self._fresh(now) is not state[2] or self._state is not state:
            return None
        found = {}
        for name, entry in zip(names, entries, strict=True):
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

    def _fresh(self, now: float) -> Entries:
        """The entries, if they are good just now, and nobody has to look whether the file is in its place."""
        index, tag, entries = self._state
        try:
            header = index[HEADER]
        except ValueError:  # the map was closed by another thread, with the store
            return _NO_ENTRIES
        # In this order: whoever wrote up to that header has noted what, once nobody writes.
        if self._writer.holder is not None or not 0.0 <= now - self._source.looked < LOOK_SECONDS:
            return _NO_ENTRIES
        if header == tag:
            return entries
        followed = None if tag is None else self._followed(header)
        return _NO_ENTRIES if followed is None else followed[2]

    def _followed(self, header: bytes) -> State | None:
        """The state at that header, where our own commits alone lie between; None where that cannot be told."""
        with self._lock:
            index, tag, entries = state = self._state
            steps = None if tag is None else self._source.between(tag, header)
            if not steps:
                return state if tag == header else None
            self._state = taken = _no_state()
            for touched in steps:
                for namespace, name in touched:
                    if namespace == self._namespace:
                        entries.forget(name)
                        entries.forget(_COUNT)
            if self._state is not taken:
                return None
            self._state = state = (index, header, entries)
            return state

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
        coherence = self._coherence
        if coherence is None or self._writer.holder is not None:
            return None
        index = coherence.index()
        if index is None:
            return None
        try:
            state = self._current(index)
        except ValueError:  # as above
            return None
        # Closed or dropped since, perhaps before there was something to drop.
        if self._coherence is None or coherence.index() is not index:
            self.drop()
            return None
        return state

    def _current(self, index: Any) -> State:
        """The state of that index as it is now; a new one where it has moved on."""
        state = self._state
        if state[0] is index and state[1] == index[HEADER]:
            return state
        with self._lock:  # another thread may have renewed it, or be at work on its entries
            header = index[HEADER]
            followed = self._followed(header) if self._state[0] is index else None
            if followed is None:
                self._state = followed = (index, header, Entries())
            return followed

    def file(self, state: State, row: Row, decode: Decode, value: Any) -> None:
        """Keep what was read since `begin` gave that state: a row whose seal is ours, and the value it made."""
        size = len(row.body)
        if type(value) in SCALARS:
            self._put(state, row.name, (None, value, row.expires, max(size, getsizeof(value))))
        else:
            self._put(state, row.name, (decode, row.body, row.expires, size))

    def file_count(self, state: State, count: int, since: float, until: float) -> None:
        """Keep a count that holds from one moment until another."""
        self._put(state, _COUNT, (since, count, until, 0))

    def learn(self, tag: bytes, row: Row, decode: Decode) -> None:
        """Keep what was just written; `tag` is the header after its commit.

        Not the value that was given: what the codec makes of it may be another one.
        """
        state: State | None = self._state
        if self._state[1] != tag:
            state = self._followed(tag)
        if state is not None:
            self._put(state, row.name, (decode, row.body, row.expires, len(row.body)))

    def _put(self, state: State, name: Any, entry: Entry) -> None:
        with self._lock:
            if self._state is state:
                self._state = taken = _no_state()
                state[2].add(name, entry, self._limit)
                if self._state is taken:
                    self._state = state

    # -- what the backend tells

    def drop(self) -> None:
        """Nothing will tell of changes any more."""
        with self._lock:
            self._state = _no_state()

    def renew(self) -> None:
        """In a forked child: begin anew."""
        self._lock = threading.RLock()
        self.drop()

    def close(self) -> None:
        """For good."""
        coherence, self._coherence = self._coherence, None
        if coherence is not None:
            coherence.unregister(self)
        self.drop()


def _no_state() -> State:
    return b"", None, Entries()  # no header equals None; each one is itself alone
