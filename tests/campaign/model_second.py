"""The second process of the model test: does to its own `Store` of the same file what the first one asks for.

Run by its path, with pickles on standard input and output: (now, handle, what, arguments), and what came of it.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from typing import Any

from modelled import change, unreadable, wrapped

from store import Store


class Second:
    """The stores of this process, by the number that the first one gives them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.stores: dict[int, Store[Any]] = {}

    def open(self, handle: int, path: str, options: dict[str, Any]) -> None:
        self.stores[handle] = Store(path, clock=lambda: self.now, on_unreadable=unreadable, **options)

    def close(self, handle: int) -> None:
        self.stores.pop(handle).close()

    def edit(self, handle: int, name: str, mark: str, really: bool, fail: bool) -> None:
        with self.stores[handle].edit(name, default=[]) as value:
            if really:
                change(value, mark)
            if fail:
                raise RuntimeError

    def modify(self, handle: int, name: str, default: Any) -> Any:
        return self.stores[handle].modify(name, wrapped, default=default)

    def batch(self, handle: int, pairs: list[tuple[str, Any]], inner: list[tuple[str, Any]], fail: str) -> None:
        """A transaction with another in it; `fail` says which of the two is rolled back."""
        s = self.stores[handle]
        with s.transaction():
            for name, value in pairs:
                s[name] = value
            try:
                with s.transaction():
                    for name, value in inner:
                        s[name] = value
                    if fail == "inner":
                        raise RuntimeError
            except RuntimeError:
                pass
            if fail == "outer":
                raise RuntimeError

    def look(self, handle: int) -> tuple[Any, ...]:
        """All that the invariant compares."""
        return look(self.stores[handle])

    def call(self, handle: int, method: str, *args: Any, **named: Any) -> Any:
        found = getattr(self.stores[handle], method)(*args, **named)
        return found if not hasattr(found, "__next__") and method not in ("__ior__",) else None

    def dispatch(self, now: float, handle: int, what: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        self.now = now
        own: Callable[..., Any] | None = getattr(self, what, None)
        return self.call(handle, what, *args, **named) if own is None else own(handle, *args, **named)


def look(s: Store[Any]) -> tuple[Any, ...]:
    """What a store shows of itself."""
    records = {record.name: (record.revision, record.expires is not None) for record in s.records()}
    return list(s.items()), list(reversed(s)), len(s), records, s.namespaces()


def main() -> None:
    second = Second()
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = True, second.dispatch(*request)
        except Exception as exc:
            answer = False, exc
        pickle.dump(answer, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
