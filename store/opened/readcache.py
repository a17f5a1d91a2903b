"""The cache of verified bytes: a repeated read costs a look into a dict, and decoding.

Coherent between processes without a message. An entry is good while the header of the file's index, which every
commit by any process changes, equals the *tag* that it was filed under. The state of a cache is one tuple,
(index, tag, entries), replaced as a whole when index or tag change:

- A read takes the state, whose tag equals the header, before it asks the engine, and files the row only if the state
  is still that one: else something was committed in between, and the row may be older than that commit.
- The next read after a commit, by any process, finds the tag to be old. It asks the engine what the commits since
  then touched, takes that out, and then moves the tag, in this order. Where that is unknown, because a program
  without this library has committed, or very many commits ago, it clears all.
- Between a commit and its description, for some microseconds, a read asks the engine and changes nothing here. It
  does so TRIES times at most: the process may have been killed just then.
- While a thread of this process writes, nothing is used and nothing filed: it may be this thread, in a transaction,
  whose reads see uncommitted rows. The rows that it writes are kept by the first read after the commit.

The engine names records by *marks*, numbers of 64 bits. Two names may have the same mark: the cache has at most one
of them, and drops it with the other.

One file because reading, filing and following all replace the one state.

Values are never kept as live objects, since two readers must not share one that can change; scalars are kept decoded.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from math import inf
from operator import attrgetter
from typing import Any

from store.engines.activity import Counters
from store.engines.capabilities import HEADER, LOOK_SECONDS, Coherence, Commit, Gap
from store.errors import RecordError
from store.opened.cache_entries import Decode, Decoder, Entries, Entry, Written, entry_of, entry_of_value
from store.opened.sentinels import MISSING
from store.rows.row import Row, Sealed

WAITING = 50  # transactions whose rows wait for the next read; a program that reads nothing spends no time on others
TRIES = 1000  # looks past a commit that is not described; they cost about as much as an empty cache does

_size_of = attrgetter("size")


class _Incoherent:
    """Stands for the coherence of an engine that has none: no entry is ever good."""

    looked = inf
    holder = None
    counters = Counters()

    @property
    def writer(self) -> _Incoherent:
        return self


State = tuple[Any, "bytes | None", Entries]

_NO_ENTRIES, _UNUSED = Entries(), Entries()  # two, since no state is good whose entries are none


class ReadCache:
    """The bytes that one `Store` has read and verified, up to `limit`; the oldest goes first. Safe across threads.

    Safe in signal handlers too, which may interrupt anything here in the thread that holds the lock: the state is
    taken away while its entries are changed, so a handler finds none and leaves none behind that looks valid.
    """

    def __init__(self, coherence: Coherence | None, namespace: str, limit: int) -> None:
        self._coherence = coherence if limit else None
        self._source: Any = coherence or _Incoherent()
        self._writer = self._source.writer
        self._counters: Counters = self._source.counters
        self._namespace = namespace
        self.limit = limit  # bytes; 0: nothing is kept
        self._lock = threading.RLock()
        self._state: State = _no_state()
        self._tries = 0  # looks that found a commit which is not described yet
        self._written: deque[Written] = deque()
        if self._coherence is not None:
            self._mark = self._coherence.marker(namespace)
            self._space = self._coherence.space_of(namespace)
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
        decode, body, expires, _, _ = entry
        if expires is not None and expires <= now:
            return MISSING
        self._counters.hits += 1
        if decode is None:
            return body
        try:
            return decode(body)
        except RecordError as exc:
            raise exc.about(name, self._namespace) from exc.__cause__

    def has(self, name: str, now: float) -> bool:
        """Whether there is a record of that name; False where the engine must be asked."""
        entry = self._fresh(now).get(name)
        if entry is None or (entry[2] is not None and entry[2] <= now):
            return False
        self._counters.hits += 1
        return True

    def values(self, names: list[str], now: float) -> dict[str, Any] | None:
        """The values of all those names, as of one moment; None where the engine must be asked."""
        self._fresh(now)  # follows the commits since
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
        self._counters.hits += len(found)
        return found

    def count(self, now: float) -> int | None:
        """How many records there are; None where the engine must be asked."""
        count = self._fresh(now).count
        return count[1] if count is not None and count[0] <= now < count[2] else None

    def _fresh(self, now: float) -> Entries:
        """The entries, if they are good now and it is not time to check that the file is still in its place."""
        index, tag, entries = self._state
        try:
            header = index[HEADER]
            if self._writer.holder is not None or not 0.0 <= now - self._source.looked < LOOK_SECONDS:
                return _NO_ENTRIES
            if header == tag:
                return entries
            if tag is None and not self._written:
                return _NO_ENTRIES
            followed = self._followed()
        except ValueError:  # the map was closed by another thread, with the store
            return _NO_ENTRIES
        return _NO_ENTRIES if isinstance(followed, Gap) else followed[2]

    def _followed(self) -> State | Gap:
        """The state at the header of now, without the records touched since its tag; or why there is none."""
        with self._lock:
            if self._written:
                self._keep_written()
            index, tag, _ = state = self._state
            header = index[HEADER]
            if tag is None:
                return Gap.LOST
            return state if tag == header else self._moved(state, header)

    def _moved(self, state: State, header: bytes) -> State | Gap:
        """That state at another header. Under the lock."""
        _, tag, entries = state
        marks = self._source.between(tag, header)
        if marks is Gap.NOT_YET:
            self._tries += 1
            return Gap.NOT_YET if self._tries <= TRIES else Gap.LOST
        if marks is Gap.LOST:
            return Gap.LOST
        self._state = taken = _no_state()
        for mark in marks:
            entries.forget_mark(mark)
            if mark >> 32 == self._space:
                entries.count = None
        if self._state is not taken:
            return Gap.LOST
        self._state = state = (state[0], header, entries)
        self._tries = 0
        return state

    def _decoded(self, name: str, entry: Entry, now: float) -> Any:
        decode, body, expires, _, _ = entry
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
            current = self._current(index)
        except ValueError:  # as above
            return None
        # Closed or dropped meanwhile, perhaps before there was something to drop.
        if self._coherence is None or coherence.index() is not index:
            self.drop()
            return None
        return current

    def _current(self, index: Any) -> State | None:
        """The state of that index now, a new one where it cannot be followed; None: it will be described soon."""
        state = self._state
        if state[0] is index and state[1] == index[HEADER]:
            return state
        with self._lock:  # another thread may have renewed it, or be changing its entries
            followed = self._followed()
            if not isinstance(followed, Gap) and followed[0] is index:
                return followed
            if followed is Gap.NOT_YET:
                return None
            self._tries = 0
            self._state = state = (index, index[HEADER], Entries())
            return state

    def file(self, state: State, row: Row | Sealed, decode: Decode, value: Any) -> None:
        """Keeps a row that was read after `begin` returned that state, sealed by us, and its value."""
        self._put(state, row.name, entry_of_value(row, value, decode, self._mark(row.name)))

    def file_count(self, state: State, count: int, since: float, until: float) -> None:
        """Keeps a count that holds from one moment until another."""
        with self._lock:
            if self._state is state:
                state[2].count = since, count, until

    def _put(self, state: State, name: str, entry: Entry) -> None:
        with self._lock:
            if self._state is state:
                self._state = taken = _no_state()
                state[2].add(name, entry, self.limit)
                if self._state is taken:
                    self._state = state

    # -- rows that were just written

    def learn(self, commit: Commit, rows: Sequence[Row], decoder: Decoder) -> None:
        """Keeps rows that were just written: now, or once their commit is done.

        Not the values that were given: the codec may decode them to others.
        """
        written = self._written
        if written and written[-1].commit is commit:
            written[-1].add(rows)
            return
        with self._lock:
            if commit.after is not None:
                if written:
                    self._keep_written()
                self._keep(commit, rows, decoder)
                return
            while len(written) >= WAITING or sum(map(_size_of, written)) > self.limit:
                written.popleft()
            written.append(Written(commit, decoder, self.limit))
            written[-1].add(rows)

    def _keep_written(self) -> None:
        """Keeps the rows of commits that are done, and forgets those that were undone. Under the lock."""
        written = self._written
        while written and (written[0].commit.after is not None or self._writer.holder is None):
            try:
                first = written.popleft()
            except IndexError:  # a signal handler came in between, and kept the last one
                return
            if first.commit.after is not None:
                self._keep(first.commit, first.last(), first.decoder)

    def _keep(self, commit: Commit, rows: Iterable[Row], decoder: Decoder) -> None:
        """Adds rows to the state after their commit, where that can be reached. Under the lock."""
        state = self._state if self._state[1] == commit.before else self._state_after(commit)
        if isinstance(state, Gap):
            return
        index, tag, entries = state
        self._state = taken = _no_state()
        if tag != commit.after:
            for namespace, name in commit.touched or ():
                if namespace == self._namespace:
                    if name in entries:
                        entries.forget(name)
                    entries.count = None
        for row in rows:
            entry = entry_of(row, decoder, self._mark(row.name)) if row.namespace == self._namespace else None
            if entry is not None:
                entries.add(row.name, entry, self.limit)
            else:  # a row of the same name may come before it
                entries.forget(row.name)
        if self._state is taken:
            self._state, self._tries = (index, commit.after, entries), 0

    def _state_after(self, commit: Commit) -> State | Gap:
        """The state at the header after a commit that is done; a new one if there is none. Under the lock."""
        after, coherence = commit.after, self._coherence
        assert after is not None
        if self._state[1] == after:
            return self._state
        if self._state[1] is not None:
            return self._moved(self._state, after)
        if coherence is None or coherence.mapped is None:  # closed, or dropped
            return Gap.LOST
        return coherence.mapped, after, Entries()

    # -- what the engine reports

    def drop(self) -> None:
        """Forgets all: changes are no longer reported."""
        with self._lock:
            self._state = _no_state()
            self._written.clear()

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
    return b"", None, _UNUSED  # no header equals None; each state is an object of its own
