"""What every part of a `Store` stands on: its backend, its pipeline, its options, opening and closing."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from store.classes.lookup import Renames
from store.codecs import CodecChoice
from store.engines.contract import Backend, schemes
from store.errors import CodecUnavailable, Corrupt, RecordError, StoreClosed, StoreError, label
from store.opened.arguments import (
    OnUnreadable,
    check_bytes,
    check_flag,
    check_name,
    check_on_unreadable,
    check_timeout,
    check_ttl,
    checked_clock,
    locate,
    sought_name,
)
from store.opened.key_warnings import warn_of_keys
from store.opened.purging import PURGE_EVERY, Purging
from store.opened.readcache import MISSING, ReadCache
from store.opened.writeback import Writeback, close_at_exit
from store.rows.row import Header, Row
from store.system.clock import wall_clock
from store.system.file_status import unreachable
from store.system.rights import Rights
from store.trust.keys.key import UNKEYED
from store.trust.keys.ring import Keyring, KeySource
from store.trust.seal import Sealer
from store.values.large import DEFAULT_SPILL_BYTES, Large, check_large
from store.values.pipeline import Pipeline, choose

if TYPE_CHECKING:
    from types import TracebackType

    from store.rows.record import Record

V = TypeVar("V")

MODES = ("r", "w", "c", "n")
DEFAULT_TIMEOUT_SECONDS = 60.0
CACHE_BYTES = 32 * 1024 * 1024


class Handle(Generic[V]):
    """Opens, packs, unpacks and closes. `Store` adds the methods; see there for the arguments."""

    def __init__(
        self,
        location: str | os.PathLike[str],
        *,
        namespace: str = "",
        codec: CodecChoice = "pickle",
        protocol: int | None = None,
        ttl: float | None = None,
        mode: str = "c",
        writeback: bool = False,
        trust: str = "data",
        allow: Iterable[type | str] = (),
        renames: Renames | None = None,
        on_missing: str = "raise",
        key: KeySource = None,
        on_unreadable: str | OnUnreadable = "raise",
        durability: str = "normal",
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        cache_bytes: int = CACHE_BYTES,
        spill_bytes: int = DEFAULT_SPILL_BYTES,
        mmap: bool = True,
        verify_buffers: bool = False,
        verify_writes: bool = False,
        clock: Callable[[], float] = wall_clock,
        rights: Rights | None = None,
    ) -> None:
        self._closed = True  # until it is open: __del__ also sees what failed on the way
        if mode not in MODES:
            raise ValueError(f"unknown mode {mode!r}: one of {', '.join(MODES)}, as dbm has them")
        self._namespace = check_name(namespace, "namespace")
        self._ttl = check_ttl(ttl)
        self._timeout = check_timeout(timeout)
        cache_bytes = check_bytes(cache_bytes, "cache_bytes")
        self._cache_bytes = 0 if writeback else cache_bytes
        self._on_unreadable = check_on_unreadable(on_unreadable)
        self._clock = checked_clock(clock)
        check_flag(verify_writes, "verify_writes")
        options = check_large(spill_bytes, mmap, verify_buffers)
        choices = choose(
            codec, protocol, trust, allow, renames, on_missing
        )  # before a file is made for what can never be right
        self._options: dict[str, Any] = {
            "codec": codec, "protocol": protocol, "ttl": ttl, "writeback": writeback, "trust": trust,
            "allow": choices.allow, "renames": renames, "on_missing": on_missing, "on_unreadable": on_unreadable,
            "durability": durability, "timeout": timeout, "cache_bytes": cache_bytes,
            "verify_writes": verify_writes, **options._asdict(),
        }  # fmt: skip
        keyring = Keyring(key)
        made = {} if rights is None else {"rights": rights}  # else a backend of somebody's need not know of them
        self._backend = _open_backend(location, mode=mode, timeout=self._timeout, durability=durability, **made)
        try:
            sealer, spill = Sealer(keyring, self._backend.store_id), self._backend.spill
            large = None if spill is None else Large(spill, options, self._timeout)
            self._pipeline = Pipeline(sealer, choices, large, verify_writes=verify_writes)
            self._pipeline.changed = keyring.changed = self._backend.coherence.drop
            if mode == "n":
                self._backend.clear(self._namespace)
            warn_of_keys(self._backend, self._pipeline)
        except BaseException:
            self._backend.close()
            raise
        self._mode = mode
        self._purging = Purging()
        self._writeback = self._new_writeback() if writeback else None
        self._cache = self._new_cache()
        self._closed = False

    @property
    def namespace(self) -> str:
        """The namespace whose records this mapping holds."""
        return self._namespace

    @property
    def location(self) -> str:
        """The absolute path of the file, or ":memory:"."""
        return self._backend.location

    def within(self, namespace: str) -> Self:
        """Another mapping in the same file, with the same options; it is closed on its own.

        Namespaces do not nest: the name is taken as it is.
        """
        other = type(self).__new__(type(self))
        # In one step: after an interrupt between two it would close ours.
        other.__dict__.update({**self.__dict__, "_closed": True})
        other._namespace = check_name(namespace, "namespace")
        other._backend = self._backend.share()
        other._writeback = other._new_writeback() if self._writeback is not None else None
        other._cache = other._new_cache()
        other._closed = False
        return other

    def sync(self) -> None:
        """With `writeback=True`, write back the values that changed since they were read.

        Raises:
            NotSerializable: one cannot be encoded; the others were written.
        """
        self._check_open()
        if self._writeback is not None:
            self._writeback.flush(self._pipeline, self._pack_again, self._write_back)

    def close(self) -> None:
        """Write back what `writeback=True` holds, and close; a second call does nothing.

        In a signal handler that struck an operation on the file, it is closed once that has ended.

        Raises:
            StoreError: this thread is in a transaction of the file, and no other `Store` keeps it open.
        """
        if self._closed:
            return
        if self._backend.is_struck() and self._backend.put_off(self.close):
            return
        if self._backend.in_transaction() and not self._backend.is_shared():
            raise StoreError(f"{self.location} cannot be closed inside its transaction; leave the block first")
        try:
            self.sync()
        finally:
            self._closed = True
            self._cache.close()
            self._backend.close()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True) and not self._backend.put_off(self.close):
            self.close()

    def __repr__(self) -> str:
        where = f"<{type(self).__name__} {self._backend.location!r} namespace={self._namespace!r}"
        if self._closed:
            return f"{where} closed>"
        try:
            return f"{where} {self._backend.count(self._namespace, self._clock())} records>"
        except StoreError as exc:  # a repr is for people who look for the fault
            return f"{where} unreadable: {type(exc).__name__}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Opens the same file again, with the same options but never with the key."""
        if self._backend.location == ":memory:":
            raise TypeError("an in-memory store cannot be pickled: it lives in this process only")
        mode = "r" if self._mode == "r" else "w"
        options = {**self._options, "namespace": self._namespace, "mode": mode}
        return _reopen, (type(self), self._backend.location, options)

    def _read(self, name: str) -> Any:
        """The value of a name, MISSING where there is no such record; from the cache where it is good."""
        # `wall_clock` without the call: a tenth of what a cached read of a number takes.
        now = time.time() if self._clock is wall_clock else self._clock()
        if type(name) is str:  # by one of another class a dict could find somebody else's
            value = self._cache.value(name, now)
            if value is not MISSING:
                return value
        wanted = sought_name(name)
        return MISSING if wanted is None else self._fetch(wanted, now)

    def _fetch(self, name: str, now: float) -> Any:
        """The same from the backend, and into the cache."""
        state = self._cache.begin()
        row = self._found(name, now)
        if row is None:
            return MISSING
        if state is None or row.spill is not None:
            try:
                return self._value(row)
            except KeyError:  # deleted since, and its files are gone
                return MISSING
        value, decode = self._pipeline.unpacked(row)
        if decode is not None:
            self._cache.file(state, row, decode, value)
        return value

    def _find(self, name: str) -> Row | None:
        """The row of a name, or None where there is no such record."""
        wanted = sought_name(name)
        return None if wanted is None else self._found(wanted, self._clock())

    def _found(self, name: str, now: float) -> Row | None:
        """The same at that moment. Raises: Tampered, Corrupt: as `_lives`, and where the name cannot be looked up."""
        row = self._backend.find(self._namespace, name, now)
        return row if row is None or row.expires is None or self._lives(row, now) else None

    def _lives(self, row: Row, now: float) -> bool:
        """Whether a row has not expired.

        Raises: Tampered, Corrupt: it looks expired, and its seal does not hold: it may be damaged, and be there.
        """
        try:
            if row.expires is None or row.expires > now:
                return True
            self._pipeline.sealer.check(row)
        except TypeError:  # no number, which unpacking tells
            return True
        except RecordError as exc:
            raise exc.about(row.name, row.namespace) from None
        return False

    def _value(self, row: Row) -> V:
        """The value of a row: with `writeback=True` the live object, where there is one."""
        try:
            if self._writeback is None:
                value: V = self._pipeline.unpacked(row)[0]
                return value
            return self._writeback.value_of(row, self._pipeline)  # type: ignore[no-any-return]
        except Corrupt as exc:
            if exc.file is None:
                raise
            return self._value(self._moved(row, exc))

    def _moved(self, row: Row, exc: Corrupt) -> Row:
        """What the record of a row whose file is gone or damaged is by now.

        Raises:
            Corrupt: it is still that row. KeyError: there is no such record any more.
        """
        now = self._backend.get(row.namespace, row.name, -math.inf)
        if now is None:
            raise KeyError(row.name) from exc
        if now.spill == row.spill:
            raise exc
        return now

    def _decoded(self, rows: Iterable[Row], on_unreadable: str | OnUnreadable = "raise") -> Iterator[tuple[str, V]]:
        """Names and values, one by one, less those that were deleted since the rows were read, their files with them.

        `on_unreadable` says what is done with a row that cannot be decoded.
        """
        value_of = self._value
        for row in rows:
            try:
                if row.expires is not None and not self._lives(row, self._clock()):
                    continue
                value = value_of(row)
            except KeyError:
                continue
            except (RecordError, CodecUnavailable) as exc:
                if on_unreadable == "skip":
                    continue
                if not callable(on_unreadable):
                    raise
                value = on_unreadable(row.name, exc)
            yield row.name, value

    def _pack(
        self, name: str, value: V, ttl: float | None, codec: CodecChoice | None = None, protocol: int | None = None
    ) -> Row:
        now = self._clock()
        expires = None if ttl is None else now + ttl
        return self._pipeline.pack(self._namespace, name, value, now, expires, codec, protocol)

    def _packed(self, pairs: Iterable[tuple[str, V]]) -> list[Row]:
        """The rows of many values, all written at one moment."""
        pack, namespace, now = self._pipeline.pack, self._namespace, self._clock()
        expires = None if self._ttl is None else now + self._ttl
        return [pack(namespace, check_name(name), value, now, expires) for name, value in pairs]

    def _pack_again(self, value: V, row: Row) -> Row:
        """The row of a value that replaces that of `row`, keeping its expiry, codec and protocol."""
        return self._pipeline.pack_again(value, row, self._clock())

    def _store(self, row: Row) -> bytes | None:
        """Write a row, as one statement; gives what `Backend.put` does."""
        header = self._put_row(row)
        self._count_writes(1)
        return header

    def _put_row(self, row: Row) -> bytes | None:
        try:
            self._backend.add_sealer(row.seal[: len(UNKEYED)])
            return self._backend.put(row, row.modified)
        except BaseException:
            self._pipeline.discard(row)
            raise

    def _count_writes(self, records: int) -> None:
        """Every so many writes, some records that have expired go, once what is open is committed."""
        purging = self._purging
        purging.left -= records
        if purging.left < 0:
            purging.left = PURGE_EVERY - 1
            self._backend.afterwards(self._purge_some)

    def _purge_some(self) -> None:
        raise NotImplementedError

    def _assign(self, name: str, value: V) -> None:
        """Write a value, as one statement, and keep its bytes for the next read."""
        row = self._pack(name, value, self._ttl)
        header = self._store(row)
        if header is not None:
            decode = self._pipeline.decoder_of_own(row)
            if decode is not None:
                self._cache.learn(header, row, decode)

    def _write_back(self, row: Row) -> None:
        """Write a live value back, unless its record expired meanwhile."""
        assert self._writeback is not None
        with self._backend.transaction() as transaction:
            self._writeback.restore_after(transaction, row.name)
            if row.expires is None or row.expires > row.modified:
                self._store(row)

    def _new_writeback(self) -> Writeback:
        close_at_exit(self)
        return Writeback()

    def _new_cache(self) -> ReadCache:
        return ReadCache(self._backend.coherence, self._namespace, self._cache_bytes)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed(f"the store on {self._backend.location} was closed; open it again")


def _reopen(cls: type[Any], location: str, options: dict[str, Any]) -> Any:
    return cls(location, **options)


def _open_backend(location: str | os.PathLike[str], **options: Any) -> Backend:
    scheme, place = locate(location)
    backend: Backend = schemes.load(scheme)(place, **options)
    return backend


def is_store(path: str) -> bool:
    """Whether the file at `path` is a store; it is not changed."""
    from store.engines.sqlite.opening.attach import is_store as bears_our_mark  # only who asks imports the backend

    return bears_our_mark(path)


def record_of(header: Header) -> Record:
    """The public view of what the backend read; a reader of values alone does not load it."""
    try:
        from store.rows.record import Record
    except OSError as exc:  # no descriptor was left to load it by
        raise unreachable(label(header.name, header.namespace), exc) from exc

    return Record.from_header(header)
