"""The optional capabilities of an engine; each is an attribute that is None where an engine lacks it.

One file because it is only the contract: protocols whose docstrings say what each member promises, and no code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from typing import Any, NamedTuple, Protocol

from store.engines.activity import Counters
from store.rows.row import Header, Mark, Row
from store.rows.spilled import Part
from store.system.locking import WriterLock

HEADER = slice(0, 48)  # the header within `Coherence.index`
Scope = tuple[str | tuple[str, ...], Sequence[str] | None]
"""The namespace that a transaction changes, and the names that it reads there before it writes them; None: any.

Several namespaces, in a tuple, are with None only.
"""
WHOLE: Scope = ("", None)
LOOK_SECONDS = 1.0  # how often readers check that the file is still in its place


class Transaction(AbstractContextManager["Transaction"], Protocol):
    """All or nothing: commits when its `with` block ends, rolls back when an exception leaves it."""

    def on_rollback(self, undo: Callable[[], None]) -> None:
        """Call `undo` if this transaction is rolled back."""

    def on_commit(self, done: Callable[[], None]) -> None:
        """Call `done` once this transaction is committed."""

    def claim(self, namespace: str, name: str) -> bool:
        """Claim a record for this transaction; False if an enclosing transaction has claimed it."""

    def hand_over(self) -> None:
        """Make the transaction a block of the program until `take_back`."""

    def take_back(self) -> None:
        """Make the transaction a part of the caller's operation again; the caller ends it."""


class Transactions(Protocol):
    """Transactions that are held open; reads and writes on the handle in between are part of them."""

    @property
    def optimistic(self) -> bool:
        """Whether others may change what a transaction has read; then its commit raises `Conflict`."""

    @property
    def shared(self) -> object:
        """An object that all handles on one place have: a transaction on one of them is one on all of them."""

    def begin(self, timeout: float | None = None, *, block: bool = False, scope: Scope = WHOLE) -> Transaction:
        """A transaction; they nest.

        `scope`: the namespaces that it changes first, and the names that it reads there before it writes them; None:
        any. Until it ends others read, and write neither those names nor, with None, anything in that namespace. An
        engine may exclude more: one file has one writer at a time.

        `timeout`: seconds to wait for other writers; None uses the handle's timeout. `block`: the program opened it,
        and a signal handler that runs during it takes part in it. Otherwise it belongs to the operation whose frame
        enters it, and calls from a signal handler during it raise `InUse`.
        """

    def must_restart(self, error: BaseException) -> bool:
        """Whether that error ended this thread's transaction, all of it, and it may be run again.

        Others came first, or the connection to the server was lost.
        """

    def is_open(self) -> bool:
        """Whether this thread is in a transaction, also one of another task or one that the caller interrupts."""

    def needs_handle(self) -> bool:
        """Whether a transaction is open and this is the last handle, so that closing it would end the transaction."""

    def afterwards(self, work: Callable[[], None]) -> None:
        """Call `work` once this thread's transaction is committed and unlocked; at once if none is open."""

    def is_interrupting(self) -> bool:
        """Whether the caller is a signal handler or a finalizer that runs during an operation on the store."""

    def defer(self, work: Callable[[], object]) -> bool:
        """If the caller interrupts an operation, run `work` once that has ended. Returns whether it does."""


class NamedLock(Protocol):
    """A named lock that was acquired."""

    @property
    def fence(self) -> int | None:
        """A number that grows with each holder; None where the lock cannot pass to another holder unseen."""

    def is_kept(self) -> bool:
        """Whether it still excludes others; False after a fork, and if it was lost."""

    def release(self) -> bool:
        """Release it; returns whether it excluded others until now. Does nothing if it is not held any more."""


class Locks(Protocol):
    """Named locks for the program, shared by all processes that have the store open."""

    def hold(self, name: str, timeout: float) -> AbstractContextManager[NamedLock]:
        """Hold it for a block of this thread. Raises: LockTimeout. StoreError: this thread has it already."""

    def take(self, name: str, timeout: float) -> NamedLock:
        """Hold it, in any thread, until it is released or collected. Raises: LockTimeout."""


class Changes(Protocol):
    """Detects whether records of a namespace changed, and which."""

    def watch(self, namespace: str) -> Monitor:
        """The monitor of a namespace. Raises: StorageError: changes cannot be seen on this file."""

    def watch_all(self) -> CommitMonitor:
        """The monitor of all namespaces. Raises: StorageError: changes cannot be seen on this file."""

    def version_of(self, namespace: str) -> object:
        """A version that differs after each change of the namespace, for `Check`.

        Raises:
            Unsupported: the engine holds transactions open, and needs none.
        """


class CommitMonitor(Protocol):
    """Detects commits. It never waits.

    Safe across threads; in a forked child it is not to be used.

    Raises:
        LockTimeout: it cannot be read now; try again. StoreClosed: the monitor or the store was closed.
        StorageError: the file was replaced or deleted.
    """

    def wake_by(self, wake: Callable[[], object]) -> None:
        """Call `wake` soon after commits, in any thread, where the engine is notified of them.

        A call may be missing or too many: callers look by themselves all the same.
        """

    def version(self) -> object:
        """Equal to the previous one only if nothing was committed in between."""

    def close(self) -> None: ...


class Monitor(CommitMonitor, Protocol):
    """Detects commits in a namespace, and lists its current records."""

    def since(self, version: object) -> set[str] | None:
        """The names that may have changed since that version; None: unknown, so any may have."""

    def marks(self, prefix: str, after: str | None, limit: int) -> list[Mark]:
        """Up to `limit` records in name order, the first one after `after`; those that have expired too."""

    def marks_of(self, names: Sequence[str]) -> list[Mark]:
        """Those of these names, in name order."""

    def headers(self, names: Sequence[str], now: float) -> list[Header]:
        """Those of these names that have not expired, in name order."""


class CachedReads(Protocol):
    """A cache, as an engine notifies it of changes that no header shows."""

    def drop(self) -> None:
        """Discard everything: changes will not be detected any more."""

    def renew(self) -> None:
        """Like `drop`, in a forked child, where locks of the parent's threads stay locked for ever."""


class Commit(Protocol):
    """A commit of this process, done or to come, as a cache learns from it the rows that it contains."""

    before: bytes
    """The header just before it."""
    after: bytes | None
    """The header just after it; None until then, and if other processes may have committed in between."""
    touched: Sequence[tuple[str, str]] | None
    """Namespace and name of all records that it may have changed, in order; None: any of them, or it was undone."""


class Gap(Enum):
    """Why it is unknown what changed between two headers."""

    NOT_YET = "the last commit is not described yet"
    LOST = "it will not be known"


class Coherence(Protocol):
    """Detects commits since a cached read, by comparing bytes.

    The first 48 bytes of the index, the header, differ after each commit by any process. A row that is read after the
    header is as new as that header, or newer.
    """

    writer: WriterLock
    """Its `holder` is None while no thread of this process writes or is in a transaction."""
    counters: Counters
    """What this process has done with the store; a cache counts the reads that it answered."""
    looked: float
    """When `look` was called last; a reader calls it again LOOK_SECONDS later."""

    mapped: Any
    """The buffer that `index` returned; None at first, and after `drop`, before it empties a cache."""

    def look(self, now: float) -> None:
        """Make sure that the file is still in its place. Raises: StorageError."""

    def index(self) -> Any:
        """The buffer that contains the header; a new object if the file may be another. None: changes are unknown."""

    def between(self, before: bytes, after: bytes) -> list[int] | Gap:
        """The marks of the records that may have changed from one header to another, by commits of any process.

        NOT_YET lasts for microseconds, but for ever if the process that committed was killed just then.
        """

    def marker(self, namespace: str) -> Callable[[str], int]:
        """A function that returns the mark of a record by its name: 64 bits; two records may have the same one."""

    def space_of(self, namespace: str) -> int:
        """The upper 32 bits of the marks of a namespace; two namespaces may have the same."""

    def register(self, cache: CachedReads) -> None: ...

    def unregister(self, cache: CachedReads) -> None: ...

    def drop(self) -> None:
        """Empty all caches."""


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
        """Like `write`, with given names and checksums; a content of None is a part that is missing and stays so.

        Raises:
            StorageError: the part exists and does not match its checksum (EEXIST); and as `write`.
        """

    def discard(self, text: str) -> None:
        """Removes the parts of a row that was not put; does nothing if it was."""

    def prefix(self, namespace: str, name: str) -> str:
        """The prefix of the names of the record's parts; see `store.rows.spilled`."""

    def body(self, part: Part) -> bytes:
        """A copy in private memory, checked against its checksum.

        Raises:
            Corrupt: the part is missing, truncated or altered; `.file` says which. StorageError.
        """

    def buffer(self, part: Part, *, mapped: bool, verify: bool) -> memoryview:
        """The part mapped read-only, or a copy that may be written; `verify`: checked too. Raises: as `body`."""

    def problem(self, part: Part, *, content: bool) -> str | None:
        """The problem of a part, with `content` also of its bytes; None if it is sound."""

    def refuse_hollow(self, parts: Sequence[Part]) -> None:
        """Raises: Corrupt: the parts, of a record of another user, take far more memory than disk."""

    def contents(self, part: Part) -> bytes | None:
        """The bytes of a part, unchecked; None if it is missing."""


class Candidate(NamedTuple):
    """A record that may be evicted. `bytes`: of its body and its large parts."""

    name: str
    stamp: str
    bytes: int
    modified: float
    expires: float | None


class Use(NamedTuple):
    """The last use of a record, and how often it was used."""

    last: float
    """Unix seconds, to 1/16 s."""
    frequency: int
    """0 to 255, growing with the logarithm of the uses, and falling by 1 with each minute without one."""


class Figures(NamedTuple):
    """What caches counted: reads that found a record, those that found none, and records evicted."""

    hits: int
    misses: int
    evictions: int


class Accesses(Protocol):
    """Notes of the uses of records, and figures, shared by all processes that have the store open.

    They are kept outside of the records, and lossy: a killed process may lose notes, a note may be taken for that of
    another record, and a record may have none although it was used. Nothing here raises because notes cannot be kept.
    Safe across threads and after a fork.
    """

    note: Callable[[str], None]
    """Notes that a read found the record of that name now. It runs no statement and no system call.

    On a server it has no memory to share with others, and brings a thousand notes there at once.
    """

    def uses(self, names: Sequence[str]) -> list[Use | None]:
        """The use of each of these records, in their order; None: there is no note of it."""

    def count(self, *, hits: int = 0, misses: int = 0, evictions: int = 0) -> None:
        """Add to the figures. It runs no system call."""

    def figures(self) -> Figures:
        """The figures of all processes since `reset`; an engine may count its namespaces together."""

    def reset(self) -> None:
        """Begin the figures anew, for all processes; the notes stay."""

    def flush(self) -> None:
        """Make what this process has noted visible to the others, where that takes a call."""

    def close(self) -> None:
        """Free what it holds; afterwards nothing is noted."""


class Eviction(Protocol):
    """By which a bounded cache learns its size, and picks the records to delete."""

    random: Any
    """The source of random numbers, as the module `random` has them; tests set a `random.Random`."""
    counts_together: bool
    """Whether `live_bytes` and the figures of `accesses` are of all namespaces of the store at once, as of a file."""

    def live_bytes(self, namespace: str) -> int:
        """The bytes that records take.

        SQLite counts the whole file, at constant cost: its pages in use, and the files of large values. A page is in
        use until all of its records are deleted, or so many that SQLite joins it with another one. Other engines
        count names, bodies and parts of the namespace, Redis names and whole rows; a server's own structures are not
        in it. What an open transaction has written may be left out.
        """

    def sample(self, namespace: str, number: int) -> list[Candidate]:
        """That many random records, none of them twice; all of them if there are not as many.

        Each record is as likely as any other. Those that have expired are among them. It takes no lock, and may leave
        out what an open transaction has written.
        """

    def accesses(
        self,
        namespace: str,
        records: int,
        *,
        now: Callable[[], float] | None = None,
        frequencies: bool = True,
    ) -> Accesses:
        """The notes of a namespace that has about that many records.

        `now`: the clock; None: the engine's. `frequencies`: whether notes count uses. Without, a note costs less, and
        frequencies mean nothing.
        """


class Freed(NamedTuple):
    """The space that `compact` freed."""

    files: int = 0
    """Files of records that were replaced or deleted."""
    orphans: int = 0
    """Files of writes that never finished."""
    file_bytes: int = 0
    """The size of all those."""
    database_bytes: int = 0
    files_left: int = 0
    """Unused files that must stay while a reader uses an older state of the data."""


class Copy(Protocol):
    """The contents of a backup or of a restored store."""

    @property
    def records(self) -> int: ...

    @property
    def database_bytes(self) -> int: ...

    @property
    def file_bytes(self) -> int:
        """The size of all files of large values."""

    @property
    def parts(self) -> Mapping[str, Part]:
        """Those files by name."""


class Care(Protocol):
    """Maintenance of an engine's storage, and of all records at once."""

    def damage(self, *, quick: bool) -> list[str]:
        """The problems of the storage itself, apart from the records; [] if there are none.

        `quick`: indexes are not compared with their tables.
        """

    def unread_commits(self) -> int:
        """How many commits cannot be read because the log is damaged before them."""

    def rows(self, damage: list[str]) -> Iterator[Row | tuple[str, str]]:
        """Every row that can be read in any way; for a known row that cannot be read, its namespace and name.

        Damage that is found meanwhile is added to `damage`.
        """

    def unfound(self, damage: list[str]) -> Iterator[tuple[str, str]]:
        """Namespace and name of the rows that exist but are not found by their name."""

    def row_count(self) -> int:
        """The records of all namespaces, those that have expired too."""

    def count_by_key(self) -> dict[bytes, int]:
        """The records of all namespaces, those that have expired too, by the id of the key that sealed them."""

    def forget_sealers_but(self, key_ids: set[bytes]) -> None:
        """Keep only these keys in the list of keys that sealed records."""

    def reseal(self, row: Row, before: bytes) -> bool:
        """Replace only the seal and checksum of a record, if its seal is `before`. Returns whether it was."""

    def orphans(self) -> list[str]:
        """Files that no record uses, except those of writes in progress."""

    def compact(self, progress: Callable[[int, int], None] | None) -> Freed:
        """Removes unused files, and returns free space to the file system.

        It works in steps, between which other writers get their turn. `progress` is called after each step with the
        amount done and the total.

        Raises:
            StoreError: inside a transaction. ReadOnly, LockTimeout, StorageError.
        """

    def backup(self, path: str, check: Callable[[Row], bool], progress: Callable[[int, int], object] | None) -> Copy:
        """Writes a copy of the store, as of one moment, to a new path or over an older backup of the same store.

        `check` gets each row of the copy, and raises a RecordError for a damaged one; `progress` gets the bytes done
        and the total. If either raises, the backup ends and `path` stays unchanged.

        Raises:
            NotAStore, StorageError, StoreError: something else is there. RecordError, Corrupt: the store is damaged.
            LockTimeout, ReadOnly.
        """
