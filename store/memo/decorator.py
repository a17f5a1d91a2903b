"""`memo`: the results of a function, kept in a store, so that each call is computed once for all processes.

    from store.memo import memo

    @memo("cache.db", ttl=3600, ignore=("log",), version=1)
    def load(city, day, *, log=None):
        ...

    load("Oslo", 1)              computed, and stored
    load("Oslo", day=1)          read back, here and in every other process, until an hour has passed
    load.cache_info()            CacheInfo(hits=1, misses=1, stored=1, errors=0)
    load.forget("Oslo", 1)       True: there was a result, and it is gone
    load.forget_all()            how many results there were
    load.uncached("Oslo", 1)     the function itself

It works on functions, methods and coroutine functions. The first argument is a path or URL, which is opened with
the first call and once for all functions of the process, or an open `Store`, which brings its codec, key, trust and
clock. Results are records of the namespace "memo".

**What makes two calls the same.** The function's module and qualified name, its code, `version=`, and the
arguments as bound: f(1), f(x=1) and defaults are one call. 1, 1.0 and True are different arguments; dicts and sets
are equal whatever their order; `memo.canonical.form` has the whole list. An argument without a canonical form (an
open file, a lambda, an object of a class of yours) is a TypeError: leave it out with `ignore=`, or make a key of all
arguments yourself with `key=`. So is the `self` of a method, unless it is a dataclass or has a method
`__memo_key__()`.

**The code** of an edited function is another one; comments, docstrings and layout do not count. It includes, by
value, variables of enclosing functions (one without a canonical form is a TypeError where the function is
decorated), constants of the module, and the code of functions and classes of the same module; what is set anew while
the program runs counts from then on. Imported functions count by name. Lists, dicts and other objects that can
change do not count where they are variables of the module; of an enclosing function they do, but what the function
itself changes, such as a counter, counts as it was at first. `source=False` leaves all this out, and programs share
results by `name=`. `version=` is for changes that are not seen here, and stands for variables without a form.

**Who computes.** One caller does, while others who want the same wait: threads, tasks of asyncio and processes. A
process that dies frees the others, as do an exception and a cancelled task; then one of them computes. `wait=`
bounds the waiting, in seconds; after it the caller computes too. While a function is being computed, the calls in
it never wait where two could wait for each other: for what another process is computing they do not wait at all,
and compute it as well. The same goes for calls inside a transaction of the store. Threads that a function starts
for its own calls know nothing of that: run them by `contextvars.copy_context().run`, or use `wait=`. A function
that calls itself with the same arguments is a RecursionError.

**What is stored.** Results, None too, and of exceptions those in `exceptions=`, which are raised again. You get a
fresh object each time, as it was stored, from the call that computed it too. A result that cannot be stored is
returned, with one RuntimeWarning for each function; so is every result when the store fails, or holds what it does
not trust.
`hits`, `misses` (calls that ran the function) and `errors` (of the store) count this process; `stored` counts the
records, of all versions. A computation that runs while its result is forgotten stores its result all the same.
Nothing bounds the number of results but `ttl=` and `forget_all()`.

A coroutine waits without holding up its event loop; a result that is there is read in the loop, as that takes
microseconds. Each one that computes takes a thread and three descriptors meanwhile. On Python 3.13 and newer put
`@memo` above `@classmethod`, not below, for `forget` to know the class. mypy takes a static method that is called on
an object for a method: call it on the class. Workers of joblib can be given functions of the program itself.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable, Iterable
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NamedTuple, ParamSpec, Self, TypeVar, cast, overload

from store.mapping.store import Store
from store.memo.key import CallKey
from store.memo.once import Once
from store.memo.pickling import is_by_value
from store.memo.records import Records, Source

__all__ = ["CacheInfo", "Memoized", "memo"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")


class CacheInfo(NamedTuple):
    """Figures of one function: of this process, and `stored`, of the file."""

    hits: int
    misses: int
    stored: int
    errors: int


class Memoized(Generic[P, R]):
    """A function whose results are kept; see `memo`. Safe across threads, processes and forks."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[P, R]

    def __init__(self, fn: Callable[P, R], key: CallKey, records: Records, memo: Memo) -> None:
        update_wrapper(self, fn)
        self.uncached = fn
        self._key = key
        self._records = records
        self._memo = memo
        self._once = Once(records, memo.wait)
        self._is_async = inspect.iscoroutinefunction(fn)
        if self._is_async:
            _mark_async(self, fn)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        name = self._key.of(args, kwargs)
        if self._is_async:
            from store.memo.tasks import once  # asyncio costs who has no coroutines 30 ms

            call = cast("Callable[[], Awaitable[Any]]", partial(self.uncached, *args, **kwargs))
            return cast(R, once(self._once, name, call))
        return cast(R, self._once.call(name, partial(self.uncached, *args, **kwargs)))

    def forget(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Deletes the result of that call; whether there was one. Raises: StoreError."""
        return self._records.forget(self._key.of(args, kwargs))

    def forget_all(self) -> int:
        """Deletes all results of the function, of all its versions; how many there were. Raises: StoreError."""
        return self._records.forget_all()

    def cache_info(self) -> CacheInfo:
        """Hits, misses and errors of this process, and the number of stored results. Raises: StoreError."""
        records = self._records
        return CacheInfo(records.hits, records.misses, records.count(), records.errors)

    def close(self) -> None:
        """Closes the file that was given by its path, for all functions that use it; the next call opens it."""
        self._records.source.close()

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self: Memoized[Concatenate[S, Q], R], instance: S, owner: type[S]) -> Memoized[Q, R]: ...
    @overload  # a static method
    def __get__(self, instance: object, owner: type[Any] | None = None) -> Self: ...
    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        return self if instance is None else BoundMemoized(self, instance)

    def __reduce__(self) -> str | tuple[Any, ...]:
        """By name, as functions are pickled; by value for workers that do not have the program."""
        if is_by_value(self):
            return _new, (type(self),), (self._memo, self.uncached, self._key.prefix)
        return self.__qualname__

    def __setstate__(self, state: tuple[Memo, Callable[P, R], str]) -> None:
        memo, fn, prefix = state
        self.__dict__.update(memo.memoize(type(self), fn, prefix).__dict__)

    def __memo_parts__(self) -> tuple[Any, ...]:
        """What it is as part of another function's key; see `store.memo.canonical.functions`."""
        return self._key.prefix, self._key.version, self.uncached if self._key.source else None

    def __repr__(self) -> str:
        return f"<memo of {self.uncached!r}>"


def _new(cls: type[Memoized[..., Any]]) -> Memoized[..., Any]:
    return cls.__new__(cls)


class BoundMemoized(Memoized[P, R]):
    """A memoized method of one object."""

    def __init__(self, memoized: Memoized[Any, R], instance: Any) -> None:
        self.__dict__.update(memoized.__dict__)
        self._memoized, self.__self__ = memoized, instance
        self.uncached = self.__wrapped__ = memoized.uncached.__get__(instance)
        self._key = _BoundKey(memoized._key, instance)  # type: ignore[assignment]

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BoundMemoized):
            return NotImplemented
        return self._memoized is other._memoized and self.__self__ is other.__self__

    def __hash__(self) -> int:
        return hash((id(self._memoized), id(self.__self__)))

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self.__self__, self.__name__)

    def __memo_parts__(self) -> tuple[Any, ...]:
        return self._memoized, self.__self__


class _BoundKey:
    """The key of calls of a method, whose first argument is given."""

    def __init__(self, key: CallKey, instance: Any) -> None:
        self._of, self._instance = key.of, instance

    def of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        return self._of((self._instance, *args), kwargs)


class MemoizedStatic(Memoized[P, R]):
    """`@memo` above `@staticmethod`."""

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        return self


class MemoizedClass(Memoized[P, R]):
    """`@memo` above `@classmethod`."""

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        return BoundMemoized(self, type(instance) if owner is None else owner)


if TYPE_CHECKING:

    class MemoizedOfClass(Memoized[P, R], Generic[P, Q, R]):
        """A function whose first parameter is a class, as of `@classmethod`, which mypy does not show."""

        def __get__(  # type: ignore[override]
            self, instance: object, owner: type[Any] | None = None
        ) -> Memoized[Q, R]: ...


class Memo:
    """The decorator that `memo` returns."""

    def __init__(self, where: Source, ttl: float | None, wait: float | None, exceptions: Any, **key: Any) -> None:
        self._where, self._ttl, self.wait, self._key = where, ttl, wait, key
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
    def __call__(self, fn: Callable[P, R]) -> Memoized[P, R]: ...
    def __call__(self, fn: Any) -> Any:
        if isinstance(fn, staticmethod):
            return self.memoize(MemoizedStatic, fn.__func__)
        if isinstance(fn, classmethod):
            return self.memoize(MemoizedClass, fn.__func__)
        return self.memoize(Memoized, fn)

    def memoize(self, cls: type[Memoized[..., Any]], fn: Any, prefix: str | None = None) -> Memoized[..., Any]:
        """The memoized function, of a class of those here; `prefix` instead of its name, as it was elsewhere."""
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
) -> Memo:
    """A decorator that keeps the results of a function in a store.

    Args:
        where: a path or URL, opened with the first call; or an open `Store`.
        ttl: seconds that a result lives; None is what the store says, and for ever for a path.
        ignore: names of parameters that make no difference to the result.
        version: part of the key: a new one begins anew. It also stands for variables that cannot be part of the key.
        source: the function's code is part of the key, and what it uses; False: you count `version` up, or forget.
        key: instead of the arguments, what this function makes of them.
        name: instead of the function's module and qualified name.
        exceptions: classes of exceptions that are stored too, and raised again.
        wait: seconds to wait for somebody else who computes the same; None: until that is done.
        namespace: of the store, where the results are.
        mmap: for a path: large arrays are mapped read-only instead of read into memory. An open store has its own.

    Raises:
        TypeError, ValueError: now, for what can never be right; and with a call, for its arguments.
    """
    if not isinstance(where, str | os.PathLike | Store):
        raise TypeError(f"memo keeps results in a store: @memo('cache.db') or @memo(store), not {where!r:.80}")
    if isinstance(name, str) and ":" in name:
        raise ValueError(f"name={name!r:.80}: without a colon, which divides names from keys in the store")
    return Memo(
        Source(where, namespace, mmap), ttl, _check_wait(wait), exceptions,
        ignore=ignore, version=version, source=source, key=key, name=name,
    )  # fmt: skip


def _check_wait(wait: float | None) -> float | None:
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
