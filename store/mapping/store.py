"""`Store`: a dict on disk.

One file because it is the manual page of the package: each method is a documented forward to the function that does
the work, on `Store.opened`, the parts of the open store.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from store.classes.lookup import Renames
from store.codecs import CodecChoice
from store.mapping.views import Items, Names, Values
from store.opened import edits, reading, writing
from store.opened.edits import Edit
from store.opened.locks import Lock
from store.opened.namespace import Namespace
from store.opened.opening import open_namespace
from store.opened.options import (
    CACHE_BYTES,
    DEFAULT_TIMEOUT_SECONDS,
    Durability,
    Mode,
    OnMissing,
    OnUnreadable,
    Options,
    Trust,
)
from store.opened.sentinels import MISSING, UNSET, Absent, Missing, Unset
from store.system.clock import wall_clock
from store.system.file_status import reaching
from store.system.rights import Rights
from store.trust.keys.ring import KeySource
from store.values.large import DEFAULT_SPILL_BYTES
from store.watching import INTERVAL_SECONDS

if TYPE_CHECKING:  # a `Store("app.db")` without annotation holds anything (PEP 696; in typing since 3.13)
    from typing_extensions import TypeVar as TypeVarWithDefault

    from store.care.backup import Backup
    from store.care.compact import Compaction
    from store.care.inspect import Inspection
    from store.care.rekey import Rekeying
    from store.care.stats import Stats
    from store.care.verify import Verification
    from store.rows.record import Record
    from store.watching.watch import Watch

    V = TypeVarWithDefault("V", default=Any)
else:
    V = TypeVar("V")
D = TypeVar("D")


class Store(MutableMapping[str, V]):
    """A mapping from names to Python objects in one file, shared by threads and processes.

    Safe across threads, processes and forks; each single operation is atomic. Reading always returns a fresh
    object: change it and assign it again, or use `edit`.

    Args:
        location: a path, ":memory:", or a URL such as "sqlite:///app.db". On a network mount, recognised by the
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
            decoded: "raise", "skip", or a function of its name and the error, which returns the value to put in
            its place. `s[name]` and `==` always raise.
        durability: "normal" survives any crash of any process, "full" a power cut too.
        timeout: seconds to wait for another writer.
        cache_bytes: how many bytes of records that were read are kept, to be read again at the speed of memory;
            they are good until any process writes. 0 is none. With `writeback` there is none.
        spill_bytes: parts of a value that are larger (an array's data, or all of it) are files beside the database;
            on a server they are rows, in chunks.
        mmap: arrays from such files are the files themselves, mapped read-only: whatever their size, they are there
            at once. False: a private copy, which can be written. From a server both are copies.
        verify_buffers: compare such files with their checksums at each read, and not only in `verify()`.
        verify_writes: decode every value before it is committed, which doubles the time that encoding takes. False:
            the first value of each class that this process stores, and exceptions always; that is a sample.
        clock: a function that returns the Unix time; for tests.
        rights: mode and group of the file, where this call makes it (`store.system.rights.Rights`); None leaves them
            to the umask. Files beside it get the same.

    Raises:
        StoreNotFound: mode "r" or "w", or no such directory. NotAStore: the file is something else.
        ReadOnly: it cannot be written. StorageError: it cannot be opened.
    """

    __hash__ = None  # type: ignore[assignment]
    _opened: Namespace

    def __init__(
        self,
        location: str | os.PathLike[str],
        *,
        namespace: str = "",
        codec: CodecChoice = "pickle",
        protocol: int | None = None,
        ttl: float | None = None,
        mode: Mode = "c",
        writeback: bool = False,
        trust: Trust = "data",
        allow: Iterable[type | str] = (),
        renames: Renames | None = None,
        on_missing: OnMissing = "raise",
        key: KeySource = None,
        on_unreadable: OnUnreadable = "raise",
        durability: Durability = "normal",
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        cache_bytes: int = CACHE_BYTES,
        spill_bytes: int = DEFAULT_SPILL_BYTES,
        mmap: bool = True,
        verify_buffers: bool = False,
        verify_writes: bool = False,
        clock: Callable[[], float] = wall_clock,
        rights: Rights | None = None,
    ) -> None:
        options = Options(
            codec, protocol, ttl, mode, writeback, trust, allow, renames, on_missing, on_unreadable, durability,
            timeout, cache_bytes, spill_bytes, mmap, verify_buffers, verify_writes,
        )  # fmt: skip
        self._opened = open_namespace(location, namespace, options, key=key, clock=clock, rights=rights)

    # -- one record

    def __getitem__(self, name: str) -> V:
        """Returns the value of a name, decoded anew.

        Raises:
            KeyError: no such record, or it has expired. Untrusted: it needs more than `trust` allows. Tampered,
                Corrupt: its seal does not hold. CodecUnavailable: the codec's library is not installed.
        """
        value: V = self._opened.get(name)
        if value is MISSING:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: V) -> None:
        """Stores a value under a name, with the store's codec and lifetime; it is committed on return.

        Raises:
            NotSerializable: the value cannot be encoded; says where in it. LockTimeout, ReadOnly, StorageError.
        """
        writing.assign(self._opened, name, value)

    def __delitem__(self, name: str) -> None:
        """Deletes a record. Raises: KeyError: there is none; `delete` returns False then."""
        if not writing.delete(self._opened, name):
            raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        """Returns whether there is a record of that name, without decoding it."""
        return reading.contains(self._opened, name)

    @overload
    def get(self, name: str, /) -> V | None: ...
    @overload
    def get(self, name: str, default: V | D, /) -> V | D: ...
    def get(self, name: str, default: Any = None, /) -> Any:
        """Returns the value of that name, or `default` where there is no such record."""
        value = self._opened.get(name)
        return default if value is MISSING else value

    def put(
        self,
        name: str,
        value: V,
        *,
        ttl: float | Unset | None = UNSET,
        codec: CodecChoice | None = None,
        protocol: int | None = None,
        if_version: Record | str | Absent | None = None,
    ) -> Record:
        """Stores a value with options of its own; returns the metadata of its record.

        Args:
            ttl: seconds to live; None is for ever; left out, it is the store's.
            codec, protocol: for this record; None is the store's.
            if_version: write only if the record is still in this state: a `Record`, or its `version`; or
                `store.ABSENT`: only if there is none. None: whatever there is.

        Raises:
            Conflict: the record is in another state by now. NotSerializable: the value cannot be encoded.
        """
        return writing.put(self._opened, name, value, ttl, codec, protocol, if_version)

    def add(self, name: str, value: V, *, ttl: float | Unset | None = UNSET) -> bool:
        """Stores a value only where there is no such record, as one step; returns whether it did.

        Of many processes that add a name one gets True. `ttl` is in seconds; None is for ever; left out, it is the
        store's.

        Raises:
            NotSerializable: the value cannot be encoded.
        """
        return writing.add(self._opened, name, value, ttl)

    def incr(self, name: str, delta: int = 1, *, default: int = 0) -> int:
        """Adds `delta` to a whole number, as one step across threads and processes; returns the sum.

        Expiry, codec and protocol stay. Where the record is missing, `default + delta` is stored with the store's.

        Raises:
            TypeError: the value, `delta` or `default` is not an int; nothing was written.
        """
        return edits.incr(self._opened, name, delta, default)

    def delete(self, name: str, *, if_version: Record | str | None = None) -> bool:
        """Deletes a record; returns whether there was one.

        Args:
            if_version: delete only if the record is still in this state: a `Record`, or its `version`.

        Raises:
            Conflict: the record is in another state by now, or was deleted.
        """
        return writing.delete(self._opened, name, if_version)

    @overload
    def pop(self, name: str, /) -> V: ...
    @overload
    def pop(self, name: str, default: V | D, /) -> V | D: ...
    def pop(self, name: str, default: Any = MISSING, /) -> Any:
        """Deletes a record and returns its value, as one step; one that cannot be decoded stays."""
        return writing.pop(self._opened, name, default)

    def popitem(self, last: bool = True) -> tuple[str, V]:
        """Deletes the record that was inserted last and returns name and value, as one step.

        `last=False`: the one that was inserted first, as a queue does.

        Raises:
            KeyError: the namespace is empty.
        """
        return writing.popitem(self._opened, last=last)

    def setdefault(self, name: str, default: V = None, /) -> V:  # type: ignore[assignment]
        """Returns the value of that name; where there is none, `default` is stored and returned. One step."""
        value: V = writing.setdefault(self._opened, name, default)
        return value

    def touch(self, name: str, ttl: float | Unset | None = UNSET) -> Record:
        """Gives a record a new lifetime; returns its metadata.

        `ttl` is in seconds from now; None is for ever; left out, it is the store's.
        The value is not decoded: its bytes are checked and sealed anew with the new expiry.

        Raises:
            KeyError: no such record. Untrusted: it was not sealed by a key of ours, and nothing else is.
        """
        return writing.touch(self._opened, name, ttl)

    # -- many records

    def update(self, other: Any = (), /, **named: V) -> None:
        """Stores all of a mapping, of pairs, or of the keyword arguments, as one transaction."""
        writing.update(self._opened, other, named)

    def delete_many(self, names: Iterable[str]) -> int:
        """Deletes the records of those names, as one transaction; returns how many there were."""
        return writing.delete_many(self._opened, names)

    def delete_prefix(self, prefix: str) -> int:
        """Deletes the records whose name begins with `prefix`; returns how many.

        In batches, each a transaction, between which other writers get their turn; inside `transaction` all as one.
        Records that others add meanwhile may stay.

        Raises:
            ValueError: the prefix is empty; to delete everything use `clear`.
        """
        return writing.delete_prefix(self._opened, prefix)

    def clear(self) -> None:
        """Deletes all records of this namespace."""
        writing.clear(self._opened)

    def get_many(self, names: Iterable[str]) -> dict[str, V]:
        """Returns the values of those names that exist, in the order given, as of one moment."""
        return reading.get_many(self._opened, names)

    def keys(self) -> Names:
        """Returns a live view of the names, set-like."""
        return Names(self, self._opened)

    def values(self) -> Values[V]:
        """Returns a live view of the values."""
        return Values(self, self._opened)

    def items(self) -> Items[V]:
        """Returns a live view of the pairs of name and value, set-like."""
        return Items(self, self._opened)

    def __len__(self) -> int:
        """Returns how many records the namespace has."""
        return reading.count(self._opened)

    def __bool__(self) -> bool:
        """Returns whether the namespace has any record."""
        return reading.count(self._opened) > 0

    def __iter__(self) -> Iterator[str]:
        """Iterates over the names in order of insertion: those there are now, less what is deleted meanwhile."""
        return reading.each_name(self._opened)

    def __reversed__(self) -> Iterator[str]:
        """Iterates over the names, the one that was inserted last first."""
        return reading.each_name(self._opened, reverse=True)

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc]
        """Stores all of `other`, as `update`."""
        self.update(other)
        return self

    def __or__(self, other: Mapping[str, D]) -> dict[str, V | D]:
        """Returns a dict of all records as of one moment, updated with `other`; `s | {}` is a copy."""
        if not isinstance(other, Mapping):
            return NotImplemented
        return {**reading.snapshot(self._opened), **other}

    def __ror__(self, other: Mapping[str, D]) -> dict[str, V | D]:
        """Returns a dict of `other`, updated with all records as of one moment."""
        if not isinstance(other, Mapping):
            return NotImplemented
        return {**other, **reading.snapshot(self._opened)}

    def __eq__(self, other: object) -> bool:
        """Returns whether both mappings have equal names and values, each as of one moment."""
        if self is other:
            return True
        if not isinstance(other, Mapping):
            return NotImplemented
        mine = reading.whole(self._opened)
        return mine == (reading.whole(other.opened) if isinstance(other, Store) else dict(other.items()))

    # -- several steps as one

    def transaction(self, *stores: Store[Any]) -> AbstractContextManager[Any]:
        """All or nothing: an exception that leaves the block undoes all of it. Nests (savepoints).

        Between processes and threads there is one writer at a time; reads inside see its writes. It belongs to the
        thread, greenlet or asyncio task that began it: do not await inside. Inside the transaction of another store,
        begin them in the order of the stores' paths everywhere: a deadlock is detected, and one side raises.

        Args:
            stores: other namespaces of this location that the block changes too. On a server one namespace has one
                writer at a time; name all of them here, in any order, and they are locked without a deadlock.

        Raises:
            LockTimeout: another writer took longer than `timeout` seconds, or waits for a store that this thread
                is in a transaction of. InUse: another task of this thread is suspended in one. Conflict: a server
                could not order it among others; nothing was kept, run it again, as `transact` does by itself.
                ValueError: one of `stores` is at another location. TypeError.
        """
        return self._opened.transaction(*map(edits.opened_of, stores), block=True)

    def transact(self, fn: Callable[[Self], D]) -> D:
        """Calls `fn(store)` in a `transaction`, and returns its result; an exception of it undoes everything.

        On engines that must retry `fn` may run again, so let it do nothing that cannot be done twice.
        """
        return edits.transact(self._opened, fn, self)

    def edit(self, name: str, default: V | Missing = MISSING) -> AbstractContextManager[V]:
        """Decodes the value, yields it, and writes it back if it changed: one atomic step.

        Atomic across threads and processes; expiry, codec and protocol stay. Where the record is missing
        `default` is yielded, and stored. An exception that leaves the block writes nothing.

        Raises:
            KeyError: no such record, and no default. TypeError: the value is immutable: use `modify`.
            StoreError: this thread is editing the record already, or another task of it is suspended in a
                transaction (`InUse`). Conflict: it was assigned inside.
        """
        return Edit(self._opened, name, default)

    def modify(self, name: str, fn: Callable[[V], V], default: V | Missing = MISSING) -> V:
        """Stores `fn(value)` in place of the value, as one atomic step, and returns it.

        Works for any value; `fn` must return the new one. It is given `default` where the record is missing.
        Expiry, codec and protocol stay. On engines that must retry `fn` may run again.

        Raises:
            KeyError: no such record, and no default; and whatever `fn` raises, with nothing written.
        """
        value: V = edits.modify(self._opened, name, fn, default)
        return value

    def lock(self, name: str, timeout: float | None = None) -> Lock:
        """Returns a lock of that name, for the program's own purposes, between threads and processes.

        `with s.lock("job"):` takes it; or see `Lock.acquire`. It does not hold up writers. Take several in one order
        everywhere: two programs that hold one each and wait for the other's do so until the timeout.

        Args:
            timeout: seconds that `with` waits; None is the store's.

        Raises, as `with` begins:
            LockTimeout: another thread or process held it for that long. StoreError: this thread holds it already,
                or is inside `edit` or `transaction` of this or any other store, where waiting could deadlock.
        """
        return Lock(self._opened, name, timeout)

    # -- metadata

    def record(self, name: str) -> Record:
        """Returns the metadata of a record, without decoding it. Raises: KeyError."""
        return reading.record(self._opened, name)

    def get_with_record(self, name: str) -> tuple[V, Record]:
        """Returns the value of a name and the metadata of the very record that it was decoded from.

        Raises:
            KeyError: no such record.
        """
        return reading.get_with_record(self._opened, name)

    def records(
        self, prefix: str = "", after: str | None = None, limit: int | None = None, reverse: bool = False
    ) -> Iterator[Record]:
        """Iterates over the metadata of records whose name begins with `prefix`, in name order, page by page.

        `after`, `limit` and `reverse` are those of `names`.
        """
        return reading.records(self._opened, prefix, after, limit, reverse)

    def names(
        self, prefix: str = "", after: str | None = None, limit: int | None = None, reverse: bool = False
    ) -> list[str]:
        """Returns names that begin with `prefix`, in the order of their code points, by the index.

        Args:
            after: start after this name (with `reverse`, before it); it need not exist.
            limit: at most so many; None is all.

        To page: `page = s.names(limit=100)`, then `s.names(after=page[-1], limit=100)`.
        """
        return reading.names(self._opened, prefix, after, limit, reverse)

    def watch(
        self,
        names: Iterable[str] | None = None,
        prefix: str = "",
        timeout: float | None = None,
        *,
        interval: float = INTERVAL_SECONDS,
    ) -> Watch[V]:
        """Iterates over the changes of this namespace from now on, by any process or thread, as `Change`.

        Iterate with `for`, or with `async for`, which never blocks the event loop for longer than one short read (the
        call itself reads all that is watched; where that is much, `AsyncStore` does it in its thread). Several writes
        of a record between two looks are one change; the last state is never missed. Several changes come in the
        order of their names, and each stands for itself. Asking 20 times a second whether there was any commit costs
        less than 1 % of a core; after one the watched records are compared, so give the `names`, or the `prefix`,
        that you need.

        Args:
            names: only records of these names, which need not exist.
            prefix: only names that begin with it.
            timeout: seconds without a change after which the iteration ends; 0: at once, with what has changed so
                far. None: never. Another `for` over the same object continues.
            interval: seconds between two looks. Where the engine is notified of commits, they end that pause at once.

        Raises:
            StoreError: inside a transaction, where the changes of others cannot come. StorageError: changes of this
                file cannot be seen; and while iterating: the file was replaced or deleted. StoreClosed: while
                iterating, the store was closed. LockTimeout: another program kept the file locked for the timeout.
        """
        with reaching(self.location):
            from store.watching.watch import Watch

        return Watch(self._opened, names, prefix, timeout, interval)

    # -- the store

    @property
    def location(self) -> str:
        """The absolute path of the file, or ":memory:"."""
        return self._opened.location

    @property
    def namespace(self) -> str:
        """The namespace whose records this mapping holds."""
        return self._opened.name

    @property
    def opened(self) -> Namespace:
        """The parts of the open store, for the code of this package; no promise is made about them."""
        return self._opened

    def within(self, namespace: str, *, cache_bytes: int | None = None) -> Self:
        """Returns another mapping in the same file, with the same options; it is closed on its own.

        Namespaces do not nest: the name is taken as it is. `cache_bytes`: of the other mapping; None: as this one.
        """
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__, _opened=self._opened.within(namespace, cache_bytes=cache_bytes))
        return other

    def namespaces(self) -> list[str]:
        """Returns the namespaces of the file that have records, in order."""
        return reading.namespaces(self._opened)

    def sync(self) -> None:
        """With `writeback=True`, writes back the values that changed since they were read.

        Raises:
            NotSerializable: one cannot be encoded; the others were written.
        """
        self._opened.sync()

    def close(self) -> None:
        """Writes back what `writeback=True` holds, and closes; a second call does nothing.

        In a signal handler that interrupted an operation on the file, it is closed once that has ended.

        Raises:
            StoreError: this thread is in a transaction of the file, and no other `Store` keeps it open.
        """
        self._opened.close()

    def __enter__(self) -> Self:
        """Returns the store, which is closed as the block ends."""
        self._opened.check_open()
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the store."""
        self.close()

    def __repr__(self) -> str:
        """Returns location, namespace and number of records."""
        where = f"<{type(self).__name__} {self.location!r} namespace={self.namespace!r}"
        return reading.shown(self._opened, where, lambda: reading.count(self._opened))

    def _repr_html_(self) -> str:
        """Returns location, number of records and the metadata of the first ones as a table, for notebooks."""
        from store.mapping.notebook import store_html

        return store_html(type(self).__name__, [self._opened], self.namespace)

    def __reduce__(self) -> tuple[Any, ...]:
        """Opens the same file again, with the same options but never with the key."""
        if self.location == ":memory:":
            raise TypeError("an in-memory store cannot be pickled: it lives in this process only")
        options = self._opened.options
        mode: Mode = "r" if options.mode == "r" else "w"
        return _reopen, (
            type(self), self.location, {**options._replace(mode=mode)._asdict(), "namespace": self.namespace}
        )  # fmt: skip

    # -- maintenance: loaded when it is called, when there may be no descriptor left to load it by

    def purge(self) -> int:
        """Deletes the expired records of this namespace that a key of yours sealed; returns how many.

        Anybody who can write the file can make a record of yours look expired: one whose seal does not hold stays,
        and `verify` names it. Records of other keys stay as well, since their expiry cannot be checked.
        """
        return self._opened.expired().delete_all(self.namespace)

    def stats(self) -> Stats:
        """Returns counts and sizes of this namespace, and of the file."""
        with reaching(self.location):
            from store.care.stats import stats

        return stats(self._opened)

    def inspect(self, name: str) -> Inspection:
        """Describes a record without executing anything of it.

        Raises:
            KeyError: no such record. Corrupt: the columns of the file hold something else than a record.
        """
        with reaching(self.location):
            from store.care.inspect import inspect

        return inspect(self._opened, name)

    def admit(self, inspection: Inspection) -> Record:
        """Seals exactly the bytes that were inspected with a key of ours: from now on they are decoded in full.

        Raises:
            Conflict: the record is another one by now: inspect it again. Tampered, Corrupt: bytes that were
                damaged or altered are never sealed. Untrusted: there is no key to seal with.
        """
        with reaching(self.location):
            from store.care.inspect import admit

        return admit(self._opened, inspection)

    def verify(self, *, quick: bool = False) -> Verification:
        """Checks the file, and the seal of every record in all namespaces, expired ones too; decodes none.

        In full: SQLite's integrity check, which compares the indexes with the table; the checksums of its log; and
        the files of large values, read and compared with theirs. `quick`: SQLite's quick check, every seal, and
        whether those files are there and have their size. A quick check does not find an index that leads to
        the wrong record, nor a file that was altered and kept its size; reading those raises as well.

        Page by page: in memory are one page, and the names of records that are not ours or not sound.
        """
        with reaching(self.location):
            from store.care.verify import verify

        return verify(self._opened, quick=quick)

    def rekey(self, *, progress: Callable[[int, int], None] | None = None) -> Rekeying:
        """Seals every record of the file with the newest key, expired ones too; then no record needs an older key.

        A retired key that leaked verifies what others write with it for as long as you hold it: make
        a new key (`store key new`), retire the old one, rekey each file, and delete its line from the key file.

        In transactions of at most 200 records: killed at any moment, each record is sealed by its old key or by the
        new one, and rerunning resumes. Only seals change: revision, times, expiry, order and files of large values
        stay, and `watch` reports nothing. Records that no key of yours sealed, and those whose seal does not hold,
        are left as they are and named. `progress` is called with how many records are done and how many there are.

        Raises:
            Untrusted: there is no key to seal with. ReadOnly, LockTimeout, StorageError: as any write.
        """
        with reaching(self.location):
            from store.care.rekey import rekey

        return rekey(self._opened, progress)

    def compact(self, *, progress: Callable[[int, int], None] | None = None) -> Compaction:
        """Removes files that no record needs any more, and gives free pages of the database back to the file system.

        In steps of 1000 pages or 500 files: readers are not held up, and other writers have their turn between two.
        Files of a write in progress are left alone. `progress` is called after each step, with how much is done and
        how much there is, in pages and files; other writers may change that meanwhile.

        Raises:
            StoreError: this thread is in a transaction. ReadOnly, LockTimeout, StorageError: as any write; the
                steps before it are done.
        """
        with reaching(self.location):
            from store.care.compact import compact

        return compact(self._opened, progress)

    def backup(self, path: str | os.PathLike[str], *, progress: Callable[[int, int], object] | None = None) -> Backup:
        """Copies the whole file to `path`, all namespaces and large values, as of one moment; the copy is a store.

        Others read and write meanwhile. A backup of this store that is there already is replaced once the new one is
        whole and on the disk; if anything ends it before that, the old one stays as it was. Large values are beside
        it, in `<path>-spill`: the two belong together. `progress` is called now and then with bytes that are done and
        bytes of all; an exception of it ends the backup. A child that is forked meanwhile cannot use the store.

        Raises:
            NotAStore, StorageError: at `path` is something else, another store, or no place; it is not touched.
            RecordError: this record is damaged; delete it, or restore it, before it is in every backup.
            StoreError: this thread is in a transaction, or `path` is this store, or in use as one. ValueError: it
            is no path of a file. LockTimeout, ReadOnly.
        """
        with reaching(self.location):
            from store.care.backup import backup

        return backup(self._opened, path, progress)


def _reopen(cls: type[Any], location: str, options: dict[str, Any]) -> Any:
    """Opens a pickled `Store` again; its pickles name this function."""
    return cls(location, **options)
