"""`Store`: a dict on disk. The mapping's own methods; what else it can do is in the classes it is made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from itertools import islice
from types import FunctionType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from store.errors import Corrupt, Tampered
from store.mapping.maintenance import Maintenance
from store.mapping.records import Records
from store.mapping.views import Items, Names, Values
from store.opened.arguments import check_name, sought_name
from store.opened.edits import Transactions
from store.opened.readcache import MISSING
from store.rows.row import Row
from store.watching.mixin import Watching

if TYPE_CHECKING:  # a `Store("app.db")` that nobody annotated holds anything (PEP 696; in typing since 3.13)
    from typing_extensions import TypeVar as TypeVarWithDefault

    V = TypeVarWithDefault("V", default=Any)
else:
    V = TypeVar("V")
D = TypeVar("D")

BATCH = 500  # records that `update` packs before it writes them


class Store(Records[V], Transactions[V], Maintenance[V], Watching[V], MutableMapping[str, V]):
    """A mapping from names to Python objects in one file, shared by threads and processes.

    Safe across threads, processes and forks; each single operation is atomic. What you get is always a fresh
    object: change it and assign it again, or use `edit`.

    Args:
        location: a path, ":memory:", or a URL such as "sqlite:///app.db". On a network mount, which is told by the
            table of mounts, it is slower and each read waits for writers; STORE_NETWORK=1 or 0 in the environment
            overrules the table.
        namespace: which of the mappings in the file; see `within`.
        codec: how values are encoded: "pickle", "json", another of `store.codecs`, "auto" (numpy for arrays, pickle
            for all else), or an object of yours with `name`, `encode` and `decode`. Records remember theirs.
        protocol: the codec's format version; None is its default (5 for pickle).
        ttl: seconds that a record lives from its assignment; None is for ever.
        mode: "r" reads only, "w" opens what exists, "c" makes it, "n" starts the namespace empty.
        writeback: keep values that were read alive, and write back on `sync` and `close` what changed.
        trust: "own" reads only what a key of yours sealed; "data" also plain data and allowed classes of
            others; "all" runs whatever the file says.
        allow: classes, or dotted names of classes, that load whoever wrote the record; see `store.allow`.
        renames: old dotted name → new one, for classes and modules that moved since records were written.
        on_missing: what a record whose class is gone does: "raise", or load with a "placeholder" in its place.
        key: the secret that seals records (bytes, str, path of a key file, or several, newest first); None
            is STORE_KEY_FILE, STORE_KEY, or a key of the user's own. 64 hexadecimal digits are 32 bytes. One that can
            be guessed (under 16 bytes, "aaaa…") raises ValueError: what it has sealed is read with key=[new, old].
        on_unreadable: what iterating over values, items and copies (`s | {}`) does with a record that cannot be
            decoded: "raise", "skip", or a function of its name and the error, which gives the value to put in
            its place. `s[name]` and `==` always raise.
        durability: "normal" survives any crash of any process, "full" a power cut too.
        timeout: seconds to wait for another writer.
        cache_bytes: how much of what was read is kept, as bytes, to be read again at the speed of memory; it is good
            until anybody writes, in whatever process. 0 is none. With `writeback` there is none.
        spill_bytes: parts of a value that are larger (an array's data, or all of it) are files beside the database.
        mmap: arrays from such files are the files themselves, mapped read-only: whatever their size, they are there
            at once. False: a private copy, which can be written.
        verify_buffers: compare such files with their checksums at each read, and not only in `verify()`.
        verify_writes: decode every value before it is committed, which doubles the time that encoding takes. False:
            the first value of each class that this process stores, and exceptions always; that is a sample.
        clock: what tells the time in Unix seconds; for tests.
        rights: mode and group of the file, where this call makes it (`store.companions.Rights`); None leaves them to
            the umask. What is made beside the file has those of the file.

    Raises:
        StoreNotFound: mode "r" or "w", or no such directory. NotAStore: the file is something else.
        ReadOnly: it cannot be written. StorageError: it cannot be opened.
    """

    __hash__ = None  # type: ignore[assignment]

    # -- one record

    def __getitem__(self, name: str) -> V:
        value: V = self._read(name)
        if value is MISSING:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: V) -> None:
        if self._writeback is not None:
            self.put(name, value)
        else:
            self._assign(check_name(name), value)

    def __delitem__(self, name: str) -> None:
        wanted = sought_name(name)
        if wanted is None or not (self._delete(wanted) or self._delete_damaged(wanted)):
            raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        now = self._clock()
        if type(name) is str and self._cache.has(name, now):
            return True
        wanted = sought_name(name)
        if wanted is None:
            return False
        exists = self._backend.exists(self._namespace, wanted, now)
        return self._found(wanted, now) is not None if exists is None else exists

    @overload
    def get(self, name: str, /) -> V | None: ...
    @overload
    def get(self, name: str, default: V | D, /) -> V | D: ...
    def get(self, name: str, default: Any = None, /) -> Any:
        """The value of that name, or `default` where there is no such record."""
        value = self._read(name)
        return default if value is MISSING else value

    @overload
    def pop(self, name: str, /) -> V: ...
    @overload
    def pop(self, name: str, default: V | D, /) -> V | D: ...
    def pop(self, name: str, default: Any = MISSING, /) -> Any:
        """Deletes a record and returns its value, as one step; one that cannot be decoded stays."""
        with self._backend.transaction():
            row = self._find(name)
            if row is not None:
                value = self._value(row)
                self._delete(row.name)
                return value
        if default is MISSING:
            raise KeyError(name)
        return default

    def popitem(self) -> tuple[str, V]:
        """Deletes the record that was inserted last and returns name and value, as one step."""
        with self._backend.transaction():
            row = self._backend.last(self._namespace, self._clock())
            if row is None:
                raise KeyError("popitem(): the store is empty")
            value = self._value(row)
            self._delete(row.name)
            return row.name, value

    def setdefault(self, name: str, default: V = None, /) -> V:  # type: ignore[assignment]
        """The value of that name; where there is none, `default` is stored and returned. One step."""
        name = check_name(name)
        value: V = self._read(name)
        if value is not MISSING:
            return value
        with self._backend.transaction():
            row = self._find(name)
            if row is not None:
                return self._value(row)
            self[name] = default
            return default

    # -- many

    def update(self, other: Any = (), /, **named: V) -> None:
        """Stores all of a mapping, of pairs, or of the keyword arguments, as one transaction."""
        pairs = iter(_pairs_of(other, named))
        with self._backend.transaction() as transaction:
            while batch := list(islice(pairs, BATCH)):
                rows = self._packed(batch)
                self._backend.add_sealer(rows[0].seal[:8])
                self._backend.put_many(rows, self._clock())
                self._count_writes(len(rows))
                if self._writeback is not None:
                    for (_, value), row in zip(batch, rows, strict=True):
                        self._writeback.learn(value, row, transaction)

    def clear(self) -> None:
        """Deletes all records of this namespace."""
        if self._writeback is None:
            self._backend.clear(self._namespace)
            return
        with self._backend.transaction() as transaction:
            self._backend.clear(self._namespace)
            self._writeback.clear(transaction)

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc]
        self.update(other)
        return self

    def __or__(self, other: Mapping[str, D]) -> dict[str, V | D]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return {**self._snapshot(), **other}

    def __ror__(self, other: Mapping[str, D]) -> dict[str, V | D]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return {**other, **self._snapshot()}

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Mapping):
            return NotImplemented
        mine = self._whole()
        return mine == (other._whole() if isinstance(other, Store) else dict(other.items()))

    # -- all

    def __len__(self) -> int:
        now = self._clock()
        count = self._cache.count(now)
        return self._counted(now) if count is None else count

    def __bool__(self) -> bool:
        return len(self) > 0

    def __iter__(self) -> Iterator[str]:
        return self._names()

    def __reversed__(self) -> Iterator[str]:
        return self._names(reverse=True)

    def keys(self) -> Names:
        """A live view of the names, set-like."""
        return Names(self)

    def values(self) -> Values[V]:
        """A live view of the values."""
        return Values(self)

    def items(self) -> Items[V]:
        """A live view of the pairs of name and value, set-like."""
        return Items(self)

    # -- how it is done

    def _names(self, reverse: bool = False) -> Iterator[str]:
        """The names there were when the iteration began, less those deleted since."""
        after, until = 0, self._backend.last_id(self._namespace)
        while page := self._backend.name_page(self._namespace, after, until, self._clock(), reverse=reverse):
            for _, name in page:
                if type(name) is str:  # else it is no text: nothing could be asked for by such a name
                    yield name
            after, until = _rest(after, until, page[-1][0], reverse)

    def _rows(self, reverse: bool = False) -> Iterator[Row]:
        after, until = 0, self._backend.last_id(self._namespace)
        while page := self._backend.page(self._namespace, after, until, self._clock(), reverse=reverse):
            yield from page
            after, until = _rest(after, until, page[-1].id or 0, reverse)

    def _pairs(self, reverse: bool = False) -> Iterator[tuple[str, V]]:
        return self._decoded(self._rows(reverse), self._on_unreadable)

    def _snapshot(self) -> dict[str, V]:
        """All of it as of one moment; the rows are read before the first one is decoded."""
        return dict(self._decoded(self._backend.all_rows(self._namespace, self._clock()), self._on_unreadable))

    def _whole(self) -> dict[str, V]:
        """As `_snapshot`, but of every record: two stores are not equal for what was left out of one."""
        return dict(self._decoded(self._backend.all_rows(self._namespace, self._clock())))

    def _counted(self, now: float) -> int:
        """The number of records, asked for; it holds until one is written, or the next one expires."""
        state = self._cache.begin()
        if state is None:
            return self._backend.count(self._namespace, now)
        count, until = self._backend.count_until(self._namespace, now)
        self._cache.file_count(state, count, now, until)
        return count

    def _delete_damaged(self, name: str) -> bool:
        """Delete a record that looks expired, and may not be: reading it raises. Whether there was such a one."""
        try:
            self._find(name)
        except (Tampered, Corrupt):
            if not self._backend.delete(self._namespace, name, -math.inf):
                raise
            return True
        return False

    def _delete(self, name: str) -> bool:
        if self._writeback is None:
            return self._backend.delete(self._namespace, name, self._clock())
        with self._backend.transaction() as transaction:
            self._writeback.forget(name, transaction)
            return self._backend.delete(self._namespace, name, self._clock())


def _own(base: type) -> None:
    """Have errors of wrong calls, such as a misspelled option, name the methods of a base as those of `Store`."""
    for name, member in vars(base).items():
        if isinstance(member, FunctionType):
            member.__module__, member.__qualname__ = Store.__module__, f"{Store.__name__}.{name}"


for _base in Store.__mro__[1:]:
    if _base.__module__.startswith("store."):
        _own(_base)


def _rest(after: int, until: int, last: int, reverse: bool) -> tuple[int, int]:
    """The range of row ids that a page which ended at `last` leaves."""
    return (after, last - 1) if reverse else (last, until)


def _pairs_of(other: Any, named: Mapping[str, V]) -> Iterable[tuple[str, V]]:
    if isinstance(other, Mapping):
        yield from other.items()
    elif hasattr(other, "keys"):
        for name in other.keys():  # noqa: SIM118
            yield name, other[name]
    else:
        yield from other
    yield from named.items()
