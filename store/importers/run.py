"""Copies the records of a source into a store, one report for each: `import_into`.

In batches, a transaction each. Killed at any moment, what was written stands, and the same call goes on: records
that are there with the same value are left alone.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from typing import Any

from store.care.foreign import Foreign, check_storable, expiry_of, holds_same
from store.errors import NotAStore, RecordError, StorageError, StoreError, Untrusted, label
from store.importers import Found, Importer, importers
from store.importers.files import is_our_store
from store.importers.names import name_of
from store.mapping.store import Store
from store.opened.arguments import check_name
from store.opened.edits import step
from store.opened.sentinels import UNSET, Unset
from store.system.clock import wall_clock

BATCH = 200  # records that are written as one transaction, while other writers wait
BATCH_BYTES = 32 * 1024 * 1024  # of values, from which a batch is full with fewer
ON_CONFLICT = ("keep", "replace", "fail")
OUTCOMES = ("imported", "replaced", "unchanged", "kept", "expired", "skipped", "refused", "failed")
BESIDE = ("shelve", "dbm")  # sources whose files may be called app.dat, so that a store can be called app
EXPIRED = "its time in the source has run out"
EXPIRY_SECONDS = 1.0  # two expiries are one within these: a store is told a lifetime, and reads its clock once more
TROUBLE = ("refused", "failed")
"""Outcomes of records that are not in the store and should be."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one record.

    `outcome` is "imported"; "replaced" (the name had another value, or this one with another expiry); "kept" (it had
    another value); "unchanged" (it had this one); "expired" (in the source); "skipped" (no record at all); "refused"
    (it takes a class that is not allowed); or "failed". `why` says more where there is more to say, also of an
    imported record whose name was changed.
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
    on_conflict: str = "keep",
    dry_run: bool = False,
    batch: int = BATCH,
    clock: Callable[[], float] = wall_clock,
) -> Iterator[Imported]:
    """Copies all records of a source, which stays as it is, as the result is read; one result for each.

    Args:
        store: where they go, into its namespace.
        source: the kind: "shelve", "dbm", "sqlitedict", "diskcache", "pickles", "joblib" or "json".
        allow: classes that pickles may make, beside plain data and those declared with `store.allow`.
        trust: "data", or "all": decode whatever the source says, which runs its code.
        prefix: put before each name.
        table: of a sqlitedict: only this one.
        on_conflict: what a name does that is there with another value: "keep" that, "replace" it, its expiry too, or
            "fail".
        dry_run: write nothing; say what would be done.

    Raises:
        TypeError, ValueError: an argument can never be right.
        NotAStore: the source is of another kind, or a store. StorageError: it is not there, or cannot be read.
        Corrupt: it is damaged; what came before is imported. CodecUnavailable: reading it takes a library.
    """
    if on_conflict not in ON_CONFLICT:
        raise ValueError(f"unknown on_conflict {on_conflict!r}: one of {', '.join(ON_CONFLICT)}")
    if source not in importers:
        raise ValueError(f"unknown source {source!r}: one of {', '.join(importers.names())}")
    if table is not None and source != "sqlitedict":
        raise ValueError(f"only a sqlitedict has tables, not a source of the kind {source!r}")
    work = _Import(store, Foreign(trust, allow), check_name(prefix, "prefix"), on_conflict, dry_run, clock)
    where = os.path.abspath(os.fsdecode(path))
    return work.run(check_source(source, where).read(where, table=table), batch)


def check_source(source: str, path: str) -> Importer:
    """The importer of that name, whose kind of source is there.

    Raises:
        NotAStore: the source is of another kind, or a store. StorageError: it is not there, or cannot be read.
    """
    importer: Importer = importers.load(source)
    beside = source in BESIDE and importer.recognises(path)
    if is_our_store(path) and not beside:
        raise NotAStore(
            f"{path} is a store itself, and was not touched; to copy it: `store export --raw {path} records.jsonl`, "
            "then `store import --raw records.jsonl NEW`",
            path=path,
        )
    if beside or importer.recognises(path):
        return importer
    others = kinds_of(path)
    if not others and not os.path.exists(path):
        raise StorageError(f"there is nothing of the kind {importer.name} at {path}", errno=errno.ENOENT, path=path)
    remedy = f"; it looks like {' or '.join(others)}: `store import {others[0]} …`" if others else ""
    raise NotAStore(f"{path} is no source of the kind {importer.name}{remedy}", path=path)


def kinds_of(path: str) -> list[str]:
    """The kinds that a source could be."""
    return [name for name in importers.names() if importers.load(name).recognises(path)]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A record that can be written."""

    name: str
    value: Any
    expires: float | None
    why: str


class _Import:
    """One run."""

    def __init__(
        self,
        store: Store[Any],
        foreign: Foreign,
        prefix: str,
        on_conflict: str,
        dry_run: bool,
        clock: Callable[[], float],
    ) -> None:
        self._store, self._foreign, self._prefix = store, foreign, prefix
        self._on_conflict, self._dry_run, self._clock = on_conflict, dry_run, clock
        self._keys: set[str] = set()  # the names there were so far: two keys may become one

    def run(self, source: Generator[Found, None, None], size: int) -> Iterator[Imported]:
        problem: Exception | None = None
        with closing(source):  # not whenever it is collected: there may be a copy of a database behind it
            while problem is None:
                batch, problem = _next_batch(source, size)
                if not batch and problem is None:
                    return
                ready = [self._decoded(found) for found in batch]  # before others have to wait
                with self._begin():
                    done = [one if isinstance(one, Imported) else self._written(one) for one in ready]
                yield from done
        raise problem

    def _begin(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._dry_run else step(self._store)

    def _decoded(self, found: Found) -> Imported | _Ready:
        name = f"{self._prefix}{_as_shown(found.key)}"
        try:
            key = self._foreign.value(found.key_codec, found.key) if found.key_codec else found.key
            name = self._prefix + name_of(key)
            return self._checked(found, key, name)
        except Untrusted as exc:
            return Imported(name, "refused", _why_refused(exc, found))
        except RecordError as exc:
            return Imported(name, "failed", _reason(exc, name))
        except (TypeError, ValueError) as exc:
            if isinstance(exc, StoreError):
                raise
            return Imported(name, "failed", str(exc))

    def _checked(self, found: Found, key: Any, name: str) -> Imported | _Ready:
        """The record with its value, or why it has none. Raises: Untrusted, Corrupt."""
        if found.problem:
            return Imported(name, "skipped" if found.skipped else "failed", found.problem)
        why = "" if type(key) is str else f"its key was {key!r:.200}"
        if name in self._keys:
            return Imported(name, "failed", f"another record has become that name already; {why or 'twice there'}")
        self._keys.add(name)
        try:
            expires = None if found.expires is None else float(found.expires)
        except OverflowError:
            expires = math.inf
        if expires == math.inf:
            return Imported(name, "failed", "its expiry is no moment in time")
        if self._has_expired(expires):
            return Imported(name, "expired", EXPIRED)
        return _Ready(name, self._value(found, name), expires, why)

    def _has_expired(self, expires: float | None) -> bool:
        return expires is not None and not expires > self._clock()

    def _value(self, found: Found, name: str) -> Any:
        if found.codec is None:
            return found.value
        return self._foreign.value(found.codec, found.value, name)

    def _written(self, ready: _Ready) -> Imported:
        name, why = ready.name, ready.why
        try:
            same = holds_same(self._store.opened, name, ready.value)
            if same and (self._on_conflict != "replace" or self._expires_then(ready)):
                return Imported(name, "unchanged", why)
            if same is False and self._on_conflict != "replace":
                outcome = "kept" if self._on_conflict == "keep" else "failed"
                return Imported(name, outcome, "the store has another value under that name, and keeps it")
            if self._dry_run:
                check_storable(self._store.opened, name, ready.value)
            elif self._has_expired(ready.expires):  # while the batch was decoded
                return Imported(name, "expired", EXPIRED)
            else:
                self._put(ready)
        except RecordError as exc:
            return Imported(name, "failed", _reason(exc, name, self._store.namespace))
        return Imported(name, "imported" if same is None else "replaced", why)

    def _put(self, ready: _Ready) -> None:
        left: float | Unset | None = UNSET  # the store's own, where the source says: never
        if ready.expires is not None:
            left = ready.expires - self._clock()
        elif self._on_conflict == "replace":
            left = None
        self._store.put(ready.name, ready.value, ttl=left)

    def _expires_then(self, ready: _Ready) -> bool:
        """Whether the record that is there expires when that of the source does."""
        expires = expiry_of(self._store.opened, ready.name)
        if expires is None or ready.expires is None:
            return expires is ready.expires
        return abs(expires - ready.expires) < EXPIRY_SECONDS


def _next_batch(source: Iterator[Found], size: int) -> tuple[list[Found], Exception | None]:
    """The next records, and the error that ended the source after them, which must not take them with it."""
    batch: list[Found] = []
    total = 0
    try:
        while len(batch) < size and total < BATCH_BYTES:
            found = next(source)
            batch.append(found)
            total += len(found.value) if isinstance(found.value, bytes | str) else 0
    except StopIteration:
        pass
    except (StoreError, OSError) as exc:
        return batch, exc
    return batch, None


def _as_shown(key: Any) -> str:
    """Some name for a key that may not become one."""
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
    """The message without the name, which the report has anyway."""
    message = str(exc)
    for known in (label(str(name), namespace), label(str(name)), label("")):
        message = message.removeprefix(f"{known}: ")
    return message
