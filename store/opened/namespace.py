"""`Namespace`: one opened namespace of a store and its parts, which are public to the code of this package.

`Store` holds one. One file because reading, writing and closing use the same parts, and nearly everything needs them;
what only some callers need is in `reading`, `writing`, `edits` and `purging`, as functions of a namespace.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from weakref import WeakValueDictionary

from store.codecs import CodecChoice
from store.engines.capabilities import LOOK_SECONDS, Care, Transaction
from store.engines.contract import Engine, Fields
from store.engines.registry import supported
from store.errors import Corrupt, RecordError, StoreClosed, StoreError, Untrusted, label
from store.opened.arguments import namespace_name, sought_name
from store.opened.options import Options
from store.opened.purging import PURGE_EVERY, Expired, Purging
from store.opened.readcache import ReadCache
from store.opened.sentinels import MISSING
from store.opened.writeback import Writeback, close_at_exit
from store.rows.row import Row, Sealed
from store.system.clock import wall_clock
from store.trust.keys.key import ID_BYTES
from store.trust.seal import Verdict
from store.values.pipeline import Pipeline


class Listener(Protocol):
    """What waits for something of a namespace, and must learn that it was closed."""

    def wake(self) -> None: ...


class Namespace:
    """The records of one namespace. Safe across threads, processes and forks, as `Store` is.

    Attributes:
        engine: where the rows are; shared with the other namespaces of the location, each through its own handle.
        values: packs values into sealed rows and unpacks them.
        cache: verified bytes that were read or written before.
        writeback: the live values of `writeback=True`, else None.
        clock: gives the Unix time.
        options: what the store was opened with.
        purging: when expired records are deleted next; shared by all namespaces that `within` made.
        listeners: by id, what is woken when the namespace is closed.
    """

    closed = True  # until it is open: __del__ also sees an object whose __init__ failed

    def __init__(
        self,
        engine: Engine,
        values: Pipeline,
        name: str,
        clock: Callable[[], float],
        options: Options,
        purging: Purging | None = None,
    ) -> None:
        self.engine = engine
        self.values = values
        self.name = name
        self.clock = clock
        self.options = options
        self.purging = purging or Purging()
        self.listeners: WeakValueDictionary[int, Listener] = WeakValueDictionary()
        self.writeback = Writeback() if options.writeback else None
        self._reads_whole = options.writeback  # and after a row that is not ours, which others like it may follow
        self.cache = ReadCache(engine.coherence, name, 0 if options.writeback else options.cache_bytes)
        if engine.keep_bytes is not None:
            engine.keep_bytes(self.cache.limit)
        self.closed = False
        if options.writeback:
            close_at_exit(self)

    @property
    def location(self) -> str:
        """The absolute path of the file, or ":memory:"."""
        return self.engine.location

    # -- opening and closing

    def within(self, name: str, *, cache_bytes: int | None = None) -> Namespace:
        """Another namespace of the same location, with the same options; it is closed on its own.

        `cache_bytes`: of that namespace; None: as this one.
        """
        name = namespace_name(name, makes_new=self.options.mode in ("c", "n"))
        options = self.options if cache_bytes is None else self.options._replace(cache_bytes=cache_bytes)
        return Namespace(self.engine.share(), self.values, name, self.clock, options, self.purging)

    def check_open(self) -> None:
        """Raises: StoreClosed."""
        if self.closed:
            raise StoreClosed(f"the store on {self.location} was closed; open it again")

    def sync(self) -> None:
        """Writes back the live values that changed. Raises: NotSerializable: of one; the others were written."""
        self.check_open()
        if self.writeback is not None:
            self.writeback.flush(self.values, self.pack_again, self._write_back)

    def settle(self, name: str, transaction: Transaction) -> None:
        """Writes back the live value of one name, so that the record is what the program sees."""
        if self.writeback is not None:
            self.writeback.restore_after(transaction, name)
            self.writeback.flush(self.values, self.pack_again, self._write_back, only=name)

    def close(self) -> None:
        """See `Store.close`."""
        if self.closed:
            return
        transactions = self.engine.transactions
        if transactions is not None and transactions.is_interrupting() and transactions.defer(self.close):
            return
        if transactions is not None and transactions.needs_handle():
            raise StoreError(f"{self.location} cannot be closed inside its transaction; leave the block first")
        try:
            self.sync()
        finally:
            self.closed = True
            try:
                self.cache.close()
                self.engine.close()
            finally:
                for reference in self.listeners.valuerefs():
                    listener = reference()
                    if listener is not None:
                        listener.wake()

    def __del__(self) -> None:
        if self.closed:
            return
        transactions = self.engine.transactions
        if transactions is None or not transactions.defer(self.close):
            self.close()

    # -- the engine

    def transaction(self, *others: Namespace, block: bool = False, names: Sequence[str] | None = None) -> Transaction:
        """A transaction of the engine, and of these names alone where it is about no others. Raises: Unsupported."""
        transactions = self.engine.transactions or supported(None, self.engine.kind, "transactions")
        if not others:
            return transactions.begin(block=block, scope=(self.name, names))
        for other in others:
            if other.engine.transactions is None or other.engine.transactions.shared is not transactions.shared:
                raise ValueError(
                    f"one transaction is on one location, and these stores are on {self.location} and "
                    f"{other.location}; keep what changes together in namespaces of one store (`within`)"
                )
            other.check_open()
        return transactions.begin(block=block, scope=((self.name, *(other.name for other in others)), None))

    @property
    def care(self) -> Care:
        """What maintenance asks of the engine. Raises: Unsupported."""
        return supported(self.engine.care, self.engine.kind, "maintenance")

    @property
    def is_optimistic(self) -> bool:
        """Whether others may change what a transaction has read (`Transactions.optimistic`)."""
        transactions = self.engine.transactions
        return transactions is not None and transactions.optimistic

    def in_transaction(self) -> bool:
        """Whether this thread is in a transaction of the store."""
        return self.engine.transactions is not None and self.engine.transactions.is_open()

    def look(self, now: float) -> None:
        """Makes sure, now and then, that the store is still in its place. Raises: StorageError."""
        coherence = self.engine.coherence
        if coherence is not None and not 0 <= now - coherence.looked < LOOK_SECONDS:
            coherence.look(now)

    # -- reading

    def get(self, name: str) -> Any:
        """The value of a name, MISSING where there is no such record; from the cache if it is still good."""
        # `wall_clock` without the call: a tenth of what a cached read of a number takes.
        now = time.time() if self.clock is wall_clock else self.clock()
        if type(name) is str:  # by one of another class a dict could find another name's entry
            value = self.cache.value(name, now)
            if value is not MISSING:
                return value
            if name.isascii():
                return self._fetch(name, now)
        wanted = sought_name(name)
        return MISSING if wanted is None else self._fetch(wanted, now)

    def find(self, name: str) -> Row | None:
        """The row of a name, or None where there is no such record."""
        wanted = sought_name(name)
        return None if wanted is None else self.find_at(wanted, self.clock())

    def find_at(self, name: str, now: float) -> Row | None:
        """The same at that moment, of a checked name. Raises: as `is_alive`. Corrupt: the index is broken."""
        self.look(now)
        row = self.engine.get(self.name, (name,)).get(name)
        return row if row is None or row.expires is None or self.is_alive(row, now) else None

    def is_alive(self, row: Row, now: float) -> bool:
        """Whether a row has not expired.

        Raises: Tampered, Corrupt: it looks expired, but its seal does not hold, so it may be damaged instead.
        """
        try:
            if row.expires is None or row.expires > now:
                return True
            self.values.sealer.check(row)
        except TypeError:  # not a number, which unpacking reports
            return True
        except RecordError as exc:
            raise exc.about(row.name, row.namespace) from None
        return False

    def check_own(self, row: Row, consequence: str) -> None:
        """Make sure that a key of ours sealed a row.

        Raises:
            Untrusted: none did; `consequence` says what follows from that, and what to do. Tampered, Corrupt.
        """
        try:
            verdict = self.values.sealer.check(row)
        except RecordError as exc:
            raise exc.about(row.name, self.name) from None
        if verdict is not Verdict.OWN:
            raise Untrusted(
                f"{label(row.name, self.name)} was not sealed with a key of yours, so {consequence}",
                name=row.name,
                namespace=self.name,
            )

    def value_of(self, row: Row) -> Any:
        """The value of a row; with `writeback=True` the live object, where there is one.

        A row whose files are gone, since the record was replaced meanwhile, is read again.

        Raises: KeyError: the record was deleted meanwhile. RecordError, CodecUnavailable.
        """
        while True:
            try:
                if self.writeback is None:
                    return self.values.unpacked(row)[0]
                return self.writeback.value_of(row, self.values)
            except Corrupt as exc:
                now = self._replacement(row, exc)
                if now is None:
                    raise
                row = now

    def value_of_own(self, row: Sealed) -> Any:
        """As `value_of`, of a row that a key of ours sealed (`Sealer.are_own`)."""
        try:
            return self.values.unpacked_own(row)[0]
        except Corrupt as exc:
            now = self._replacement(row, exc)
            if now is None:
                raise
        return self.value_of(now)

    def _replacement(self, row: Row | Sealed, error: Corrupt) -> Row | None:
        """The row that replaced one whose files are gone; None: that is not the error. Raises: KeyError: deleted."""
        if error.file is None:
            return None
        now: Row | None = self.engine.get(row.namespace, (row.name,)).get(row.name)
        if now is None:
            raise KeyError(row.name) from error
        return None if now.spill == row.spill else now

    def _fetch(self, name: str, now: float) -> Any:
        """As `get`, from the engine, and into the cache."""
        if self._reads_whole:
            return self._fetch_whole(name, now)
        state = self.cache.begin()
        self.look(now)
        row: Sealed | None = self.engine.get(self.name, (name,), Fields.SEALED).get(name)
        if row is None:
            return MISSING
        if not self.values.are_own((row,)):
            return self._fetch_whole(name, now)
        if row.expires is not None and row.expires <= now:
            return MISSING
        if row.spill is not None:
            return self._value_or_missing(row)
        value, decode = self.values.unpacked_own(row)
        if state is not None and decode is not None:
            self.cache.file(state, row, decode, value)
        return value

    def _fetch_whole(self, name: str, now: float) -> Any:
        """As `_fetch`, of any row: one that is not ours takes all columns, to say whose it is or what is wrong."""
        state = self.cache.begin()
        row = self.find_at(name, now)
        if row is None:
            return MISSING
        if self.writeback is not None or row.spill is not None:
            return self._value_or_missing(row)
        value, decode = self.values.unpacked(row)
        self._reads_whole = decode is None
        if state is not None and decode is not None:
            self.cache.file(state, row, decode, value)
        return value

    def _value_or_missing(self, row: Row | Sealed) -> Any:
        try:
            return self.value_of(row) if isinstance(row, Row) else self.value_of_own(row)
        except KeyError:  # deleted since, and its files are gone
            return MISSING

    # -- writing

    def pack(
        self, name: str, value: Any, ttl: float | None, codec: CodecChoice | None = None, protocol: int | None = None
    ) -> Row:
        """The sealed row of a value, to be put or discarded. Raises: NotSerializable, Untrusted."""
        now = self.clock()
        expires = None if ttl is None else now + ttl
        return self.values.pack(self.name, name, value, now, expires, codec, protocol)

    def pack_again(self, value: Any, row: Row) -> Row:
        """The row of a value that replaces that of `row`, keeping its expiry, codec and protocol."""
        return self.values.pack_again(value, row, self.clock())

    def put(self, row: Row) -> None:
        """Writes a row that was just sealed, as one statement, and keeps its bytes for the next read."""
        try:
            self.engine.add_sealer(row.seal[:ID_BYTES])
            commit = self.engine.put(row)
        except BaseException:
            self.values.discard(row)
            raise
        if commit is not None and self.cache.limit:
            self.cache.learn(commit, (row,), self.values.decoder_of_own)
        self.count_writes(1)

    def assign(self, name: str, value: Any) -> None:
        """Writes the value of a checked name."""
        now, ttl = self.clock(), self.options.ttl
        self.put(self.values.pack(self.name, name, value, now, None if ttl is None else now + ttl))

    def count_writes(self, records: int) -> None:
        """Every PURGE_EVERY writes some expired records are deleted, once what is open is committed."""
        purging = self.purging
        purging.left -= records
        if purging.left < 0:
            purging.left = PURGE_EVERY - 1
            if self.engine.transactions is None:
                self.purge_some()
            else:
                self.engine.transactions.afterwards(self.purge_some)

    def expired(self) -> Expired:
        """The expired records, for `purging`."""
        return Expired(self.engine, self.values.sealer, self.clock)

    def purge_some(self) -> None:
        """Deletes some expired records, of this namespace first."""
        self.purging.run(self.expired(), self.name)

    def _write_back(self, row: Row) -> None:
        """Writes a live value back, unless its record expired meanwhile."""
        assert self.writeback is not None
        with self.transaction(names=(row.name,)) as transaction:
            self.writeback.restore_after(transaction, row.name)
            if row.expires is None or row.expires > row.modified:
                self.put(row)
