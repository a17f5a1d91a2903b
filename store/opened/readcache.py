"""The cache of verified bytes: a repeated read costs a look into a dict, and decoding.

Coherent between processes without a message. An entry is good while the header of the file's index, which every
commit by any process changes, equals the *tag* that it was filed under. The state of a cache is one tuple,
(index, tag, entries), replaced as a whole when index or tag change:

- A read takes the state, whose tag equals the header, before it asks the engine, and files the row only if the state
  is still that one: else something was committed in between, and the row may be older than that commit.
- The next read after a commit of our own finds the tag to be old. If no other process committed in between, it takes
  out the names that the commit touched, and then moves the tag, in this order. Else it clears all.
- While a thread of this process writes, nothing is used and nothing filed: it may be this thread, in a transaction,
  whose reads see uncommitted rows.

Values are never kept as live objects, since two readers must not share one that can change; scalars are kept decoded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import inf
from sys import getsizeof
from typing import Any

from store.engines.capabilities import HEADER, LOOK_SECONDS, Coherence
from store.errors import RecordError
from store.opened.sentinels import MISSING
from store.rows.row import Row, Sealed

ENTRY_BYTES = 300  # about what an entry takes beside its body
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
        """Adds one, and drops the oldest until all take at most `limit` bytes."""
        self.forget(name)
        size = ENTRY_BYTES + entry[3]
        if size > limit:  # it would push out all others, and itself
            return
        self[name] = entry
        self.size += size
        while self.size > limit:
            self.forget(next(iter(self)))

    def forget(self, name: Any) -> None:
        entry = self.pop(name, None)
        if entry is not None:
            self.size -= ENTRY_BYTES + entry[3]


class _Incoherent:
    """Stands for the coherence of an engine that has none: no entry is ever good."""

    looked = inf
    holder = None

    @property
    def writer(self) -> _Incoherent:
        return self


State = tuple[Any, "bytes | None", Entries]

_NO_ENTRIES, _NOTHING = Entries(), Entries()


class ReadCache:
    """The bytes that one `Store` has read and verified, up to `limit`; the oldest goes first. Safe across threads.

    Safe in signal handlers too, which may interrupt anything here in the thread that holds the lock: the state is
    taken away while its entries are changed, so a handler finds none and leaves none behind that looks valid.
    """

    def __init__(self, coherence: Coherence | None, namespace: str, limit: int) -> None:
        self._coherence = coherence if limit else None
        self._source: Any = coherence or _Incoherent()
        self._writer = self._source.writer
        self._namespace = namespace
        self._limit = limit
        self._lock = threading.RLock()
        self._state: State = _no_state()
        if self._coherence is not None:
            self._coherence.register(self)

    # -- reading

    def value(self, name: str, now: float) -> Any:
        """The value of that name; MISSING where the engine must be asked. Raises: as decoding."""
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
        """Whether there is a record of that name; False where the engine must be asked."""
        entry = self._fresh(now).get(name)
        return entry is not None and (entry[2] is None or entry[2] > now)

    def values(self, names: list[str], now: float) -> dict[str, Any] | None:
        """The values of all those names, as of one moment; None where the engine must be asked."""
        self._fresh(now)  # follows our own commits
        state = self._state
        entries = [state[2].get(name) for name in names]
        # Checked after they were taken: then none was filed or taken out after another commit.
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
        """How many records there are; None where the engine must be asked."""
        entry = self._fresh(now).get(_COUNT)
        if entry is None or not entry[0] <= now < entry[2]:
            return None
        return entry[1]  # type: ignore[no-any-return]

    def _fresh(self, now: float) -> Entries:
        """The entries, if they are good now and it is not time to check that the file is still in its place."""
        index, tag, entries = self._state
        try:
            header = index[HEADER]
        except ValueError:  # the map was closed by another thread, with the store
            return _NO_ENTRIES
        # In this order: once nobody writes, all writes up to that header are noted.
        if self._writer.holder is not None or not 0.0 <= now - self._source.looked < LOOK_SECONDS:
            return _NO_ENTRIES
        if header == tag:
            return entries
        followed = None if tag is None else self._followed(header)
        return _NO_ENTRIES if followed is None else followed[2]

    def _followed(self, header: bytes) -> State | None:
        """The state at that header, if only commits of our own lie between; None if that is unknown."""
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
        """The state for `file`, taken before the engine is asked. None: the result must not be filed."""
        coherence = self._coherence
        if coherence is None or self._writer.holder is not None:
            return None
        index = coherence.index()
        if index is None:
            return None
        state = self._state
        try:
            if state[0] is index and state[1] == index[HEADER]:
                return state  # if it is dropped from now on, `file` finds another one in its place
            state = self._current(index)
        except ValueError:  # as above
            return None
        # Closed or dropped meanwhile, perhaps before there was something to drop.
        if self._coherence is None or coherence.index() is not index:
            self.drop()
            return None
        return state

    def _current(self, index: Any) -> State:
        """The state of that index now; a new one where it has changed."""
        state = self._state
        if state[0] is index and state[1] == index[HEADER]:
            return state
        with self._lock:  # another thread may have renewed it, or be changing its entries
            header = index[HEADER]
            followed = self._followed(header) if self._state[0] is index else None
            if followed is None:
                self._state = followed = (index, header, Entries())
            return followed

    def file(self, state: State, row: Row | Sealed, decode: Decode, value: Any) -> None:
        """Keeps a row that was read after `begin` returned that state, sealed by us, and its value."""
        size = len(row.body)
        if type(value) in SCALARS:
            self._put(state, row.name, (None, value, row.expires, max(size, getsizeof(value))))
        else:
            self._put(state, row.name, (decode, row.body, row.expires, size))

    def file_count(self, state: State, count: int, since: float, until: float) -> None:
        """Keeps a count that holds from one moment until another."""
        self._put(state, _COUNT, (since, count, until, 0))

    def learn(self, tag: bytes, row: Row, decode: Decode) -> None:
        """Keeps a row that was just written; `tag` is the header after its commit.

        Not the value that was given: the codec may decode it to another one.
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

    # -- what the engine reports

    def drop(self) -> None:
        """Forgets all: changes are no longer reported."""
        with self._lock:
            self._state = _no_state()

    def renew(self) -> None:
        """In a forked child: begins empty, with a lock of its own."""
        self._lock = threading.RLock()
        self.drop()

    def close(self) -> None:
        """Forgets all, for good."""
        coherence, self._coherence = self._coherence, None
        if coherence is not None:
            coherence.unregister(self)
        self.drop()


def _no_state() -> State:
    return b"", None, _NOTHING  # no header equals None, so nothing is added; each state is an object of its own
