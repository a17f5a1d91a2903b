"""A store of py-key-value, for FastMCP among others: JSON by collection and key, each collection a namespace.

    from store.integrations.key_value import StoreKeyValue

    async with StoreKeyValue("kv.db") as kv:
        await kv.put("ann", {"role": "admin"}, collection="users", ttl=3600)
        await kv.get("ann", collection="users")

The records are JSON documents as py-key-value writes them: value, key, collection, created_at, expires_at.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar, Unpack

from key_value.aio.errors import DeserializationError, SerializationError
from key_value.aio.stores.base import (
    BaseContextManagerStore,
    BaseCullStore,
    BaseDestroyCollectionStore,
    BaseDestroyStore,
    BaseEnumerateCollectionsStore,
    BaseEnumerateKeysStore,
    ManagedEntry,
)

from store.errors import NotSerializable, RecordError
from store.mapping.store import Store
from store.opened.arguments import new_name
from store.opened.options import OpeningOptions
from store.system.digests import blake2b

T = TypeVar("T")
_LONGEST = 500  # bytes of a collection or key that is a name as it is; an index of PostgreSQL holds 2,700 for both
_HASHED = "~"  # how the names begin that are hashes
_SHORTEST_SECONDS = 1e-6  # of a lifetime, which py-key-value rounds to microseconds


class StoreKeyValue(
    BaseEnumerateCollectionsStore,
    BaseEnumerateKeysStore,
    BaseDestroyCollectionStore,
    BaseDestroyStore,
    BaseCullStore,
    BaseContextManagerStore,
):
    """Collections of JSON objects in one location. Safe across threads and their event loops, processes and forks.

    Each call runs in a thread of its event loop; one that is cancelled may still be carried out. `put_many` and
    `delete_many` are one step each. Any text is a collection or a key, whatever its length.

    Args:
        location: path or URL; or an open `Store`, which stays open when this is closed.
        namespace: what the namespaces of the collections begin with; `destroy` deletes those and no others.
        default_collection: of calls that name none.
        options: of the `Store` to open: key, timeout, durability… Its trust is "own" here.

    Raises, as it is opened by its first call: StoreSetupError, from the error of `Store`.
    And each call: SerializationError: the value is not JSON. DeserializationError: the record is broken, or none of
    your keys sealed it; delete the key to be rid of it. LockTimeout, ReadOnly, StorageError: as `Store`.
    """

    def __init__(
        self,
        location: str | os.PathLike[str] | Store[Any],
        *,
        namespace: str = "key_value",
        default_collection: str | None = None,
        **options: Unpack[OpeningOptions],
    ) -> None:
        if isinstance(location, Store) and options:
            raise TypeError(f"{', '.join(options)}: give options to the Store that you open, not to its adapter")
        options.setdefault("trust", "own")
        self._location, self._options = location, options
        self._prefix = f"{namespace}:"
        super().__init__(
            default_collection=default_collection,
            stable_api=True,
            client_provided_by_user=isinstance(location, Store),
        )

    async def _setup(self) -> None:
        location = self._location
        if isinstance(location, Store):
            self._store = location
        else:
            self._store = await asyncio.to_thread(lambda: Store[Any](location, **self._options))
            self._exit_stack.push_async_callback(asyncio.to_thread, self._store.close)

    async def _in(self, collection: str, fn: Callable[[Store[Any]], T]) -> T:
        """Calls `fn` with the records of a collection, in a thread."""
        return await asyncio.to_thread(self._call, self._prefix + _name_of(collection), fn)

    def _call(self, namespace: str, fn: Callable[[Store[Any]], T]) -> T:
        with self._store.within(namespace) as records:
            return fn(records)

    # -- entries

    async def _get_managed_entry(self, *, collection: str, key: str) -> ManagedEntry | None:
        return (await self._get_managed_entries(collection=collection, keys=[key]))[0]

    async def _get_managed_entries(self, *, collection: str, keys: Sequence[str]) -> list[ManagedEntry | None]:
        names = [_name_of(key) for key in keys]
        with _reading(f"an entry of the collection {collection!r:.80}"):
            found = await self._in(collection, lambda records: records.get_many(names))
            return [self._entry(found[name]) if name in found else None for name in names]

    def _entry(self, document: Any) -> ManagedEntry:
        if not isinstance(document, dict):
            raise TypeError(f"its record is not a document, but of the type {type(document).__name__}")
        return self._serialization_adapter.load_dict(document)

    async def _put_managed_entry(self, *, collection: str, key: str, managed_entry: ManagedEntry) -> None:
        lifetime = None
        if managed_entry.expires_at is not None:
            lifetime = (managed_entry.expires_at - managed_entry.created_at).total_seconds()
        await self._put(collection, {key: managed_entry}, lifetime)

    async def _put_managed_entries(
        self, *, collection: str, keys: Sequence[str], managed_entries: Sequence[ManagedEntry],
        ttl: float | None, created_at: datetime, expires_at: datetime | None,
    ) -> None:  # fmt: skip
        await self._put(collection, dict(zip(keys, managed_entries, strict=True)), ttl)

    async def _put(self, collection: str, entries: dict[str, ManagedEntry], ttl: float | None) -> None:
        documents = {_name_of(key): self._document(collection, key, entry) for key, entry in entries.items()}
        seconds = None if ttl is None else max(ttl, _SHORTEST_SECONDS)

        def put(records: Store[Any]) -> None:
            for name, document in documents.items():
                records.put(name, document, codec="json", ttl=seconds)

        try:
            await self._in(collection, put if len(documents) == 1 else lambda records: records.transact(put))
        except NotSerializable as exc:
            raise SerializationError(f"a value for the collection {collection!r:.80} is not JSON: {exc}") from exc

    def _document(self, collection: str, key: str, entry: ManagedEntry) -> Any:
        """As py-key-value's own stores of documents have it; a tuple is a list in it. Raises: SerializationError."""
        return json.loads(self._serialization_adapter.dump_json(entry, key=key, collection=collection))

    async def _delete_managed_entry(self, *, key: str, collection: str) -> bool:
        return await self._in(collection, lambda records: records.delete(_name_of(key)))

    async def _delete_managed_entries(self, *, keys: Sequence[str], collection: str) -> int:
        return await self._in(collection, lambda records: records.delete_many([_name_of(key) for key in keys]))

    # -- collections

    async def _get_collection_keys(self, *, collection: str, limit: int | None = None) -> list[str]:
        with _reading(f"an entry of the collection {collection!r:.80}"):
            return await self._in(collection, lambda records: _keys(records, _bound(limit)))

    async def _get_collection_names(self, *, limit: int | None = None) -> list[str]:
        with _reading("a collection"):
            return await asyncio.to_thread(lambda: list(islice(self._collections(), _bound(limit))))

    def _collections(self) -> Iterator[str]:
        for namespace in self._namespaces():
            name = namespace.removeprefix(self._prefix)
            yield from self._call(namespace, _collection) if name.startswith(_HASHED) else (name,)

    def _namespaces(self) -> list[str]:
        return [namespace for namespace in self._store.namespaces() if namespace.startswith(self._prefix)]

    async def _delete_collection(self, *, collection: str) -> bool:
        return await self._in(collection, _clear)

    async def _delete_store(self) -> bool:
        await asyncio.to_thread(self._each, _clear)
        return True

    async def _cull(self) -> None:
        await asyncio.to_thread(self._each, Store.purge)

    def _each(self, fn: Callable[[Store[Any]], Any]) -> None:
        for namespace in self._namespaces():
            self._call(namespace, fn)


def _name_of(text: str) -> str:
    """The name of a key or collection: itself, or a hash where it is long or no name. Raises: TypeError."""
    try:
        if len(new_name(text, "key").encode()) <= _LONGEST and not text.startswith(_HASHED):
            return text
    except ValueError:  # a NUL or half of a surrogate pair, which no server stores
        pass
    return _HASHED + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()


def _keys(records: Store[Any], limit: int | None) -> list[str]:
    """The keys of a collection, in the order of their names; a document tells the one whose name is a hash."""
    names = records.names(limit=limit)
    documents = records.get_many(name for name in names if name.startswith(_HASHED))
    there = (name for name in names if name in documents or not name.startswith(_HASHED))  # others were deleted since
    return [documents[name]["key"] if name in documents else name for name in there]


def _collection(records: Store[Any]) -> list[str]:
    """The collection that these records are of; empty if there are none."""
    return [document["collection"] for _, document in zip(range(1), records.values(), strict=False)]


def _clear(records: Store[Any]) -> bool:
    """Deletes all of them, expired ones too; returns whether there were any that lived."""
    had_any = bool(records)
    records.clear()
    return had_any


def _bound(limit: int | None) -> int | None:
    """A limit of 0 is none, as with py-key-value's own stores."""
    return limit if limit and limit > 0 else None


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Translates errors. A TypeError is about the shape of what another program stored with your key."""
    try:
        yield
    except (RecordError, TypeError) as exc:
        raise DeserializationError(f"{what} cannot be read: {exc}") from exc
