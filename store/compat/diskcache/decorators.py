"""Decorators on a cache: `throttle`, `barrier`, `memoize_stampede`."""

from __future__ import annotations

import functools
import math
import random
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

from store.compat.diskcache.cache import Cache
from store.compat.diskcache.calls import Decorator, full_name, with_key
from store.compat.diskcache.fanout import FanoutCache
from store.compat.diskcache.markers import ENOVAL


def throttle(
    cache: Cache | FanoutCache,
    count: int,
    seconds: float,
    name: str | None = None,
    expire: float | None = None,
    tag: Any = None,
    time_func: Callable[[], float] = time.time,
    sleep_func: Callable[[float], Any] = time.sleep,
) -> Decorator:
    """Returns a decorator: all processes together call the function at most `count` times in `seconds`.

    A token bucket of `count` tokens under a key: (when it was looked at, tokens). A call takes one, and waits for it.
    """
    rate = count / float(seconds)

    def take(key: Any) -> float:
        """Takes a token; returns the seconds until there is one, 0 where it did."""
        with cache.transact(retry=True):
            then, left = cache.get(key)
            now = time_func()
            tokens: float = left + (now - then) * rate
            if tokens < 1:
                return (1 - tokens) / rate
            cache.set(key, (now, min(tokens, count) - 1), expire, retry=True)
            return 0

    def decorator(function: Callable[..., Any]) -> Callable[..., Any]:
        key = full_name(function) if name is None else name
        cache.set(key, (time_func(), count), expire=expire, tag=tag, retry=True)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            while (seconds_left := take(key)) > 0:
                sleep_func(seconds_left)
            return function(*args, **kwargs)

        return wrapper

    return decorator


def barrier(
    cache: Cache | FanoutCache,
    lock_factory: Callable[..., Any],
    name: str | None = None,
    expire: float | None = None,
    tag: Any = None,
) -> Decorator:
    """Returns a decorator: calls hold a lock of all processes, made by `Lock`, `RLock` or `BoundedSemaphore`."""

    def decorator(function: Callable[..., Any]) -> Callable[..., Any]:
        lock = lock_factory(cache, full_name(function) if name is None else name, expire=expire, tag=tag)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with lock:
                return function(*args, **kwargs)

        return wrapper

    return decorator


def memoize_stampede(
    cache: Cache | FanoutCache,
    expire: float,
    name: str | None = None,
    typed: bool = False,
    tag: Any = None,
    beta: float = 1,
    ignore: Iterable[Any] = (),
) -> Decorator:
    """Returns a decorator that keeps results, and computes one anew in a thread shortly before it expires.

    The value under `__cache_key__(…)` is (result, seconds that it took). When to begin is random, earlier for what
    takes longer and for a larger `beta`: Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede
    Prevention", VLDB 2015. `store.cache.Cache.get_or_compute` also lets only one process compute a missing result.
    """

    def decorator(function: Callable[..., Any]) -> Callable[..., Any]:
        cache_key = with_key(function, name, typed, ignore)

        def compute(key: Any, args: Any, kwargs: Any) -> Any:
            start = time.time()
            result = function(*args, **kwargs)
            cache.set(key, (result, time.time() - start), expire, tag=tag, retry=True)
            return result

        def compute_in_thread(key: Any, args: Any, kwargs: Any) -> None:
            with closing(cache):
                compute(key, args, kwargs)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            key = cache_key(*args, **kwargs)
            pair, expires = cache.get(key, default=ENOVAL, expire_time=True, retry=True)
            if pair is ENOVAL:
                return compute(key, args, kwargs)
            result, cost = pair
            early = -cost * beta * math.log(random.random() or 1e-300)
            is_due = expires is not None and early >= expires - time.time()
            # One caller begins; the others see its mark until it should be done.
            if is_due and cache.add((*key, ENOVAL), None, expire=cost, retry=True):
                threading.Thread(target=compute_in_thread, args=(key, args, kwargs), daemon=True).start()
            return result

        wrapper.__cache_key__ = cache_key  # type: ignore[attr-defined]
        return wrapper

    return decorator
