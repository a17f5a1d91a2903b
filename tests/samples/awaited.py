"""An `AsyncStore` as a mapping of the ordinary kind: each call is run by an event loop in a thread of its own.

So that the contract of the mapping is run on `AsyncStore`: every method here is one of its, and nothing else.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import AsyncIterator, Coroutine, ItemsView, Iterator, KeysView, MutableMapping, ValuesView
from types import SimpleNamespace
from typing import Any, TypeVar

from store.aio import AsyncStore

T = TypeVar("T")
WAIT_SECONDS = 60


class Loop:
    """An event loop that runs in a thread until it is closed."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(WAIT_SECONDS)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive()
        self._runner.close()


class Names(KeysView[str]):
    def __reversed__(self) -> Iterator[str]:
        return reversed(self._mapping)


class Values(ValuesView[Any]):
    def __iter__(self) -> Iterator[Any]:
        return self._mapping.each(self._mapping.store.values())

    def __reversed__(self) -> Iterator[Any]:
        return self._mapping.each(self._mapping.store.values(reverse=True))


class Items(ItemsView[str, Any]):
    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return self._mapping.each(self._mapping.store.items())

    def __reversed__(self) -> Iterator[tuple[str, Any]]:
        return self._mapping.each(self._mapping.store.items(reverse=True))

    def __contains__(self, item: object) -> bool:
        return isinstance(item, tuple) and super().__contains__(item) if _is_pair(item) else False


def _is_pair(item: object) -> bool:
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)


class Awaited(MutableMapping[str, Any]):
    """See above. `store` is the `AsyncStore`."""

    __hash__ = None  # type: ignore[assignment]
    opened = SimpleNamespace(writeback=None)

    def __init__(self, location: Any, **options: Any) -> None:
        self.loop = Loop()
        self._open(location if isinstance(location, AsyncStore) else AsyncStore(location, **options))

    def _open(self, store: AsyncStore[Any]) -> None:
        try:
            self.store = self.loop.run(store.open())
        except BaseException:
            self.loop.close()
            raise

    def each(self, iterator: AsyncIterator[T]) -> Iterator[T]:
        async def step() -> T:
            return await anext(iterator)

        while True:
            try:
                item = self.loop.run(step())
            except StopAsyncIteration:
                return
            yield item

    def close(self) -> None:
        self.loop.run(self.store.close())
        self.loop.close()

    def __enter__(self) -> Awaited:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __copy__(self) -> Awaited:
        return Awaited(copy.copy(self.store))

    @property
    def location(self) -> str:
        return self.store.location

    @property
    def namespace(self) -> str:
        return self.store.namespace

    def __getitem__(self, name: str) -> Any:
        return self.loop.run(self.store.getitem(name))

    def __setitem__(self, name: str, value: Any) -> None:
        self.loop.run(self.store.set(name, value))

    def __delitem__(self, name: str) -> None:
        self.loop.run(self.store.delitem(name))

    def __contains__(self, name: object) -> bool:
        return self.loop.run(self.store.contains(name))

    def __len__(self) -> int:
        return self.loop.run(self.store.length())

    def __iter__(self) -> Iterator[str]:
        return self.each(aiter(self.store))

    def __reversed__(self) -> Iterator[str]:
        return self.each(self.store.keys(reverse=True))

    def keys(self) -> Names:
        return Names(self)

    def values(self) -> Values:
        return Values(self)

    def items(self) -> Items:
        return Items(self)

    def get(self, *args: Any) -> Any:
        return self.loop.run(self.store.get(*args))

    def pop(self, *args: Any) -> Any:
        return self.loop.run(self.store.pop(*args))

    def popitem(self) -> tuple[str, Any]:
        return self.loop.run(self.store.popitem())

    def setdefault(self, *args: Any) -> Any:
        return self.loop.run(self.store.setdefault(*args))

    def update(*args: Any, **named: Any) -> None:
        self, *others = args
        self.loop.run(self.store.update(*map(_plain, others), **named))

    def clear(self) -> None:
        self.loop.run(self.store.clear())

    def sync(self) -> None:
        self.loop.run(self.store.sync())

    def names(self, *args: Any, **options: Any) -> list[str]:
        return self.loop.run(self.store.names(*args, **options))

    def __eq__(self, other: object) -> bool:
        return self.loop.run(self.store.equals(_plain(other)))

    def __ior__(self, other: Any) -> Awaited:
        self.update(other)
        return self

    def __or__(self, other: Any) -> dict[str, Any]:
        return self.loop.run(self.store.as_dict()) | other

    def __ror__(self, other: Any) -> dict[str, Any]:
        return other | self.loop.run(self.store.as_dict())


def _plain(other: Any) -> Any:
    return other.store if isinstance(other, Awaited) else other
