"""Where the results of memoized functions are kept: a namespace of a store, or whatever has the same methods."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, Protocol
from weakref import ref

from store.errors import StoreError
from store.mapping.sharding.layout import agree
from store.mapping.sharding.routes import check_shards, namespace_of, of_result, shard_of
from store.mapping.sharding.sharded import AnyStore, shards_within
from store.mapping.store import Store
from store.opened.arguments import check_name, locate
from store.system import forking


class Outcome(NamedTuple):
    """The result of a call, or the exception that it raised, and the seconds that it took."""

    value: Any
    raised: bool = False
    seconds: float = 0.0

    def get(self) -> Any:
        if self.raised:
            raise self.value
        return self.value


class Origin(Protocol):
    """Where the results of functions are kept: a namespace of a store (`Source`), or a cache."""

    def open(self, name: str | None = None) -> AbstractContextManager[Any]:
        """What has the result of that name, with the methods of `Store`, open for the block; None: all results."""

    def place(self) -> tuple[str, ...]:
        """Equal for all functions of this process that share the records."""

    def put(self, records: Any, name: str, outcome: Outcome, codec: str | None, ttl: float | None) -> None:
        """Stores an outcome in what `open` gave; `codec` None is its own, `ttl` None its own."""

    def due(self, name: str) -> str | None:
        """The version of a record that is to be computed anew before it expires; None: it is not."""

    def is_in(self, name: str, version: str) -> bool:
        """Whether the record is in that version still."""

    def note(self, *, hit: bool) -> None:
        """A call found its result, or is about to compute it."""

    def close(self) -> None:
        """Close the store, if it was opened here."""


class Source:
    """The namespace of a store: of one that the program opened, or of a file that is opened with its first use.

    A file is opened once in a process, whatever number of functions use it. With `shards` the results are spread over
    so many namespaces; a use of one result opens that of its shard alone.
    """

    _shards = 1  # of older pickles
    _agreed: ref[Store[Any]] | None = None
    """The store that was last asked whether it has so many shards."""

    def __init__(
        self,
        where: str | os.PathLike[str] | Store[Any],
        namespace: str,
        mmap: bool | None = None,
        shards: int = 1,
    ) -> None:
        if mmap is not None and not isinstance(mmap, bool):
            raise TypeError(f"mmap is True or False, not {mmap!r:.80}")
        if mmap is not None and isinstance(where, Store):
            raise ValueError("mmap= is of the store that you opened: give it to Store(..., mmap=), not to memo")
        self._where = where if isinstance(where, Store) else _absolute(os.fsdecode(where))
        self._mmap = bool(mmap)
        self._namespace = check_name(namespace, "namespace")
        self._shards = check_shards(shards)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_agreed"}

    @contextmanager
    def open(self, name: str | None = None) -> Iterator[AnyStore[Any]]:
        """A mapping of its own for each use, so that a file that is closed meanwhile stays open for this one.

        Raises: ShardsMismatch: the results there have another number of shards.
        """
        records = self._within(name)
        try:
            yield records
        finally:
            try:
                records.close()
            except StoreError:
                pass  # the last one, inside a transaction: it closes with the store that it was made from

    def place(self) -> tuple[str, ...]:
        """Equal for all functions of this process that share the records."""
        where = self._where if isinstance(self._where, str) else self._where.location
        return os.path.realpath(where), self._namespace

    def put(self, records: Store[Any], name: str, outcome: Outcome, codec: str | None, ttl: float | None) -> None:
        if ttl is None:  # then the store's own
            records.put(name, outcome.value, codec=codec)
        else:
            records.put(name, outcome.value, codec=codec, ttl=ttl)

    def due(self, name: str) -> str | None:
        return None

    def is_in(self, name: str, version: str) -> bool:
        return False

    def note(self, *, hit: bool) -> None:
        """Does nothing: a store has no figures of its reads."""

    def close(self) -> None:
        """Close the file, if it was opened here; the next use opens it again."""
        if isinstance(self._where, str):
            with _opening:
                opened = _opened.pop((self._where, self._mmap), None)
            if opened is not None:
                opened.close()

    def _within(self, name: str | None) -> AnyStore[Any]:
        if isinstance(self._where, Store):
            return self._part(self._where, name)
        with _opening:
            opened = _opened.get((self._where, self._mmap))
            if opened is None:
                opened = _opened[self._where, self._mmap] = Store(self._where, mmap=self._mmap)
            return self._part(opened, name)

    def _part(self, store: Store[Any], name: str | None) -> AnyStore[Any]:
        """The shard of a name; None: all of them."""
        if self._agreed is None or self._agreed() is not store:
            agree(store.opened, self._namespace, self._shards, "memo")
            self._agreed = ref(store)
        if name is None:
            return shards_within(store, self._namespace, self._shards, "memo")
        index = shard_of(of_result(name), self._shards) if self._shards > 1 else 0
        return store.within(namespace_of(self._namespace, self._shards, index))


_opening = threading.RLock()
_opened: dict[tuple[str, bool], Store[Any]] = {}  # by path, and whether arrays are mapped


@atexit.register
def _at_exit() -> None:
    """Runs while the interpreter still has what closing needs."""
    with _opening:
        while _opened:
            _opened.popitem()[1].close()


def _after_fork_in_child() -> None:
    global _opening  # noqa: PLW0603
    _opening = threading.RLock()


forking.register(forking.Stage.MEMO, in_child=_after_fork_in_child)


def _absolute(path: str) -> str:
    """The path, absolute as of now. Raises: ValueError: it can never be opened."""
    locate(path)
    return path if "://" in path or path == ":memory:" else os.path.abspath(path)
