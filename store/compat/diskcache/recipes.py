"""Locks and an average that all processes share: `Lock`, `RLock`, `BoundedSemaphore`, `Averager`.

The state of each is the value of one key of a cache, as in diskcache, so programs can look at it, `expire` gives back
a lock that a killed process held, and any thread or process may release. Use a cache with the policy "none", or a key
may be evicted. `Store.lock` is the better lock where a program may choose: it ends with its process.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from store.compat.diskcache.cache import Cache
from store.compat.diskcache.fanout import FanoutCache

PAUSE_SECONDS = 0.001  # between two attempts


class Averager:
    """A running average of numbers: (total, count) under a key."""

    def __init__(self, cache: Cache | FanoutCache, key: Any, expire: float | None = None, tag: Any = None) -> None:
        self._state = _State(cache, key, expire, tag)

    def add(self, value: float) -> None:
        """Adds a number."""
        self._state.change((0.0, 0), lambda state: (state[0] + value, state[1] + 1))

    def get(self) -> float | None:
        """Returns the average; None without a number."""
        return _average(self._state.read((0.0, 0)))

    def pop(self) -> float | None:
        """Returns the average and begins anew, as one step."""
        return _average(self._state.take((0.0, 0)))


class Lock:
    """A lock between processes and threads: held while its key exists. Not reentrant."""

    def __init__(self, cache: Cache | FanoutCache, key: Any, expire: float | None = None, tag: Any = None) -> None:
        self._state = _State(cache, key, expire, tag)

    def acquire(self) -> None:
        """Waits until nobody holds the lock, and takes it."""
        while self.locked() or not self._state.add(None):  # looking writes nothing
            time.sleep(PAUSE_SECONDS)

    def release(self) -> None:
        """Gives the lock back, also that of another thread or process."""
        self._state.delete()

    def locked(self) -> bool:
        """Returns whether anybody holds the lock."""
        return self._state.exists()

    def __enter__(self) -> None:
        """Takes the lock."""
        self.acquire()

    def __exit__(self, *_: object) -> None:
        """Gives the lock back."""
        self.release()


class RLock:
    """A lock that its thread can take several times: ("<process>-<thread>", times) under a key."""

    def __init__(self, cache: Cache | FanoutCache, key: Any, expire: float | None = None, tag: Any = None) -> None:
        self._state = _State(cache, key, expire, tag)

    def acquire(self) -> None:
        """Waits until no other thread holds the lock, and takes it once more."""
        me = _thread_name()
        self._state.wait((None, 0), lambda state: (me, state[1] + 1) if state[0] == me or not state[1] else None)

    def release(self) -> None:
        """Gives the lock back once. Raises: AssertionError: this thread does not hold it."""
        self._state.change((None, 0), self._released)

    def __enter__(self) -> None:
        """Takes the lock."""
        self.acquire()

    def __exit__(self, *_: object) -> None:
        """Gives the lock back."""
        self.release()

    @staticmethod
    def _released(state: tuple[str, int]) -> tuple[str, int]:
        owner, times = state
        if owner != _thread_name() or times <= 0:
            raise AssertionError("cannot release un-acquired lock")
        return owner, times - 1


class BoundedSemaphore:
    """A semaphore between processes and threads: how often it can still be taken, under a key."""

    def __init__(
        self, cache: Cache | FanoutCache, key: Any, value: int = 1, expire: float | None = None, tag: Any = None
    ) -> None:
        self._state = _State(cache, key, expire, tag)
        self._value = value

    def acquire(self) -> None:
        """Waits until it is free, and takes it."""
        self._state.wait(self._value, lambda left: left - 1 if left > 0 else None)

    def release(self) -> None:
        """Gives it back once. Raises: AssertionError: it is not taken."""
        self._state.change(self._value, self._released)

    def __enter__(self) -> None:
        """Takes the semaphore."""
        self.acquire()

    def __exit__(self, *_: object) -> None:
        """Gives the semaphore back."""
        self.release()

    def _released(self, left: int) -> int:
        if left >= self._value:
            raise AssertionError("cannot release un-acquired semaphore")
        return left + 1


class _State:
    """The value of one key, changed as one step across threads and processes."""

    def __init__(self, cache: Cache | FanoutCache, key: Any, expire: float | None, tag: Any) -> None:
        self._cache = cache
        self._key = key
        self._how: dict[str, Any] = {"expire": expire, "tag": tag}

    def read(self, default: Any) -> Any:
        return self._cache.get(self._key, default, retry=True)

    def take(self, default: Any) -> Any:
        return self._cache.pop(self._key, default, retry=True)

    def exists(self) -> bool:
        return self._key in self._cache

    def add(self, value: Any) -> bool:
        return self._cache.add(self._key, value, retry=True, **self._how)

    def delete(self) -> None:
        self._cache.delete(self._key, retry=True)

    def change(self, default: Any, new: Callable[[Any], Any]) -> bool:
        """Stores `new(value)`, unless that is None; returns whether it did."""
        with self._cache.transact(retry=True):
            value = new(self.read(default))
            return value is not None and self._cache.set(self._key, value, retry=True, **self._how)

    def wait(self, default: Any, new: Callable[[Any], Any]) -> None:
        """Waits until `new(value)` is not None, and stores it. Looking takes no lock."""
        while new(self.read(default)) is None or not self.change(default, new):
            time.sleep(PAUSE_SECONDS)


def _average(state: tuple[float, int]) -> float | None:
    total, count = state
    return total / count if count else None


def _thread_name() -> str:
    return f"{os.getpid()}-{threading.get_ident()}"
