"""`memo`: a decorator that keeps the results of a function in a store, computed once for all processes.

    from store.memo import memo

    @memo("cache.db", ttl=3600, ignore=("log",), version=1)
    def load(city, day, *, log=None):
        ...

    load("Oslo", 1)              computed, and stored
    load("Oslo", day=1)          read back, here and in every other process, until an hour has passed
    load.cache_info()            CacheInfo(hits=1, misses=1, stored=1, errors=0)
    load.forget("Oslo", 1)       True: there was a result, and it is deleted
    load.forget_all()            how many results there were
    load.uncached("Oslo", 1)     the function itself

It works on functions, methods and coroutine functions. `store/memo/README.md` describes which calls are the same,
which one computes, and what is stored. One file because it is the manual page of memoized functions of all kinds.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NamedTuple, ParamSpec, Self, TypeVar, cast, overload

from store.mapping.store import Store
from store.memo.canonical.names import is_known
from store.memo.key import CallKey
from store.memo.once import once
from store.memo.records import Records
from store.memo.sources import Origin, Source

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")

BY_VALUE = ("cloudpickle", "cloudpickle_fast", "_dill", "dill")  # modules, in whatever package: joblib has a copy


class CacheInfo(NamedTuple):
    """Counts of one function: calls and errors of this process, and the results that are `stored`."""

    hits: int
    misses: int
    stored: int
    errors: int


class Memoized(Generic[P, R]):
    """A function whose results are kept; see `memo`. Safe across threads, processes and forks."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[P, R]
    __func__: Memoized[..., R]
    bound_to: tuple[Any, ...] = ()
    """The object whose method it is: the first argument of its calls."""

    def __init__(self, fn: Callable[P, R], key: CallKey, records: Records, memo: Memo) -> None:
        update_wrapper(self, fn)
        self.uncached = fn
        self._key = key
        self._records = records
        self._memo = memo
        self._is_async = inspect.iscoroutinefunction(fn)
        if self._is_async:
            _mark_async(self, fn)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        name = self._key.of((*self.bound_to, *args), kwargs)
        call: Any = partial(self.uncached, *args, **kwargs)
        if self._is_async:
            from store.memo import tasks  # loads asyncio, which takes 30 ms

            return cast(R, tasks.once(self._records, self._memo.wait, name, call))
        return cast(R, once(self._records, self._memo.wait, name, call))

    def forget(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Delete the result of that call; whether there was one. Raises: StoreError."""
        return self._records.forget(self._key.of((*self.bound_to, *args), kwargs))

    def forget_all(self) -> int:
        """Delete all results of the function, of all its versions; how many there were. Raises: StoreError."""
        return self._records.forget_all()

    def cache_info(self) -> CacheInfo:
        """Hits, misses and errors of this process, and the number of stored results. Raises: StoreError."""
        records = self._records
        return CacheInfo(records.hits, records.misses, records.count(), records.errors)

    def close(self) -> None:
        """Close the file that was given by its path, for all functions that use it; the next call opens it."""
        self._records.source.close()

    def bind(self, instance: Any) -> Any:
        """The method of that object, a `Memoized`."""
        bound: Memoized[..., R] = Memoized.__new__(Memoized)
        bound.__dict__.update(self.__dict__)
        bound.__func__, bound.bound_to = self, (instance,)
        bound.uncached = bound.__wrapped__ = cast(Any, self.uncached).__get__(instance)
        return bound

    @property
    def __self__(self) -> Any:
        if not self.bound_to:
            raise AttributeError("it is bound to no object", name="__self__", obj=self)
        return self.bound_to[0]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Memoized):
            return NotImplemented
        if not (self.bound_to and other.bound_to):
            return self is other
        return self.__func__ is other.__func__ and self.__self__ is other.__self__

    def __hash__(self) -> int:
        return hash((id(self.__func__), id(self.__self__))) if self.bound_to else object.__hash__(self)

    def __reduce__(self) -> str | tuple[Any, ...]:
        """By name, as functions are pickled; by value for workers that do not have the program."""
        if self.bound_to:
            return getattr, (self.__self__, self.__name__)
        if _is_by_value(self):
            return _new, (type(self),), (self._memo, self.uncached, self._key.prefix)
        return self.__qualname__

    def __setstate__(self, state: tuple[Memo, Callable[P, R], str]) -> None:
        memo, fn, prefix = state
        self.__dict__.update(memo.memoize(type(self), fn, prefix).__dict__)

    def __memo_parts__(self) -> tuple[Any, ...]:
        """Its form where another memoized function uses it; see `store.memo.canonical.functions`."""
        if self.bound_to:
            return self.__func__, self.__self__
        return self._key.prefix, self._key.version, self.uncached if self._key.source else None

    def __repr__(self) -> str:
        return f"<memo of {self.uncached!r}>"


def _new(cls: type[Memoized[..., Any]]) -> Memoized[..., Any]:
    return cls.__new__(cls)


def _is_by_value(named: Any) -> bool:
    """Whether a pickler asks that takes functions by value, and the reader could not find this one by its name.

    Asked within `__reduce__`, where only the stack tells who pickles: plain `pickle` must have the name, and its
    readers, which multiprocessing started, import the program.
    """
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__") in ("pickle", "_compat_pickle", "copyreg"):
        frame = frame.f_back
    pickler = str(frame.f_globals.get("__name__", "")).rpartition(".")[2]
    return pickler in BY_VALUE and not is_known(named)


class MemoizedFunction(Memoized[P, R]):
    """A function, which in a class is a method."""

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self: Memoized[Concatenate[S, Q], R], instance: S, owner: type[S]) -> Memoized[Q, R]: ...
    @overload  # a static method
    def __get__(self, instance: object, owner: type[Any] | None = None) -> Self: ...
    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        return self if instance is None else self.bind(instance)


class MemoizedStatic(Memoized[P, R]):
    """`@memo` above `@staticmethod`."""

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Self:
        return self


class MemoizedClass(Memoized[P, R]):
    """`@memo` above `@classmethod`."""

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Memoized[P, R]:
        return cast("Memoized[P, R]", self.bind(type(instance) if owner is None else owner))


if TYPE_CHECKING:

    class MemoizedOfClass(Memoized[P, R], Generic[P, Q, R]):
        """A function whose first parameter is a class, as of `@classmethod`, which mypy does not show."""

        def __get__(self, instance: object, owner: type[Any] | None = None) -> Memoized[Q, R]: ...


class Memo:
    """The decorator that `memo` returns."""

    def __init__(self, where: Origin, ttl: float | None, wait: float | None, exceptions: Any, **key: Any) -> None:
        name = key.get("name")
        if isinstance(name, str) and ":" in name:
            raise ValueError(f"name={name!r:.80}: without a colon, which divides names from keys in the store")
        self._where, self._ttl, self.wait, self._key = where, ttl, check_wait(wait), key
        self._exceptions = _exceptions(exceptions)

    @overload  # the third is for mypy, to which static and class methods are functions
    def __call__(  # type: ignore[overload-overlap]
        self, fn: staticmethod[P, R]
    ) -> MemoizedStatic[P, R]: ...
    @overload
    def __call__(self, fn: classmethod[Any, P, R]) -> MemoizedClass[P, R]: ...
    @overload
    def __call__(
        self, fn: Callable[Concatenate[type[S], Q], R]
    ) -> MemoizedOfClass[Concatenate[type[S], Q], Q, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R]) -> MemoizedFunction[P, R]: ...
    def __call__(self, fn: Any) -> Any:
        if isinstance(fn, staticmethod):
            return self.memoize(MemoizedStatic, fn.__func__)
        if isinstance(fn, classmethod):
            return self.memoize(MemoizedClass, fn.__func__)
        return self.memoize(MemoizedFunction, fn)

    def memoize(self, cls: type[Memoized[..., Any]], fn: Any, prefix: str | None = None) -> Memoized[..., Any]:
        """The memoized function, an object of `cls`; `prefix` is the name that it has in another process."""
        if not callable(fn) or isinstance(fn, type):
            raise TypeError(f"memo decorates functions, and {fn!r:.80} is none; put it below other decorators")
        if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
            raise TypeError(f"{fn.__qualname__} is a generator, which runs once; let it return a list")
        key = CallKey(fn, **self._key, prefix=prefix)
        return cls(fn, key, Records(self._where, key.label, key.prefix, self._ttl, self._exceptions), self)


def memo(
    where: str | os.PathLike[str] | Store[Any],
    *,
    ttl: float | None = None,
    ignore: str | Iterable[str] = (),
    version: Any = None,
    source: bool = True,
    key: Callable[..., Any] | None = None,
    name: str | None = None,
    exceptions: type[Exception] | tuple[type[Exception], ...] = (),
    wait: float | None = None,
    namespace: str = "memo",
    mmap: bool | None = None,
    shards: int = 1,
) -> Memo:
    """A decorator that keeps the results of a function in a store.

    Args:
        where: a path or URL, opened with the first call; or an open `Store`.
        ttl: seconds that a result lives; None is the store's default, which is for ever for a path.
        ignore: names of parameters that do not change the result.
        version: a part of the key: with a new one all results are computed again. It also stands for variables that
            cannot be part of the key.
        source: make the function's code, and what it uses, a part of the key.
        key: a function of the arguments whose result is the key, in place of the arguments.
        name: a name for the function, in place of its module and qualified name.
        exceptions: classes of exceptions that are stored too, and raised again.
        wait: seconds to wait for another caller who computes the same; None: until it is done.
        namespace: the namespace of the store that holds the results.
        mmap: for a path: large arrays are mapped read-only instead of read into memory. An open store has its own.
        shards: over how many namespaces the results are spread, each in a slot of a cluster of its own. The store
            records the number at the first use; `store.reshard` changes it.

    Raises:
        TypeError, ValueError: at once, where an argument here can never be right; at a call, for its arguments.
        ShardsMismatch: at a call: the results there have another number of shards.
    """
    if not isinstance(where, str | os.PathLike | Store):
        raise TypeError(f"memo keeps results in a store: @memo('cache.db') or @memo(store), not {where!r:.80}")
    return Memo(
        Source(where, namespace, mmap, shards), ttl, wait, exceptions,
        ignore=ignore, version=version, source=source, key=key, name=name,
    )  # fmt: skip


def check_wait(wait: float | None) -> float | None:
    """The seconds to wait for another caller; None: until it is done. Raises: TypeError, ValueError."""
    if wait is None or (isinstance(wait, int | float) and not isinstance(wait, bool) and wait >= 0):
        return wait
    raise (ValueError if isinstance(wait, int | float) else TypeError)(
        f"wait is a number of seconds from 0 up, or None for as long as it takes, not {wait!r:.80}"
    )


def _exceptions(classes: Any) -> tuple[type[Exception], ...]:
    found = classes if isinstance(classes, tuple) else (classes,)
    for cls in found:
        if not (isinstance(cls, type) and issubclass(cls, Exception)):
            raise TypeError(f"exceptions are classes of exceptions that end no program, not {cls!r:.80}")
    return found


def _mark_async(memoized: Any, fn: Any) -> None:
    """Frameworks ask `inspect.iscoroutinefunction`, which up to Python 3.11 looks for what a function has."""
    for attribute in ("__code__", "__defaults__", "__kwdefaults__"):
        setattr(memoized, attribute, getattr(fn, attribute, None))
    mark = getattr(inspect, "markcoroutinefunction", None)
    if mark is not None:
        mark(memoized)
