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
from functools import partial
from typing import Any

from store.care.foreign import Foreign, check_storable, expiry_of, holds_same
from store.errors import RecordError, StoreError, Untrusted, label
from store.importers.contract import Form, Found
from store.importers.names import as_shown, name_of, why_named_so
from store.importers.sources import Options, records_of
from store.importers.target import TaggedCache, Target
from store.mapping.store import Store
from store.opened.arguments import check_name
from store.opened.sentinels import UNSET, Unset
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
    changed. `tag` is the one that it has in the source; a cache keeps it, a store has no tags.
    """

    name: str
    outcome: str
    why: str = ""
    tag: str | None = None


def import_into(
    store: Store[Any] | TaggedCache,
    source: str,
    path: str | os.PathLike[str],
    *,
    allow: Iterable[type | str] = (),
    trust: str = "data",
    prefix: str = "",
    table: str | None = None,
    encoded: bool = False,
    secret_keys: Iterable[str | bytes] = (),
    session_age: float | None = None,
    key_prefix: str | None = None,
    key_version: int | None = None,
    on_conflict: str = "keep",
    form: Form | None = None,
    dry_run: bool = False,
    batch: int = BATCH,
    clock: Callable[[], float] = wall_clock,
) -> Iterator[Imported]:
    """Copy the records of a source, which stays as it is, as the result is read; one result for each.

    Args:
        store: the store, into whose namespace they go, or a `store.cache.Cache`, which keeps their tags.
        source: the kind, one of `importers.names()`: "shelve", "diskcache", "django-sessions", …
        path: the file or folder; for "django-sessions" and "flask-session" also `redis://user:password@host/database`.
        allow: classes that pickles may make, beside plain data and those declared with `store.allow`.
        trust: "data", or "all": decode everything in full, which runs the code in the source.
        prefix: put before each name.
        table: of a sqlitedict or a database of Django: only this one. Without it, records of a file with several are
            named `table:name`.
        encoded: of a sqlitedict: values as they are stored (bytes, text, numbers), for a program that decodes them.
            Its `decode=` may run code of theirs, as `pickle.loads` does: only from a file that you trust.
        secret_keys: of sessions of Django: `SECRET_KEY`, and its fallbacks; sessions with another signature fail.
            Without them no signature is checked.
        session_age: of session files of Django, after how many seconds without a change one expires; the setting
            `SESSION_COOKIE_AGE`, by default its default of two weeks.
        key_prefix, key_version: of sessions on a server: the settings KEY_PREFIX and VERSION of Django's cache, or
            SESSION_KEY_PREFIX of Flask-Session; by default their defaults.
        on_conflict: for a name that has another value: "keep" that, "replace" it, its expiry and tag, or "fail".
        form: names and values for a program that has its own, such as those of `store.compat.diskcache`.
        dry_run: write nothing; report the outcomes that writing would have.

    Raises:
        TypeError, ValueError: an argument can never be right.
        NotAStore: the source is of another kind, or a store. StorageError: it is not there, or cannot be read.
        Corrupt: it is damaged; the records before that are imported. CodecUnavailable: reading it takes a library.
    """
    if on_conflict not in ON_CONFLICT:
        raise ValueError(f"unknown on_conflict {on_conflict!r}: one of {', '.join(ON_CONFLICT)}")
    options = Options(table, encoded, secret_keys, session_age, key_prefix, key_version)
    work = _Import(
        Target(store),
        Foreign(trust, allow),
        check_name(prefix, "prefix"),
        on_conflict,
        form or _Plain(),
        dry_run,
        clock,
    )
    return work.run(records_of(source, path, options, clock), batch)


class _Plain:
    """Names that are readable text, and values as they are."""

    name_of = tag_of = staticmethod(name_of)

    @staticmethod
    def value_of(name: str, key: Any, value: Any) -> Any:
        return value


@dataclass(frozen=True, slots=True)
class _Ready:
    """A record that can be written."""

    name: str
    value: Any
    expires: float | None
    tag: str | None
    why: str


@dataclass(frozen=True, slots=True)
class _Import:
    """One run."""

    target: Target
    foreign: Foreign
    prefix: str
    on_conflict: str
    form: Form
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
                with nullcontext() if self.dry_run or not batch else self.target.step():
                    done = [one if isinstance(one, Imported) else self._written(one) for one in ready]
                yield from done
        if not isinstance(problem, StopIteration):
            raise problem

    def _decoded(self, found: Found) -> Imported | _Ready:
        """The record with its value, or the reason why it has none."""
        before = self.prefix + (f"{found.table}:" if found.table else "")
        name = before + as_shown(found.key)
        try:
            key = self.foreign.value(found.key_codec, found.key) if found.key_codec else found.key
            name = before + self._name_of(found, key)
            if found.problem:
                return Imported(name, "skipped" if found.skipped else "failed", found.problem)
            why = why_named_so(key, found.table)
            if name in self.taken:
                return Imported(
                    name, "failed", f"another record has become that name already; {why or 'twice there'}"
                )
            if not found.may_repeat:
                self.taken.add(name)
            return self._ready(found, name, key, why)
        except Untrusted as exc:
            return Imported(name, "refused", _why_refused(exc, found))
        except RecordError as exc:
            return Imported(name, "failed", _reason(exc, name))
        except (TypeError, ValueError) as exc:
            if isinstance(exc, StoreError):
                raise
            return Imported(name, "failed", str(exc))

    def _name_of(self, found: Found, key: Any) -> str:
        """The name for a key; where the record has no value, also for one that cannot become a name."""
        try:
            return self.form.name_of(key)
        except (TypeError, ValueError):
            if not found.problem:
                raise
            return as_shown(key)

    def _ready(self, found: Found, name: str, key: Any, why: str) -> Imported | _Ready:
        """The record with its value, unless it has expired. Raises: RecordError, TypeError, ValueError."""
        expires = _moment(found.expires)
        if self._has_expired(expires):
            return Imported(name, "expired", EXPIRED)
        value = self.foreign.value(found.codec, found.value, name) if found.codec else found.value
        if not isinstance(value, found.wanted):
            raise TypeError(f"it is a {type(value).__name__}, not a {found.wanted.__name__}")
        tag = None if found.tag is None else self.form.tag_of(found.tag)
        return _Ready(name, self.form.value_of(name, key, value), expires, tag, why)

    def _has_expired(self, expires: float | None) -> bool:
        return expires is not None and not expires > self.clock()

    def _written(self, ready: _Ready) -> Imported:
        name, ns = ready.name, self.target.opened_at(ready.name)
        done = partial(Imported, name, tag=ready.tag)
        try:
            same = holds_same(ns, name, ready.value)
            if same and (self.on_conflict != "replace" or self._is_as_in_source(ready)):
                return done("unchanged", ready.why)
            if same is False and self.on_conflict != "replace":
                outcome = "kept" if self.on_conflict == "keep" else "failed"
                return done(outcome, "the store has another value under that name, and keeps it")
            if self.dry_run:
                check_storable(ns, name, ready.value)
            elif self._has_expired(ready.expires):  # while the batch was decoded
                return done("expired", EXPIRED)
            else:
                self.target.put(name, ready.value, self._ttl_of(ready), ready.tag)
        except RecordError as exc:
            return done("failed", _reason(exc, name, ns.name))
        return done("imported" if same is None else "replaced", ready.why)

    def _ttl_of(self, ready: _Ready) -> float | Unset | None:
        """The lifetime; where the source has none it is that of the store, or none if it replaces a record."""
        if ready.expires is not None:
            return ready.expires - self.clock()
        return None if self.on_conflict == "replace" else UNSET

    def _is_as_in_source(self, ready: _Ready) -> bool:
        """Whether the record that is there has the expiry and the tag of that in the source."""
        expires = expiry_of(self.target.opened_at(ready.name), ready.name)
        if expires is None or ready.expires is None:
            is_same = expires is ready.expires
        else:
            is_same = abs(expires - ready.expires) < EXPIRY_SECONDS
        return is_same and self.target.has_tag(ready.name, ready.tag)


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
