"""The contract of a backend: where sealed rows are kept, and how they are found again.

A backend sees bytes only; it knows nothing of values, codecs, keys and seals. It never reads the wall
clock: `now`, in Unix seconds, comes from above, and a row whose `expires` is not after it is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from store.rows.row import Header, Identity, Mark, Row, Total
from store.rows.spilled import Part
from store.system.locking import WriterLock
from store.system.registry import Registry

HEADER = slice(0, 48)  # where in what `Coherence.index` gives the header is
LOOK_SECONDS = 1.0  # how often readers make sure that the file is still in its place


class NamedLock(Protocol):
    """A lock by name that was taken."""

    @property
    def fence(self) -> int | None:
        """A number that grows with each holder; None where the lock cannot be lost to another holder."""

    def is_kept(self) -> bool:
        """Whether it still excludes others: not after a fork, nor where it was lost."""

    def release(self) -> None:
        """Give it back; nothing happens where it is not kept any more."""


class Transaction(AbstractContextManager["Transaction"], Protocol):
    """All or nothing: commits when its `with` block ends, rolls back when an exception leaves it."""

    def on_rollback(self, undo: Callable[[], None]) -> None:
        """Call `undo` if what happens in this transaction is rolled back."""

    def on_commit(self, done: Callable[[], None]) -> None:
        """Call `done` once what happens in this transaction is committed."""

    def claim(self, namespace: str, name: str) -> bool:
        """Take a record for this transaction's own; False where one around it has."""

    def hand_over(self) -> None:
        """From now on it is a block of the program's own, until `take_back`."""

    def take_back(self) -> None:
        """It is a part of the caller's operation again, which ends it."""


class Usage(Protocol):
    """What a backend can say of the space that it takes, in bytes."""

    @property
    def file_bytes(self) -> int: ...

    @property
    def wal_bytes(self) -> int: ...

    @property
    def wal_pinned_bytes(self) -> int:
        """What of the log a reader keeps from being folded into the file."""

    @property
    def wal_pinned_by(self) -> int | None:
        """Its process; None where there is none, or the system does not know it."""

    @property
    def checkpoint_error(self) -> str | None:
        """Why the last attempt to fold the log into the file failed, if it did."""


class CachedReads(Protocol):
    """What a backend tells of changes that no header shows."""

    def drop(self) -> None:
        """Nothing will tell of changes any more."""

    def renew(self) -> None:
        """As `drop`, in a forked child, where the locks of the parent's threads are held for ever."""


class Coherence(Protocol):
    """Tells whether anybody has committed anything since a cached read, for the price of comparing bytes.

    Its first 48 bytes, the header, differ after each commit by any process. A row that is read after the header was
    is as new as that header, or newer.
    """

    writer: WriterLock
    """Its `holder` is None while no thread of this process writes or is in a transaction."""
    looked: float
    """When a reader last made sure that the file is still in its place; a read does, LOOK_SECONDS after that."""

    def index(self) -> Any:
        """What holds the header, and is another object where it may be another file's; None: nothing tells."""

    def between(self, before: bytes, after: bytes) -> list[Sequence[tuple[str, str]]] | None:
        """The names that commits of this process touched from one header to another.

        None: others have committed too, or too much has happened since to be known.
        """

    def register(self, cache: CachedReads) -> None: ...

    def unregister(self, cache: CachedReads) -> None: ...

    def drop(self) -> None:
        """Have all caches begin anew."""


class Freed(Protocol):
    """What `compact` gave back."""

    @property
    def files(self) -> int:
        """Files of records that were replaced or deleted."""

    @property
    def orphans(self) -> int:
        """Files of writes that never came to their end."""

    @property
    def file_bytes(self) -> int:
        """The size of all those."""

    @property
    def database_bytes(self) -> int: ...

    @property
    def files_left(self) -> int:
        """Files that nobody needs, and that must stay while a reader has an older state of the database."""


class Copy(Protocol):
    """What a backup has, or a store that was restored."""

    @property
    def records(self) -> int: ...

    @property
    def database_bytes(self) -> int: ...

    @property
    def file_bytes(self) -> int:
        """Of all files of large values."""

    @property
    def parts(self) -> Mapping[str, Part]:
        """Those files by name."""


class Spill(Protocol):
    """The files of values that are too large for a row, by the text that the row has in `spill`.

    Written before their row is, they go again unless that is committed. Whoever reads gets what belongs to the
    record, or an error: no file of another record, and nothing outside of the folder, is ever opened.
    """

    def write(self, namespace: str, name: str, contents: Sequence[Any], timeout: float) -> str:
        """Writes and syncs a file for each content, and returns the text. The row is then put or discarded.

        Raises:
            ReadOnly, StorageError, LockTimeout.
        """

    def restore(
        self, namespace: str, name: str, parts: Sequence[Part], contents: Sequence[Any], timeout: float
    ) -> str:
        """The same with names and checksums that are given; None is a file that is missing, and stays so.

        Raises:
            StorageError: such a file is there, and is not what its checksum says (EEXIST); and as `write`.
        """

    def discard(self, text: str) -> None:
        """Removes what was written for a row that was not put; nothing happens where it was."""

    def prefix(self, namespace: str, name: str) -> str:
        """What the names of the record's files begin with; see `store.rows.spilled`."""

    def body(self, part: Part) -> bytes:
        """A copy in private memory, checked against its checksum.

        Raises:
            Corrupt: the file is missing, truncated or altered; `.file` says which. StorageError.
        """

    def buffer(self, part: Part, *, mapped: bool, verify: bool) -> memoryview:
        """The file mapped read-only, or a copy that may be written; `verify`: checked too. Raises: as `body`."""

    def problem(self, part: Part, *, content: bool) -> str | None:
        """What is wrong with a file, and with its `content` if asked; None where nothing is."""

    def refuse_hollow(self, parts: Sequence[Part]) -> None:
        """Raises: Corrupt: the files of a record of somebody else take far more memory than disk."""

    def contents(self, part: Part) -> bytes | None:
        """What there is of a file, unchecked; None where it is missing."""


class Monitor(Protocol):
    """Tells that something was committed, and which records there are now. Never waits, for no writer either.

    Safe across threads; in a forked child it is not to be used.

    Raises:
        LockTimeout: just now it cannot be read; try again. StoreClosed: it was closed, or the store was.
        StorageError: the file was replaced or deleted.
    """

    def version(self) -> object:
        """Equal to the last one only if nobody has committed anything in between."""

    def marks(self, prefix: str, after: str | None, limit: int) -> list[Mark]:
        """Up to `limit` records in name order, the first one after `after`; those that have expired too."""

    def marks_of(self, names: Sequence[str]) -> list[Mark]:
        """Those of these names, in name order."""

    def headers(self, names: Sequence[str], now: float) -> list[Header]: ...

    def close(self) -> None: ...


class Backend(Protocol):
    """Keeps rows. Safe across threads and processes; a fork is the backend's to survive."""

    location: str
    """The path or URL that opens it again, or ":memory:"."""
    store_id: bytes
    """Sixteen random bytes made with the file; part of every seal."""
    coherence: Coherence

    @property
    def spill(self) -> Spill | None:
        """Where large values go; None where all goes into rows."""

    def get(self, namespace: str, name: str, now: float) -> Row | None:
        """The row of that name, or None."""

    def find(self, namespace: str, name: str, now: float) -> Row | None:
        """As `get`, but one that has expired too: whether it has is for the seal to say.

        Raises: Corrupt: it is damaged where a name is looked up, so that nobody can say that there is none.
        """

    def find_many(self, namespace: str, names: Sequence[str], now: float) -> list[Row]:
        """The rows of those names that exist, as of one moment; those that have expired too. Raises: as `find`."""

    def exists(self, namespace: str, name: str, now: float) -> bool | None:
        """Whether there is a row of that name; None: it has expired, going by what it says. Raises: as `find`."""

    def count(self, namespace: str, now: float) -> int: ...

    def count_until(self, namespace: str, now: float) -> tuple[int, float]:
        """The count, and the moment at which the next record expires, infinity where none does."""

    def last(self, namespace: str, now: float) -> Row | None:
        """The row that was inserted last."""

    def last_id(self, namespace: str) -> int:
        """No row of the namespace has a larger id; 0 where there is none."""

    def page(self, namespace: str, after: int, until: int, now: float, *, reverse: bool) -> list[Row]:
        """Some rows with `after < id <= until` in order of insertion (`reverse`: from `until` down); [] = no more.

        Those that have expired too.
        """

    def name_page(
        self, namespace: str, after: int, until: int, now: float, *, reverse: bool
    ) -> list[tuple[int, str | bytes]]:
        """The same of those that have not expired, as pairs of id and name."""

    def all_rows(self, namespace: str, now: float) -> list[Row]:
        """Every row in order of insertion, as of one moment; those that have expired too."""

    def every_row(self) -> Iterator[Row]:
        """Every row of every namespace, those that have expired too, in order of insertion, page by page.

        As of when it begins, less what is deleted meanwhile; nothing is held open between two pages.
        """

    def damage(self, *, quick: bool) -> list[str]:
        """What is wrong with what it stores on, apart from the records; [] where nothing is.

        `quick`: without comparing indexes with tables.
        """

    def unread_commits(self) -> int:
        """How many commits are there that nothing reads, since something before them is damaged."""

    def listed(self) -> Iterator[tuple[Any, Any, Any]]:
        """Id, namespace and name of every record, as the index of names has them.

        Raises: Corrupt: at the end, where the index leads round in a circle.
        """

    def row(self, id_: int) -> Row | None:
        """The row of that id, found without any index."""

    def names(
        self, namespace: str, prefix: str, after: str | None, limit: int, now: float, *, reverse: bool
    ) -> list[str]:
        """Up to `limit` names in order of their code points; the first one comes after `after`."""

    def header(self, namespace: str, name: str, now: float) -> Header | None:
        """The row without its body, or None."""

    def headers(self, namespace: str, names: Sequence[str], now: float) -> list[Header]: ...

    def identity(self, namespace: str, name: str, now: float) -> Identity | None:
        """What tells this record from an earlier one of its name."""

    def put(self, row: Row, now: float) -> bytes | None:
        """Insert, or update in place: the row that was there keeps its id and `created`; revision + 1.

        One of that name that has expired is replaced; no row of another name is touched. Returns the header after
        the commit, where that is the one commit since the caches' tag; else, and inside a transaction, None.
        """

    def put_many(self, rows: Sequence[Row], now: float) -> None: ...

    def delete(self, namespace: str, name: str, now: float) -> bool:
        """Whether there was one to delete."""

    def clear(self, namespace: str) -> None: ...

    def expired(self, namespace: str, after: tuple[float, int] | None, now: float, limit: int) -> list[Row]:
        """Up to `limit` rows that have expired, the oldest expiry first; `after`: expiry and id of the one before.

        [] = no more.
        """

    def expiring(self, after: str | None, now: float, limit: int) -> list[tuple[str, bool]]:
        """The first namespaces behind another, or of all, that have records which expire some day; and whether some
        have."""

    def delete_rows(self, rows: Sequence[Row]) -> None:
        """Delete those rows, which the open transaction has read."""

    def namespaces(self, now: float) -> list[str]: ...

    def sealers(self) -> set[bytes]:
        """The ids of keys that sealed here: the first thousand that the file lists, which a sound one never has."""

    def add_sealer(self, key_id: bytes) -> None: ...

    def forget_sealers_but(self, key_ids: set[bytes]) -> None:
        """List no other keys than these as those that sealed records."""

    def count_by_key(self) -> dict[bytes, int]:
        """The records of all namespaces, those that have expired too, by the id of the key that sealed them."""

    def row_count(self) -> int:
        """The records of all namespaces, those that have expired too."""

    def reseal(self, row: Row, before: bytes) -> bool:
        """Replace seal and checksum of a record that bears the seal `before`, and nothing else; whether it did."""

    def totals(self, namespace: str, now: float) -> Iterable[Total]:
        """One for each pair of codec and protocol."""

    def usage(self) -> Usage: ...

    def orphans(self) -> list[str]:
        """Files that no record and no garbage names, but for those of writes in progress."""

    def compact(self, progress: Callable[[int, int], None] | None) -> Freed:
        """Removes files that nobody needs any more, and gives free space of the database back.

        In steps, between which other writers get their turn. `progress` is called after each, with how much is done
        and how much there is.

        Raises:
            StoreError: inside a transaction. ReadOnly, LockTimeout, StorageError.
        """

    def backup(self, path: str, check: Callable[[Row], bool], progress: Callable[[int, int], object] | None) -> Copy:
        """Puts a copy of the store, as of one moment, into the place of a backup of it, or where nothing is yet.

        `check` gets each row of the copy, and raises a RecordError for one that is damaged; `progress` gets bytes
        done and bytes of all. What either raises ends it and leaves at `path` what was there.

        Raises:
            NotAStore, StorageError, StoreError: something else is there. RecordError, Corrupt: the store is damaged.
            LockTimeout, ReadOnly.
        """

    def transaction(self, timeout: float | None = None, *, block: bool = False) -> Transaction:
        """One writer at a time; nests. `timeout`: seconds to wait for other writers; None is the handle's.

        `block`: it is the program's own, which a signal handler that strikes in it joins. Else it is a part of the
        operation whose frame enters it, and what strikes that is refused with `InUse`.
        """

    def afterwards(self, work: Callable[[], None]) -> None:
        """Call `work` when this thread's transaction is committed and others may write; at once if none is open."""

    def in_transaction(self) -> bool:
        """Whether this thread has a transaction open, be it another task's, or struck by the caller."""

    def in_transaction_of_any(self) -> bool:
        """Whether it has one open, of this or of any other file."""

    def is_struck(self) -> bool:
        """Whether the caller is a signal handler or a finalizer that struck an operation on the store."""

    def put_off(self, work: Callable[[], object]) -> bool:
        """Where it is, have `work` done once that operation has ended; whether it is."""

    def lock(self, name: str, timeout: float) -> AbstractContextManager[NamedLock]:
        """A lock between processes for the program's own purposes, for a block of this thread.

        Raises: LockTimeout. StoreError: this thread has it already.
        """

    def take_lock(self, name: str, timeout: float) -> NamedLock:
        """The same for any thread, until it is released or dropped. Raises: LockTimeout."""

    def monitor(self, namespace: str) -> Monitor:
        """What a watcher of that namespace asks. Raises: StorageError: here changes cannot be seen."""

    def share(self) -> Backend:
        """Another handle on the same store."""

    def is_shared(self) -> bool:
        """Whether there are other handles, which keep it open when this one is closed."""

    def close(self) -> None: ...


schemes = Registry("backend")
"""URL scheme → `open(location, *, mode, timeout, durability)`."""
schemes.register("sqlite", "store.engines.sqlite.backend:open_sqlite")

restorers = Registry("backend")
"""URL scheme → `restore(backup, location, *, check_of, progress, timeout)`, which returns a Copy and whether a store
was replaced. `check_of` makes the `check` of `Backend.backup` from the id of the store."""
restorers.register("sqlite", "store.engines.sqlite.care.restore:restore")
