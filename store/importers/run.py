"""`import_into`: copies the records of a source into a store, and reports on each.

Each batch is a transaction. After a crash at any moment its committed batches stay, and rerunning resumes: records
that are there with the same value are left alone.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from typing import Any

from store.care.foreign import Foreign, check_storable, expiry_of, holds_same
from store.errors import RecordError, StoreError, Untrusted, label
from store.importers.contract import Found
from store.importers.kinds import check_source, importers
from store.importers.names import name_of
from store.importers.sqlitedict import importer as sqlitedict
from store.mapping.store import Store
from store.opened.arguments import check_name
from store.opened.edits import step
from store.system.clock import wall_clock

BATCH = 200  # records of a transaction, during which other writers wait
BATCH_BYTES = 32 * 1024 * 1024  # of values, from which a batch is full with fewer
ON_CONFLICT = ("keep", "replace", "fail")
OUTCOMES = ("imported", "replaced", "unchanged", "kept", "expired", "skipped", "refused", "failed")
TROUBLE = ("refused", "failed")
"""Outcomes of records that are not in the store and should be."""
EXPIRED = "its time in the source has run out"
EXPIRY_SECONDS = 1.0  # equal expiries may differ by as much: a store is given a lifetime, and reads its clock again


@dataclass(frozen=True, slots=True)
class Imported:
    """The outcome of one record.

    `outcome` is "imported"; "replaced" (the name had another value, or this one with another expiry); "kept" (it had
    another value); "unchanged" (it had this one); "expired" (in the source); "skipped" (no record at all); "refused"
    (it takes a class that is not allowed); or "failed". `why` says more, also for an imported record whose name was
    changed.
    """

    name: str
    outcome: str
    why: str = ""


def import_into(
    store: Store[Any],
    source: str,
    path: str | os.PathLike[str],
    *,
    allow: Iterable[type | str] = (),
    trust: str = "data",
    prefix: str = "",
    table: str | None = None,
    encoded: bool = False,
    on_conflict: str = "keep",
    dry_run: bool = False,
    batch: int = BATCH,
    clock: Callable[[], float] = wall_clock,
) -> Iterator[Imported]:
    """Copy the records of a source, which stays as it is, as the result is read; one result for each.

    Args:
        store: the store, into whose namespace they go.
        source: the kind: "shelve", "dbm", "sqlitedict", "diskcache", "pickles", "joblib" or "json".
        allow: classes that pickles may make, beside plain data and those declared with `store.allow`.
        trust: "data", or "all": decode everything in full, which runs the code in the source.
        prefix: put before each name.
        table: of a sqlitedict: only this one. Without it, records of a file with several are named `table:name`.
        encoded: of a sqlitedict: values as they are stored (bytes, text, numbers), for a program that decodes them.
            Its `decode=` may run code of theirs, as `pickle.loads` does: only from a file that you trust.
        on_conflict: for a name that has another value: "keep" that, "replace" it and its expiry, or "fail".
        dry_run: write nothing; report what would be done.

    Raises:
        TypeError, ValueError: an argument can never be right.
        NotAStore: the source is of another kind, or a store. StorageError: it is not there, or cannot be read.
        Corrupt: it is damaged; the records before that are imported. CodecUnavailable: reading it takes a library.
    """
    if on_conflict not in ON_CONFLICT:
        raise ValueError(f"unknown on_conflict {on_conflict!r}: one of {', '.join(ON_CONFLICT)}")
    if source not in importers:
        raise ValueError(f"unknown source {source!r}: one of {', '.join(importers.names())}")
    if (table is not None or encoded) and source != "sqlitedict":
        raise ValueError(f"only a sqlitedict has tables and encoded values, not a source of the kind {source!r}")
    work = _Import(store, Foreign(trust, allow), check_name(prefix, "prefix"), on_conflict, dry_run, clock)
    where = os.path.abspath(os.fsdecode(path))
    importer = check_source(source, where)
    found = sqlitedict.read(where, table=table, encoded=True) if encoded else importer.read(where, table=table)
    return work.run(found, batch)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A record that can be written."""

    name: str
    value: Any
    expires: float | None
    why: str


@dataclass(frozen=True, slots=True)
class _Import:
    """One run."""

    store: Store[Any]
    foreign: Foreign
    prefix: str
    on_conflict: str
    dry_run: bool
    clock: Callable[[], float]
    taken: set[str] = field(default_factory=set)
    """The names so far: two keys may become one name."""

    def run(self, source: Generator[Found], size: int) -> Iterator[Imported]:
        problem: Exception | None = None
        with closing(source):  # at once: it may hold a private copy of a database
            while problem is None:
                batch, problem = _next_batch(source, size)
                ready = [self._decoded(found) for found in batch]  # before other writers have to wait
                with nullcontext() if self.dry_run or not batch else step(self.store):
                    done = [one if isinstance(one, Imported) else self._written(one) for one in ready]
                yield from done
        if not isinstance(problem, StopIteration):
            raise problem

    def _decoded(self, found: Found) -> Imported | _Ready:
        """The record with its value, or the reason why it has none."""
        name = f"{self.prefix}{_as_shown(found.key)}"
        try:
            key = self.foreign.value(found.key_codec, found.key) if found.key_codec else found.key
            name = self.prefix + name_of(key)
            if found.problem:
                return Imported(name, "skipped" if found.skipped else "failed", found.problem)
            why = "" if type(key) is str else f"its key was {key!r:.200}"
            if name in self.taken:
                return Imported(
                    name, "failed", f"another record has become that name already; {why or 'twice there'}"
                )
            self.taken.add(name)
            expires = _moment(found.expires)
            if self._has_expired(expires):
                return Imported(name, "expired", EXPIRED)
            value = self.foreign.value(found.codec, found.value, name) if found.codec else found.value
            return _Ready(name, value, expires, why)
        except Untrusted as exc:
            return Imported(name, "refused", _why_refused(exc, found))
        except RecordError as exc:
            return Imported(name, "failed", _reason(exc, name))
        except (TypeError, ValueError) as exc:
            if isinstance(exc, StoreError):
                raise
            return Imported(name, "failed", str(exc))

    def _has_expired(self, expires: float | None) -> bool:
        return expires is not None and not expires > self.clock()

    def _written(self, ready: _Ready) -> Imported:
        name, why = ready.name, ready.why
        try:
            same = holds_same(self.store.opened, name, ready.value)
            if same and (self.on_conflict != "replace" or self._expires_then(ready)):
                return Imported(name, "unchanged", why)
            if same is False and self.on_conflict != "replace":
                outcome = "kept" if self.on_conflict == "keep" else "failed"
                return Imported(name, outcome, "the store has another value under that name, and keeps it")
            if self.dry_run:
                check_storable(self.store.opened, name, ready.value)
            elif self._has_expired(ready.expires):  # while the batch was decoded
                return Imported(name, "expired", EXPIRED)
            else:
                self._put(ready)
        except RecordError as exc:
            return Imported(name, "failed", _reason(exc, name, self.store.namespace))
        return Imported(name, "imported" if same is None else "replaced", why)

    def _put(self, ready: _Ready) -> None:
        if ready.expires is not None:
            self.store.put(ready.name, ready.value, ttl=ready.expires - self.clock())
        elif self.store.put(ready.name, ready.value).expires is not None and self.on_conflict == "replace":
            self.store.touch(ready.name, None)  # the store has a ttl, and the source says: never

    def _expires_then(self, ready: _Ready) -> bool:
        """Whether the record that is there expires when that of the source does."""
        expires = expiry_of(self.store.opened, ready.name)
        if expires is None or ready.expires is None:
            return expires is ready.expires
        return abs(expires - ready.expires) < EXPIRY_SECONDS


def _next_batch(source: Iterator[Found], size: int) -> tuple[list[Found], Exception | None]:
    """The next records, and the error that ended the source after them; StopIteration is its proper end."""
    batch: list[Found] = []
    total = 0
    try:
        while len(batch) < size and total < BATCH_BYTES:
            found = next(source)
            batch.append(found)
            total += len(found.value) if isinstance(found.value, bytes | str) else 0
    except (StopIteration, StoreError, OSError) as exc:
        return batch, exc
    return batch, None


def _moment(expires: float | None) -> float | None:
    """Raises: ValueError: it is no moment in time."""
    try:
        moment = None if expires is None else float(expires)
    except OverflowError:
        moment = math.inf
    if moment == math.inf:
        raise ValueError("its expiry is no moment in time")
    return moment


def _as_shown(key: Any) -> str:
    """A name for a key in reports, also of one that cannot become a name."""
    try:
        return name_of(key)
    except ValueError:
        return ascii(key)[1:-1] if type(key) is str else f"<{type(key).__qualname__}>"


def _why_refused(exc: Untrusted, found: Found) -> str:
    if exc.reason is None:
        return _reason(exc, found.key)
    allow = f"; if that is a class of yours, allow=[{exc.missing!r}] (--allow {exc.missing})" if exc.allowable else ""
    return f'{exc.reason}{allow}; trust="all" (--trust all) runs whatever the file says: if you trust who wrote it'


def _reason(exc: RecordError, name: Any, namespace: str = "") -> str:
    """The message without the name, which is in the report anyway."""
    message = str(exc)
    for known in (label(str(name), namespace), label(str(name)), label("")):
        message = message.removeprefix(f"{known}: ")
    return message
