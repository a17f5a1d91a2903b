"""`Cache`: the class of diskcache, on a bounded cache of a store.

One file because it is the list of what diskcache's class can do: each method is a short forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from store.compat.diskcache import calls, checking, counting, folder, listing, queue, removing
from store.compat.diskcache.disk import Disk, checked
from store.compat.diskcache.entries import Shape, find, is_over, key_at, lifetime, tag_name, write
from store.compat.diskcache.keys import is_digest, name_of
from store.compat.diskcache.markers import ENOVAL
from store.compat.diskcache.opened import Opened, Place, attempt, transaction
from store.compat.diskcache.values import pack, value_of
from store.mapping.store import Store


class Cache:
    """A cache in a folder, with the methods of diskcache's `Cache`.

    Safe across threads, processes and forks. Reading runs no code of others, whatever is in the folder.

    Args:
        directory: the folder, made where there is none; its records are in `store.db`. None: a new temporary one.
        timeout: seconds to wait for another writer.
        disk: `Disk`, and nothing else: see `disk.py`.
        settings: of DEFAULT_SETTINGS; they are kept in the file.

    Raises:
        NotAStore: diskcache wrote the folder; says how to import it. ValueError: a setting or `disk` is invalid.
    """

    def __init__(self, directory: Any = None, timeout: float = 60, disk: type[Disk] = Disk, **settings: Any) -> None:
        directory = folder.directory_of(directory)
        self._open(checked(disk), directory, Place(folder.prepare(directory, folder.FILE), timeout), settings)

    @classmethod
    def at(cls, disk: type[Disk], directory: str, place: Place, settings: Mapping[str, Any]) -> Self:
        """Returns a cache in another file of a folder: that of a `FanoutCache`."""
        self = cls.__new__(cls)
        self._open(disk, directory, place, settings)
        return self

    def _open(self, disk: type[Disk], directory: str, place: Place, settings: Mapping[str, Any]) -> None:
        self._directory = directory
        self._opened = Opened(place, {name: value for name, value in settings.items() if name != "statistics"})
        if "statistics" in settings:
            counting.reset(self._opened, "statistics", settings["statistics"], True)
        values = self._opened.settings.values
        self._disk = disk(directory, values["disk_min_file_size"], values["disk_pickle_protocol"])

    # -- what it is made of

    @property
    def directory(self) -> str:
        """The folder."""
        return self._directory

    @property
    def timeout(self) -> float:
        """Seconds to wait for another writer."""
        return self._opened.place.timeout

    @property
    def disk(self) -> Disk:
        """The names that keys have in the store."""
        return self._disk

    @property
    def store(self) -> Store[Any]:
        """The mapping that holds the records, by the names of `keys.py`; diskcache has none."""
        return self._opened.records.store

    @property
    def opened(self) -> Opened:
        """The parts of the open cache, for the modules of this folder."""
        return self._opened

    def __getattr__(self, name: str) -> Any:
        """A setting, with the value that this object last read or set."""
        if name.startswith("_"):  # also while it is unpickled, when there are no settings yet
            raise AttributeError(name)
        if name in counting.COUNTED:
            return counting.count(self._opened, name)
        try:
            return self._opened.settings.values[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name) from None

    # -- one item

    def set(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """Stores a value under a key; True.

        Args:
            expire: seconds until it expires; None: never.
            read: `value` is a file, open in binary mode: what is left in it is stored.
            tag: text, number or bytes, for `evict`.
            retry: wait on where others keep the cache locked for longer than `timeout`.

        Raises:
            Timeout. NotSerializable: key or value cannot be stored; says where in it.
        """
        name = name_of(key)
        attempt(retry, write, self._opened.records, name, self._packed(name, key, value, read), expire, tag)
        return True

    def __setitem__(self, key: Any, value: Any) -> None:
        """Stores a value under a key, for ever."""
        self.set(key, value, retry=True)

    def add(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """Stores a value where the key has none, as one step; returns whether it did. Arguments: as of `set`."""
        name = name_of(key)
        packed, records = self._packed(name, key, value, read), self._opened.records
        if is_over(expire):
            return name not in records.store
        return attempt(retry, lambda: records.add(name, packed, ttl=lifetime(expire), tag=tag_name(tag)))

    def touch(self, key: Any, expire: float | None = None, retry: bool = False) -> bool:
        """Gives an item a new expiry, in seconds from now; None: never. Returns whether there was one."""
        name, records = name_of(key), self._opened.records
        if is_over(expire):
            return attempt(retry, records.delete, name)
        return attempt(retry, records.touch, name, lifetime(expire))

    def incr(self, key: Any, delta: Any = 1, default: Any = 0, retry: bool = False) -> Any:
        """Adds to a number, as one step, and returns the sum; expiry and tag stay.

        Where the key is missing, `default + delta` is stored. Raises: KeyError: it is missing and `default` is None.
        """
        return counting.incr(self._opened, key, delta, default, retry)

    def decr(self, key: Any, delta: Any = 1, default: Any = 0, retry: bool = False) -> Any:
        """Subtracts from a number; see `incr`."""
        return self.incr(key, -delta, default, retry)

    def get(
        self,
        key: Any,
        default: Any = None,
        read: bool = False,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """Returns the value of a key, or `default`.

        Args:
            read: give a handle, open in binary mode, of a value that was read from a file, or of large bytes.
            expire_time, tag: give a tuple of the value, and the Unix time when it expires, and its tag.
            retry: as in `set`; only on a network file system does reading wait for writers.
        """
        name, records = name_of(key), self._opened.records
        if not (expire_time or tag):
            stored = attempt(retry, records.get, name, ENOVAL)
            return default if stored is ENOVAL else value_of(stored, read)
        shape, entry = (
            Shape(expire_time, tag),
            attempt(retry, lambda: find(records, name, with_tag=tag, counted=True)),
        )
        return shape.of(default) if entry is None else shape.of(value_of(entry.stored, read), *entry[1:])

    def __getitem__(self, key: Any) -> Any:
        """Returns the value of a key. Raises: KeyError."""
        stored = attempt(True, self._opened.records.get, name_of(key), ENOVAL)
        if stored is ENOVAL:
            raise KeyError(key)
        return value_of(stored)

    def read(self, key: Any, retry: bool = False) -> Any:
        """Returns a handle of the value of a key; see `get`. Raises: KeyError."""
        handle = self.get(key, default=ENOVAL, read=True, retry=retry)
        if handle is ENOVAL:
            raise KeyError(key)
        return handle

    def __contains__(self, key: Any) -> bool:
        """Returns whether the key has a value that has not expired."""
        return name_of(key) in self._opened.records

    def pop(
        self, key: Any, default: Any = None, expire_time: bool = False, tag: bool = False, retry: bool = False
    ) -> Any:
        """Deletes an item and returns its value, or `default`, as one step. The arguments are those of `get`."""
        name, shape = name_of(key), Shape(expire_time, tag)
        if not (expire_time or tag):
            return value_of(attempt(retry, self._opened.records.pop, name, default))
        with self.transact(retry):
            entry = find(self._opened.records, name, with_tag=tag, locked=True)
            if entry is None:
                return shape.of(default)
            self._opened.records.delete(name)
        return shape.of(value_of(entry.stored), *entry[1:])

    def __delitem__(self, key: Any, retry: bool = True) -> bool:
        """Deletes an item. Raises: KeyError: there is none."""
        if not self.delete(key, retry):
            raise KeyError(key)
        return True

    def delete(self, key: Any, retry: bool = False) -> bool:
        """Deletes an item; returns whether there was one."""
        return attempt(retry, self._opened.records.delete, name_of(key))

    # -- queues, and the order of items

    def push(
        self,
        value: Any,
        prefix: str | None = None,
        side: str = "back",
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> Any:
        """Stores a value at the "back" or "front" of a queue, and returns its key.

        Keys are whole numbers around 500 trillion; with a prefix, text of prefix, "-" and 15 digits.
        """
        packed = pack(value, read, self._file_bytes())
        return queue.push(self._opened, packed, queue.Side(prefix, side), expire, tag, retry)

    def pull(
        self,
        prefix: str | None = None,
        default: Any = (None, None),
        side: str = "front",
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """Takes key and value from the "front" or "back" of a queue, as one step; `default` where it is empty."""
        return queue.pull(self._opened, queue.Side(prefix, side), default, Shape(expire_time, tag), retry)

    def peek(
        self,
        prefix: str | None = None,
        default: Any = (None, None),
        side: str = "front",
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """Returns key and value at the "front" or "back" of a queue; `default` where it is empty."""
        return queue.peek(self._opened, queue.Side(prefix, side), default, Shape(expire_time, tag))

    def peekitem(self, last: bool = True, expire_time: bool = False, tag: bool = False, retry: bool = False) -> Any:
        """Returns key and value of the item that was inserted last, or first. Raises: KeyError: there is none."""
        return queue.peekitem(self._opened, last, Shape(expire_time, tag))

    def iterkeys(self, reverse: bool = False) -> Iterator[Any]:
        """Iterates over the keys in their order: numbers, text, bytes, others."""
        return self._keys(by_name=True, reverse=reverse)

    def __iter__(self) -> Iterator[Any]:
        """Iterates over the keys in the order of insertion, also of expired items that are still there."""
        return self._keys()

    def __reversed__(self) -> Iterator[Any]:
        """Iterates over the keys, the one that was inserted last first."""
        return self._keys(reverse=True)

    def __len__(self) -> int:
        """Returns the number of items, with those that have expired and are still there."""
        return listing.count(self._opened.records)

    # -- many items

    @contextmanager
    def transact(self, retry: bool = False) -> Iterator[None]:
        """All or nothing: an exception that leaves the block undoes all of it. Nests. Raises: Timeout."""
        with transaction(self._opened, retry):
            yield

    def expire(self, now: float | None = None, retry: bool = False) -> int:
        """Deletes the items that have expired, or will have at the Unix time `now`; returns how many."""
        return removing.expire(self._opened, now, retry)

    def evict(self, tag: Any, retry: bool = False) -> int:
        """Deletes the items of a tag; returns how many."""
        return removing.evict(self._opened, tag, retry)

    def cull(self, retry: bool = False) -> int:
        """Deletes what has expired, then what the policy chooses until the size limit holds; returns how many."""
        return removing.cull(self._opened, retry)

    def clear(self, retry: bool = False) -> int:
        """Deletes all items; returns how many."""
        return removing.clear(self._opened, retry)

    def memoize(
        self,
        name: str | None = None,
        typed: bool = False,
        expire: float | None = None,
        tag: Any = None,
        ignore: Iterable[Any] = (),
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Returns a decorator that keeps results of a function here; see `calls.memoize`."""
        return calls.memoize(self, name, typed, expire, tag, ignore)

    # -- the cache

    def stats(self, enable: bool = True, reset: bool = False) -> tuple[int, int]:
        """Returns hits and misses while counting was on; then turns it on or off, and to zero with `reset`."""
        return counting.stats(self._opened, enable, reset)

    def volume(self) -> int:
        """Returns the bytes of pages in use and of files; free pages and the log do not count."""
        return counting.volume(self._opened)

    def check(self, fix: bool = False, retry: bool = False) -> list[Any]:
        """Checks the file and the folder; returns a warning for each fault. See `checking.check`."""
        return checking.check(self._opened, self._directory, fix, retry)

    def create_tag_index(self) -> None:
        """Turns the setting `tag_index` on. `evict` looks up its items by an index in any case."""
        self.reset("tag_index", 1)

    def drop_tag_index(self) -> None:
        """Turns the setting `tag_index` off, without another effect."""
        self.reset("tag_index", 0)

    def reset(self, key: str, value: Any = ENOVAL, update: bool = True) -> Any:
        """Sets a setting, in the file too with `update`; without a value, reads it from the file. Returns it.

        "count", "size", "hits" and "misses" are computed.
        """
        result = counting.reset(self._opened, key, value, update)
        if key.startswith("disk_"):
            setattr(self._disk, key.removeprefix("disk_"), result)
        return result

    def close(self) -> None:
        """Closes the cache for this thread; the next use opens it again."""
        self._opened.close()

    def __enter__(self) -> Self:
        """Returns the cache, which is closed as the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the cache."""
        self.close()

    def __getstate__(self) -> tuple[Any, ...]:
        return self._directory, self.timeout, type(self._disk)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    # -- parts of the above

    def _packed(self, name: str, key: Any, value: Any, read: bool) -> Any:
        return pack(value, read, self._file_bytes(), key if is_digest(name) else None)

    def _file_bytes(self) -> int:
        return int(self._opened.settings.values["disk_min_file_size"])

    def _keys(self, *, by_name: bool = False, reverse: bool = False) -> Iterator[Any]:
        records = self._opened.records
        names = listing.names(records, by_name=by_name, reverse=reverse)
        return (key for key in (key_at(records, name) for name in names) if key is not ENOVAL)
