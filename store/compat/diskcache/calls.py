"""Results of functions in a cache: the keys of calls, and `memoize`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from store.compat.diskcache.markers import ENOVAL

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Cached(Protocol):
    """What `memoize` needs of a cache: `Cache` and `FanoutCache` have it."""

    def get(self, key: Any, default: Any = None, *, retry: bool = False) -> Any:
        """The value of a key, or the default."""

    def set(self, key: Any, value: Any, expire: float | None = None, *, tag: Any = None, retry: bool = False) -> bool:
        """Stores a value under a key."""


def full_name(function: Callable[..., Any]) -> str:
    """The module and qualified name of a function, which are the key of what belongs to it."""
    return f"{function.__module__}.{function.__qualname__}"


def call_key(base: Any, args: tuple[Any, ...], kwargs: dict[str, Any], typed: bool, ignore: Iterable[Any]) -> Any:
    """The key of a call: the base, the positional arguments, None, and each keyword before its value, in order.

    `ignore` names positions and keywords that do not count. `typed` adds the types of all arguments, positional ones
    with those that are ignored left out.
    """
    positional = tuple(arg for position, arg in enumerate(args) if position not in ignore)
    named = sorted((name, value) for name, value in kwargs.items() if name not in ignore)
    key = (base, *positional, None, *(part for pair in named for part in pair))
    if typed:
        key += (*map(type, positional), *(type(value) for _, value in named))
    return key


def with_key(
    function: Callable[..., Any], name: str | None, typed: bool, ignore: Iterable[Any]
) -> Callable[..., Any]:
    """The function that gives the key of a call of `function`, which callers see as `__cache_key__`."""
    base = full_name(function) if name is None else name

    def __cache_key__(*args: Any, **kwargs: Any) -> Any:
        return call_key(base, args, kwargs, typed, ignore)

    return __cache_key__


def memoize(
    cache: Cached, name: str | None, typed: bool, expire: float | None, tag: Any, ignore: Iterable[Any]
) -> Decorator:
    """Returns a decorator that looks results up in the cache, and stores those that are not there.

    The function has `__wrapped__`, and `__cache_key__(*args, **kwargs)`, the key of a call. With `expire=0` nothing
    is stored.

    Raises:
        TypeError: the decorator was used without parentheses.
    """
    if callable(name):
        raise TypeError("name cannot be callable: write @cache.memoize(), with parentheses")

    def decorator(function: Callable[..., Any]) -> Callable[..., Any]:
        cache_key = with_key(function, name, typed, ignore)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            key = cache_key(*args, **kwargs)
            result = cache.get(key, default=ENOVAL, retry=True)
            if result is ENOVAL:
                result = function(*args, **kwargs)
                if expire is None or expire > 0:
                    cache.set(key, result, expire, tag=tag, retry=True)
            return result

        wrapper.__cache_key__ = cache_key  # type: ignore[attr-defined]
        return wrapper

    return decorator
