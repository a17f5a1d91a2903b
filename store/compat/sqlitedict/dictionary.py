"""`SqliteDict`: a table of the library sqlitedict, on a `Store`.

One file because it is the manual page of the class; each method is short.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from itertools import chain
from typing import Any, ClassVar, NoReturn, Self, Unpack

from store.compat.sqlitedict import coding, place, tables
from store.compat.sqlitedict.keys import Keys, pages, present
from store.compat.sqlitedict.pending import Pending, move_to_end
from store.compat.sqlitedict.place import TableOptions, logger
from store.errors import RecordError, StoreClosed
from store.mapping.store import Store
from store.opened.sentinels import ABSENT, MISSING


class SqliteDict(MutableMapping[Any, Any]):
    """A mapping in a table of a file, as the library sqlitedict has it.

    Safe across threads, which share its uncommitted writes; other objects and processes see those on `commit`.
    Uncommitted writes are lost on `close`, also at the end of a `with` block. An item that is assigned again becomes
    the last one.

    Args:
        filename: a path, or ":memory:"; None is a temporary file, removed on `close`.
        tablename: the table; each is a namespace of the store, "unnamed" the default one.
        flag: "c" makes file and table, "r" reads only, "w" empties the table, "n" deletes every record of the file.
        autocommit: commit each write at once.
        journal_mode, outer_stack: taken, and without effect.
        encode, decode: functions value → what SQLite stores (bytes, str, a number, None), and back.
        encode_key, decode_key: functions key → text, and back.
        timeout: seconds that a write waits for another writer.
        options: those of `Store` in `TableOptions`. With a `decode` or `decode_key` of the program `trust` is "own":
            they may run code of the bytes that they are given, so they get only what a key of the user sealed.

    Raises:
        RuntimeError: an unknown flag, no such directory, or no such table to read. StoreNotFound: no file to read.
        NotAStore: the file is something else; one of sqlitedict is named with the command that copies it.
    """

    VALID_FLAGS: ClassVar[list[str]] = ["c", "r", "w", "n"]

    def __init__(
        self,
        filename: str | os.PathLike[str] | None = None,
        tablename: str = tables.UNNAMED,
        flag: str = "c",
        autocommit: bool = False,
        journal_mode: str = "DELETE",
        encode: Callable[[Any], Any] = coding.encode,
        decode: Callable[[Any], Any] = coding.decode,
        encode_key: Callable[[Any], Any] = coding.identity,
        decode_key: Callable[[Any], Any] = coding.identity,
        timeout: float = 5,
        outer_stack: bool = True,
        **options: Unpack[TableOptions],
    ) -> None:
        if flag not in self.VALID_FLAGS:
            raise RuntimeError(f"unknown flag {flag!r}: one of {', '.join(self.VALID_FLAGS)}")
        self.in_temp = filename is None
        self.filename = place.new_temporary() if filename is None else filename
        self.tablename, self.flag, self.autocommit = tablename, flag, autocommit
        self.journal_mode, self.timeout, self.outer_stack = journal_mode, timeout, outer_stack
        self.encode, self.decode, self.encode_key, self.decode_key = encode, decode, encode_key, decode_key
        self._values, self._keys = coding.Values(encode, decode), Keys(encode_key, decode_key)
        if self._values.run_code or self._keys.run_code:
            options.setdefault("trust", "own")
        self._options, self._pending = options, Pending(**options)
        self._store: Store[Any] | None = None
        place.check_folder(self.filename)
        self._connect(flag)

    def _connect(self, flag: str) -> None:
        """Opens the table as a flag says. Raises: as the class."""
        namespace = tables.namespace_of(self.tablename)
        mode = "r" if flag == "r" else "c"
        with place.opened(self.filename, mode, namespace, self.timeout, **self._options) as store:  # type: ignore[arg-type]
            if flag == "n":
                tables.drop_all(store)
            table = tables.found(store, self.tablename)
            if table is None and flag == "r":
                raise RuntimeError(f"{self.filename} has no table {self.tablename!r}; flag 'c' makes it")
            table = table or self.tablename
            if flag != "r":
                tables.add(store, table)
            self._store = store.within(tables.namespace_of(table))
        temporary = os.fsdecode(self.filename) if self.in_temp else None
        self._finalizer = weakref.finalize(self, place.release, self._store, temporary, os.getpid())
        logger.debug("opened table %r in %r", table, self.filename)
        if flag == "w":
            self._store.clear()

    @property
    def store(self) -> Store[Any]:
        """The mapping of the table's namespace, with what is committed. Raises: StoreClosed."""
        if self._store is None:
            raise StoreClosed(f"{self} was closed; open the file again, or enter it by `with`")
        return self._store

    # -- one item

    def __getitem__(self, key: Any) -> Any:
        """Returns the value of a key, decoded anew. Raises: KeyError; Untrusted, Corrupt; and as `decode`."""
        name = self._keys.sought(key)
        stored = MISSING if name is None else self._stored(name)
        if stored is MISSING:
            raise KeyError(key)
        return self._values.value(stored)

    def _stored(self, name: str) -> Any:
        """What is stored of a name, committed or not; MISSING where there is nothing."""
        pending = self._look()
        if pending:
            with pending.lock:
                stored = pending.get(name)
            if stored is not MISSING:
                return MISSING if stored is ABSENT else stored
        return self.store.get(name, MISSING)

    def __contains__(self, key: object) -> bool:
        """Returns whether there is an item of that key."""
        name = self._keys.sought(key)
        return name is not None and self._holds(name)

    def _holds(self, name: str) -> bool:
        pending = self._look()
        if pending:
            with pending.lock:
                held = pending.holds(name)
            if held is not None:
                return held
        return name in self.store

    def __setitem__(self, key: Any, value: Any) -> None:
        """Stores a value, as the last item.

        Raises:
            RuntimeError: flag "r". TypeError, OverflowError: SQLite has no such key, or does not take what `encode`
            returned. NotSerializable: the value cannot be encoded; and as `encode`.
        """
        self._check_writable()
        name, stored = self._keys.new(key), self._values.stored(value)
        if self.autocommit and not self._look():
            move_to_end(self.store, name, stored)
            return
        with self._pending.lock:
            self._uncommitted().put(name, stored)
            self._commit_by_itself()

    def __delitem__(self, key: Any) -> None:
        """Deletes an item. Raises: KeyError: there is none. RuntimeError: flag "r"."""
        self._check_writable()
        name = self._keys.sought(key)
        if self.autocommit and not self._look():
            if name is None or not self.store.delete(name):
                raise KeyError(key)
            return
        with self._pending.lock:
            if name is None or not self._holds(name):
                raise KeyError(key)
            self._uncommitted().delete(name)
            self._commit_by_itself()

    # -- many items

    def update(self, items: Any = (), /, **named: Any) -> None:
        """Stores all of a mapping, of pairs, and of the keyword arguments, as the last items; all or nothing.

        Raises: as an assignment.
        """
        self._check_writable()
        changes: dict[str, Any] = {}
        pairs = items.items() if hasattr(items, "items") else items
        for key, value in chain(pairs, named.items()):
            name = self._keys.new(key)
            stored = self._values.stored(value)
            changes.pop(name, None)  # a later one goes to the end
            changes[name] = stored
        if self.autocommit and not self._look():
            with self.store.transaction():
                self.store.delete_many(changes)
                self.store.update(changes)
            return
        with self._pending.lock:
            self._uncommitted().put_all(changes)
            self._commit_by_itself()

    def clear(self) -> None:
        """Deletes all items of the table, and commits. Raises: RuntimeError: flag "r"."""
        self._check_writable()
        with self._pending.lock:
            self.store.clear()
            self._pending.forget()

    def __len__(self) -> int:
        """Returns how many items there are. Uncommitted writes are looked up for it."""
        pending = self._look()
        if not pending:
            return len(self.store)
        with pending.lock:
            replaced = present(self.store, pending.touched())
            return len(self.store) - len(replaced) + len(pending.names())

    def __bool__(self) -> bool:
        """Returns whether there is any item."""
        return any(True for _ in self._names()) if self._look() else bool(self.store)

    def iterkeys(self) -> Iterator[Any]:
        """Iterates over the keys there are when it begins, in the order in which they were last assigned."""
        return self._keys_of(reverse=False)

    def itervalues(self) -> Iterator[Any]:
        """Iterates over the values of `iterkeys`, read page by page, less those deleted meanwhile."""
        return (self._values.value(stored) for _, stored in self._pairs())

    def iteritems(self) -> Iterator[tuple[Any, Any]]:
        """Iterates over pairs of key and value, as `itervalues` does."""
        return ((self._keys.decode(name), self._values.value(stored)) for name, stored in self._pairs())

    def keys(self) -> Iterator[Any]:  # type: ignore[override]
        """Iterates over the keys, as `iterkeys`."""
        return self.iterkeys()

    def values(self) -> Iterator[Any]:  # type: ignore[override]
        """Iterates over the values, as `itervalues`."""
        return self.itervalues()

    def items(self) -> Iterator[tuple[Any, Any]]:  # type: ignore[override]
        """Iterates over pairs of key and value, as `iteritems`."""
        return self.iteritems()

    def __iter__(self) -> Iterator[Any]:
        """Iterates over the keys, as `iterkeys`."""
        return self.iterkeys()

    def __reversed__(self) -> Iterator[Any]:
        """Iterates over the keys, the one that was assigned last first."""
        return self._keys_of(reverse=True)

    def _keys_of(self, *, reverse: bool) -> Iterator[Any]:
        names = self._names()
        yield from self._keys.keys(self.store, reversed(names) if reverse else names, self._own_names())

    def _names(self) -> list[str]:
        """The names there are now, in order. All at once: a loop may move to the end those it has not reached."""
        pending = self._look()
        if not pending:
            return list(self.store)
        with pending.lock:
            touched, written = pending.touched(), pending.names()
        return [name for name in self.store if name not in touched] + written

    def _own_names(self) -> frozenset[str]:
        pending = self._look()
        if not pending:
            return frozenset()
        with pending.lock:
            return frozenset(pending.names())

    def _pairs(self) -> Iterator[tuple[str, Any]]:
        """Names, and what is stored of each."""
        for page in pages(self._names()):
            stored = self._stored_of(page)
            for name in page:
                found = self._stored(name) if stored is None else stored.get(name, MISSING)
                if found is not MISSING:
                    yield name, found

    def _stored_of(self, page: Iterable[str]) -> dict[str, Any] | None:
        """What is stored of these names; None where one of them cannot be read: then each is read by itself."""
        pending = self._look()
        try:
            found = self.store.get_many(page)
            if pending:
                with pending.lock:
                    found.update((name, pending.get(name)) for name in page if pending.holds(name) is not None)
        except RecordError:
            return None
        return {name: stored for name, stored in found.items() if stored is not ABSENT}

    # -- committing

    def commit(self, blocking: bool = True) -> None:
        """Commits the writes since the last time, as one transaction; on a closed table nothing happens.

        `blocking` makes no difference: on return they are committed.

        Raises:
            LockTimeout, StorageError: nothing was committed; the writes stay, for another `commit`.
        """
        with self._pending.lock:
            if self._store is not None and self._pending:
                self._pending.write_to(self._store)

    sync = commit

    def _look(self) -> Pending | None:
        """The uncommitted writes, None where there are none. Raises: StoreClosed."""
        _ = self.store
        return self._pending or None

    def _uncommitted(self) -> Pending:
        """Where uncommitted writes go. Raises: StoreClosed."""
        self._look()
        return self._pending

    def _commit_by_itself(self) -> None:
        if self.autocommit:  # set since the object was made
            self.commit()

    def _check_writable(self) -> None:
        if self.flag == "r":
            raise RuntimeError(f"{self} was opened with flag 'r'; open it with flag 'c' to write")

    # -- the table and its file

    @staticmethod
    def get_tablenames(filename: str | os.PathLike[str]) -> list[str]:
        """Returns the tables of a file, in the order in which they were made.

        Raises:
            StoreNotFound: there is no such file. NotAStore: it is something else, or a file of sqlitedict.
        """
        with place.opened(filename, "r", "", 5) as store:
            return tables.tables_in(store)

    def close(self, do_log: bool = True, force: bool = False) -> None:
        """Closes the table; writes that are not committed are lost. A second call does nothing.

        With `autocommit` all is committed. `do_log` notes it in the log "sqlitedict"; `force` makes no difference.
        """
        if do_log:
            logger.debug("closing %s", self)
        with self._pending.lock:
            if self._store is None:
                return
            if self.autocommit and not force:
                self.commit()
            self._finalizer()
            self._pending.forget()
            self._store = None

    def terminate(self) -> None:
        """Closes the table, and removes the file with all of its tables.

        Raises:
            RuntimeError: flag "r". StorageError: another object or process has the file open.
        """
        self._check_writable()
        self.close()
        if not self.in_temp and self.filename != place.MEMORY:
            logger.info("deleting %s", self.filename)
            place.remove(self.filename)

    def __enter__(self) -> Self:
        """Returns the table, opened again if it was closed."""
        if self._store is None:
            if self.in_temp:
                self.filename = place.new_temporary()
            self._connect("r" if self.flag == "r" else "c")
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the table; writes that are not committed are lost."""
        self.close()

    def __repr__(self) -> str:
        """Returns the name of the class and of the file."""
        return f"SqliteDict({self.filename})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SqliteDict cannot be pickled; pass its filename, and open that in the other process")


def open(*args: Any, **kwargs: Any) -> SqliteDict:
    """Opens a table; see `SqliteDict`."""
    return SqliteDict(*args, **kwargs)
