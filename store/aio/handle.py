"""What `AsyncStore` and `AsyncSessions` have in common, and the functions that their methods are made with.

    class AsyncStore(AsyncHandle[Store[V]], Generic[V]):
        touch = forward(Store[V].touch)         # async def touch(self, name, ttl) -> Record
        records = iterate(Store[V].records)     # def records(self, prefix="") -> AsyncIterator[Record]
        edit = block(Store[V].edit)             # def edit(self, name, default=…) -> AbstractAsyncContextManager[V]

Each takes the method's parameters, types and docstring from the class that it forwards to. At run time the method is
looked up by its name, so that a subclass of that class works too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial, update_wrapper
from typing import Any, Concatenate, Generic, NoReturn, ParamSpec, Self, TypeVar

from store.aio.blocks import Block
from store.aio.opening import Closable, Opening
from store.errors import StoreError

H = TypeVar("H", bound=Closable)
P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
A = TypeVar("A", bound="AsyncHandle[Any]")


class AsyncHandle(Generic[H]):
    """Holds an `Opening`, and opens and closes it."""

    def __init__(self, opening: Opening[H]) -> None:
        self.opening = opening

    async def open(self) -> Self:
        """Open it, in the event loop that runs; returns it. Raises: what `Store(…)` raises."""
        await self.opening.open()
        return self

    async def close(self) -> None:
        """Wait for its turn, and close the store and its worker; a second call does nothing.

        Raises:
            StoreError: this task is in a transaction of it.
        """
        await self.opening.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def namespace(self) -> str:
        """The namespace whose records it holds."""
        return self.opening.opened.namespace

    @property
    def location(self) -> str:
        """The absolute path of the file, or ":memory:"."""
        return self.opening.opened.location

    def __repr__(self) -> str:
        return repr(self.opening)

    def _repr_html_(self) -> str:
        """A table for notebooks: where it is, and whether it is open. It asks nothing of the store."""
        from store.display.notebook import card, quoted, short

        kind = type(self).__name__
        try:
            opened = self.opening.opened
        except StoreError as exc:
            return card(kind, [("state", short(exc, 500))])
        return card(kind, [("location", short(opened.location, 200)), ("namespace", quoted(opened.namespace))])

    def __reduce__(self) -> tuple[Any, ...]:
        """As `opened` is pickled: another one on the same file, which is not open yet."""
        return _again, (type(self), self.opening.opened.__reduce__(), self.opening.timeout, self.location)


def handle_of(cls: type[A], opening: Opening[Any]) -> A:
    """An object of `cls` that holds this opening."""
    handle = cls.__new__(cls)
    AsyncHandle.__init__(handle, opening)
    return handle


def _again(cls: type[A], reduced: tuple[Any, ...], timeout: float, location: str | None = None) -> A:
    """Called by pickles, which have it by its name; older ones, without the location, are of files."""
    make, arguments = reduced
    return handle_of(cls, Opening(cls.__name__, partial(make, *arguments), timeout, location))


def forward(
    method: Callable[Concatenate[H, P], T],
) -> Callable[Concatenate[AsyncHandle[H], P], Coroutine[Any, Any, T]]:
    """An awaitable method that calls `method` in the worker."""

    @_like(method)
    async def forwarded(self: AsyncHandle[H], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.opening.do(lambda opened: getattr(opened, method.__name__)(*args, **kwargs))

    return forwarded


def iterate(
    method: Callable[Concatenate[H, P], Iterator[T]],
) -> Callable[Concatenate[AsyncHandle[H], P], AsyncIterator[T]]:
    """A method for `async for`: what `method` returns, fetched a few items at a time in the worker."""

    @_like(method)
    def iterated(self: AsyncHandle[H], /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return self.opening.each(lambda opened: getattr(opened, method.__name__)(*args, **kwargs))

    return iterated


def block(
    method: Callable[Concatenate[H, P], AbstractContextManager[T]],
) -> Callable[Concatenate[AsyncHandle[H], P], AbstractAsyncContextManager[T]]:
    """A method for `async with`. Calls of other tasks wait until the block ends."""

    @_like(method)
    def entered(self: AsyncHandle[H], /, *args: P.args, **kwargs: P.kwargs) -> AbstractAsyncContextManager[T]:
        return Block(self.opening, lambda opened: getattr(opened, method.__name__)(*args, **kwargs))

    return entered


def _like(method: Callable[..., Any]) -> Callable[[F], F]:
    """Give a function the parameters and the docstring of a method."""

    def decorate(function: F) -> F:
        update_wrapper(function, method)
        function.__qualname__ = f"Async{method.__qualname__}"  # for the warning that it was never awaited
        return function

    return decorate


def instead(name: str, call: str) -> Callable[..., NoReturn]:
    """An operator of `name`, which cannot be awaited: its error says what to call."""

    def refuse(self: object, *_: object) -> NoReturn:
        raise TypeError(f"{name} has no operators, which cannot be awaited: use {call}")

    return refuse
