"""The capabilities of an engine: what some have and others do not, each one an attribute that may be None.

It has over 300 lines since each member says what it promises; there is no code here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from store.rows.row import Header, Mark, Row
from store.rows.spilled import Part
from store.system.locking import WriterLock

HEADER = slice(0, 48)  # where in what `Coherence.index` gives the header is
LOOK_SECONDS = 1.0  # how often readers make sure that the file is still in its place


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


class Transactions(Protocol):
    """Transactions that are held open: what is read and written on the handle in between is part of them."""

    def begin(self, timeout: float | None = None, *, block: bool = False) -> Transaction:
        """One writer at a time; nests. `timeout`: seconds to wait for other writers; None is the handle's.

        `block`: it is the program's own, which a signal handler that strikes in it joins. Else it is a part of the
        operation whose frame enters it, and what strikes that is refused with `InUse`.
        """

    def is_open(self) -> bool:
        """Whether this thread is in one, including one of another task, and one that the caller interrupted."""

    def needs_handle(self) -> bool:
        """Whether it is, and closing this handle would end it: there is no other one."""

    def afterwards(self, work: Callable[[], None]) -> None:
        """Call `work` when this thread's transaction is committed and others may write; at once if none is open."""

    def is_struck(self) -> bool:
        """Whether the caller is a signal handler or a finalizer that struck an operation on the store."""

    def put_off(self, work: Callable[[], object]) -> bool:
        """If it is, have `work` done once that operation has ended. Returns whether it is."""


class NamedLock(Protocol):
    """A lock by name that was taken."""

    @property
    def fence(self) -> int | None:
        """A number that grows with each holder; None where the lock cannot pass to another holder unseen."""

    def is_kept(self) -> bool:
        """Whether it still excludes others: not after a fork, nor where it was lost."""

    def release(self) -> None:
        """Give it back; nothing happens where it is not kept any more."""


class Locks(Protocol):
    """Locks by name for the program's own purposes, between all that have the store open."""

    def hold(self, name: str, timeout: float) -> AbstractContextManager[NamedLock]:
        """For a block of this thread. Raises: LockTimeout. StoreError: this thread has it already."""

    def take(self, name: str, timeout: float) -> NamedLock:
        """For any thread, until it is released or dropped. Raises: LockTimeout: it was held for that long."""


class Changes(Protocol):
    """Whether anything has changed, and what."""

    def watch(self, namespace: str) -> Monitor:
        """The monitor of a namespace. Raises: StorageError: changes cannot be seen on this file."""

    def version_of(self, namespace: str) -> object:
        """A version that differs after each change of the namespace, for `Check`.

        Raises:
            Unsupported: the engine holds transactions open, and needs none.
        """


class Monitor(Protocol):
    """Tells whether something was committed, and which records there are now. It never waits.

    Safe across threads; in a forked child it is not to be used.

    Raises:
        LockTimeout: just now it cannot be read; try again. StoreClosed: it was closed, or the store was.
        StorageError: the file was replaced or deleted.
    """

    def version(self) -> object:
        """Equal to the last one only if nobody has committed anything in between."""

    def since(self, version: object) -> set[str] | None:
        """The names that may have changed since that version; None: unknown, so any may have."""

    def marks(self, prefix: str, after: str | None, limit: int) -> list[Mark]:
        """Up to `limit` records in name order, the first one after `after`; those that have expired too."""

    def marks_of(self, names: Sequence[str]) -> list[Mark]:
        """Those of these names, in name order."""

    def headers(self, names: Sequence[str], now: float) -> list[Header]:
        """Those of these names that have not expired, in name order."""

    def close(self) -> None: ...


class CachedReads(Protocol):
    """What an engine tells of changes that no header shows."""

    def drop(self) -> None:
        """Nothing will tell of changes any more."""

    def renew(self) -> None:
        """As `drop`, in a forked child, where the locks of the parent's threads are held for ever."""


class Coherence(Protocol):
    """Tells whether anything was committed since a cached read, by comparing bytes.

    Its first 48 bytes, the header, differ after each commit by any process. A row that is read after the header was
    is as new as that header, or newer.
    """

    writer: WriterLock
    """Its `holder` is None while no thread of this process writes or is in a transaction."""
    looked: float
    """When `look` was called last; a reader calls it again LOOK_SECONDS later."""

    def look(self, now: float) -> None:
        """Make sure that the file is still in its place. Raises: StorageError."""

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


class Blobs(Protocol):
    """The parts of values that are too large for a row, by the text that the row has in `spill`.

    They are written before their row, and removed again unless the row is committed. A reader gets the parts of the
    record or an error; no part of another record is ever opened.
    """

    def write(self, namespace: str, name: str, contents: Sequence[Any], timeout: float) -> str:
        """Writes a part for each content, durably, and returns the text. The row is then put or discarded.

        Raises:
            ReadOnly, StorageError, LockTimeout.
        """

    def restore(
        self, namespace: str, name: str, parts: Sequence[Part], contents: Sequence[Any], timeout: float
    ) -> str:
        """The same with names and checksums that are given; None is a part that is missing, and stays so.

        Raises:
            StorageError: such a part is there, and is not what its checksum says (EEXIST); and as `write`.
        """

    def discard(self, text: str) -> None:
        """Removes what was written for a row that was not put; nothing happens where it was."""

    def prefix(self, namespace: str, name: str) -> str:
        """What the names of the record's parts begin with; see `store.rows.spilled`."""

    def body(self, part: Part) -> bytes:
        """A copy in private memory, checked against its checksum.

        Raises:
            Corrupt: the part is missing, truncated or altered; `.file` says which. StorageError.
        """

    def buffer(self, part: Part, *, mapped: bool, verify: bool) -> memoryview:
        """The part mapped read-only, or a copy that may be written; `verify`: checked too. Raises: as `body`."""

    def problem(self, part: Part, *, content: bool) -> str | None:
        """What is wrong with a part, and with its `content` if asked; None where nothing is."""

    def refuse_hollow(self, parts: Sequence[Part]) -> None:
        """Raises: Corrupt: the parts of a record of somebody else take far more memory than disk."""

    def contents(self, part: Part) -> bytes | None:
        """What there is of a part, unchecked; None where it is missing."""


class Eviction(Protocol):
    """What a bounded cache asks: how much there is, and which records were used the longest time ago."""

    def usage(self, namespace: str) -> tuple[int, int]:
        """Records, and their bytes."""

    def sample(self, namespace: str, number: int) -> list[tuple[Header, float]]:
        """Some records at random, and the mark of each, 0.0 where it has none."""

    def note(self, namespace: str, marks: Mapping[str, float]) -> None:
        """Mark records, by name; this changes no revision, seal or token."""


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
        """Files that nobody needs, and that must stay while a reader has an older state of the data."""


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


class Care(Protocol):
    """Maintenance of what an engine stores on, and of all records at once."""

    def damage(self, *, quick: bool) -> list[str]:
        """What is wrong with what it stores on, apart from the records; [] where nothing is.

        `quick`: without comparing indexes with what they are of.
        """

    def unread_commits(self) -> int:
        """How many commits are there that nothing reads, since something before them is damaged."""

    def rows(self, damage: list[str]) -> Iterator[Row | tuple[str, str]]:
        """Every row that can be read in any way; namespace and name of those that are known, and cannot be read.

        What is found to be damaged on the way is added to `damage`.
        """

    def unfound(self, damage: list[str]) -> Iterator[tuple[str, str]]:
        """Namespace and name of the rows that are there, and that looking for their name does not find."""

    def row_count(self) -> int:
        """The records of all namespaces, those that have expired too."""

    def count_by_key(self) -> dict[bytes, int]:
        """The records of all namespaces, those that have expired too, by the id of the key that sealed them."""

    def forget_sealers_but(self, key_ids: set[bytes]) -> None:
        """List no other keys than these as those that sealed records."""

    def reseal(self, row: Row, before: bytes) -> bool:
        """Replace seal and checksum of a record that bears the seal `before`, and nothing else; whether it did."""

    def orphans(self) -> list[str]:
        """Files that no record needs, but for those of writes in progress."""

    def compact(self, progress: Callable[[int, int], None] | None) -> Freed:
        """Removes files that nobody needs any more, and gives free space back.

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
