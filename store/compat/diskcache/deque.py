"""`Deque`: a double-ended queue in a folder, which evicts nothing."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Self

from store.compat.diskcache.cache import Cache
from store.compat.diskcache.markers import ENOVAL


class Deque(Sequence[Any]):
    """A double-ended queue in a folder, with the methods of diskcache's `Deque`.

    `directory=None` is a new temporary folder. `maxlen` is this object's own: it is not kept in the file. Safe across
    threads, processes and forks.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, iterable: Iterable[Any] = (), directory: Any = None, maxlen: float | None = None) -> None:
        self._begin(Cache(directory, eviction_policy="none"), iterable, maxlen)

    @classmethod
    def fromcache(cls, cache: Cache, iterable: Iterable[Any] = (), maxlen: float | None = None) -> Self:
        """Returns a deque whose items are those of a cache, which should have the policy "none"."""
        self = cls.__new__(cls)
        self._begin(cache, iterable, maxlen)
        return self

    def _begin(self, cache: Cache, iterable: Iterable[Any], maxlen: float | None) -> None:
        self._cache = cache
        self._maxlen = math.inf if maxlen is None else maxlen
        self.extend(iterable)

    @property
    def cache(self) -> Cache:
        """The cache that holds the items."""
        return self._cache

    @property
    def directory(self) -> str:
        """The folder."""
        return self._cache.directory

    @property
    def maxlen(self) -> float:
        """How many items there may be; infinity without a limit. Setting it drops items from the front."""
        return self._maxlen

    @maxlen.setter
    def maxlen(self, value: float) -> None:
        self._maxlen = value
        with self.transact():
            while len(self) > value:
                self.popleft()

    # -- by position

    def __getitem__(self, index: int) -> Any:  # type: ignore[override]
        """Returns the item at a position, counted from the back where negative. Raises: IndexError."""
        return self._at(index, self._cache.__getitem__)

    def __setitem__(self, index: int, value: Any) -> None:
        """Replaces the item at a position. Raises: IndexError."""
        self._at(index, lambda key: self._cache.__setitem__(key, value))

    def __delitem__(self, index: int) -> None:
        """Deletes the item at a position. Raises: IndexError."""
        self._at(index, self._cache.__delitem__)

    def _at(self, index: int, act: Callable[[Any], Any]) -> Any:
        """The result of `act` on the key at a position; the next key where that one was taken in between."""
        index = operator.index(index)
        steps = index if index >= 0 else -index - 1
        for key in islice(self._cache.iterkeys(reverse=index < 0), steps, None):
            try:
                return act(key)
            except KeyError:
                continue
        raise IndexError("deque index out of range")

    # -- at the ends

    def append(self, value: Any) -> None:
        """Adds an item at the back; drops the first one where there are more than `maxlen`."""
        with self.transact():
            self._cache.push(value, retry=True)
            if self._maxlen < math.inf and len(self) > self._maxlen:
                self.popleft()

    def appendleft(self, value: Any) -> None:
        """Adds an item at the front; drops the last one where there are more than `maxlen`."""
        with self.transact():
            self._cache.push(value, side="front", retry=True)
            if self._maxlen < math.inf and len(self) > self._maxlen:
                self.pop()

    def extend(self, iterable: Iterable[Any]) -> None:
        """Adds items at the back, each as `append` does."""
        for value in iterable:
            self.append(value)

    def extendleft(self, iterable: Iterable[Any]) -> None:
        """Adds items at the front, each as `appendleft` does, so the last one is the first."""
        for value in iterable:
            self.appendleft(value)

    def __iadd__(self, iterable: Iterable[Any]) -> Self:
        """Adds items at the back."""
        self.extend(iterable)
        return self

    def pop(self) -> Any:
        """Deletes the last item and returns it, as one step. Raises: IndexError: the deque is empty."""
        return _item(self._cache.pull(default=(None, ENOVAL), side="back", retry=True), "pop")

    def popleft(self) -> Any:
        """Deletes the first item and returns it, as one step. Raises: IndexError: the deque is empty."""
        return _item(self._cache.pull(default=(None, ENOVAL), retry=True), "pop")

    def peek(self) -> Any:
        """Returns the last item. Raises: IndexError: the deque is empty."""
        return _item(self._cache.peek(default=(None, ENOVAL), side="back"), "peek")

    def peekleft(self) -> Any:
        """Returns the first item. Raises: IndexError: the deque is empty."""
        return _item(self._cache.peek(default=(None, ENOVAL)), "peek")

    # -- as a whole

    def __len__(self) -> int:
        """Returns the number of items."""
        return len(self._cache)

    def __iter__(self) -> Iterator[Any]:
        """Iterates over the items from front to back."""
        return self._items()

    def __reversed__(self) -> Iterator[Any]:
        """Iterates over the items from back to front."""
        return self._items(reverse=True)

    def _items(self, reverse: bool = False) -> Iterator[Any]:
        for key in self._cache.iterkeys(reverse):
            try:
                yield self._cache[key]
            except KeyError:  # taken since the key was listed
                continue

    def count(self, value: Any) -> int:
        """Returns how many items are equal to a value."""
        return sum(1 for item in self if value == item)

    def remove(self, value: Any) -> None:
        """Deletes the first item that is equal to a value. Raises: ValueError: there is none."""
        for key in self._cache.iterkeys():
            try:
                if value == self._cache[key]:
                    del self._cache[key]
                    return
            except KeyError:  # taken since the key was listed
                continue
        raise ValueError("deque.remove(value): value not in deque")

    def clear(self) -> None:
        """Deletes all items."""
        self._cache.clear(retry=True)

    def reverse(self) -> None:
        """Reverses the order of the items, as one step."""
        with self.transact():
            front, back = self._cache.iterkeys(), self._cache.iterkeys(reverse=True)
            for first, last in islice(zip(front, back, strict=False), len(self) // 2):
                self._cache[first], self._cache[last] = self._cache[last], self._cache[first]

    def rotate(self, steps: int = 1) -> None:
        """Moves items from the back to the front, or with a negative number the other way, as one step."""
        if not isinstance(steps, int):
            raise TypeError(f"integer argument expected, got {type(steps).__name__}")
        with self.transact():
            length = len(self)
            for _ in range(abs(steps) % length if length else 0):
                if steps > 0:
                    self.appendleft(self.pop())
                else:
                    self.append(self.popleft())

    def copy(self) -> Self:
        """Returns another deque on the same folder, with the same `maxlen`: no copy of the items."""
        return type(self)(directory=self.directory, maxlen=self._maxlen)

    @contextmanager
    def transact(self) -> Iterator[None]:
        """All or nothing: an exception that leaves the block undoes all of it. Nests. It waits for the lock."""
        with self._cache.transact(retry=True):
            yield

    # -- comparisons, as of sequences

    def __eq__(self, that: object) -> bool:
        return self._compare(that, operator.eq)  # type: ignore[no-any-return]

    def __ne__(self, that: object) -> bool:
        return self._compare(that, operator.ne)  # type: ignore[no-any-return]

    def __lt__(self, that: object) -> bool:
        return self._compare(that, operator.lt)  # type: ignore[no-any-return]

    def __gt__(self, that: object) -> bool:
        return self._compare(that, operator.gt)  # type: ignore[no-any-return]

    def __le__(self, that: object) -> bool:
        return self._compare(that, operator.le)  # type: ignore[no-any-return]

    def __ge__(self, that: object) -> bool:
        return self._compare(that, operator.ge)  # type: ignore[no-any-return]

    def _compare(self, that: object, compare: Callable[[Any, Any], Any]) -> Any:
        """As two lists compare: by the first items that differ, else by their numbers."""
        if not isinstance(that, Sequence):
            return NotImplemented
        if compare in (operator.eq, operator.ne) and len(self) != len(that):
            return compare is operator.ne
        for mine, theirs in zip(self, that, strict=False):
            if mine != theirs:
                return compare(mine, theirs)
        return compare(len(self), len(that))

    def __getstate__(self) -> tuple[str, float]:
        return self.directory, self._maxlen

    def __setstate__(self, state: tuple[str, float]) -> None:
        directory, maxlen = state
        self.__init__(directory=directory, maxlen=maxlen)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(directory={self.directory!r})"


def _item(pair: tuple[Any, Any], what: str) -> Any:
    """The value of a pair. Raises: IndexError: there was none."""
    if pair[1] is ENOVAL:
        raise IndexError(f"{what} from an empty deque")
    return pair[1]
