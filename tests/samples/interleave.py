"""What happens beside a read, at a moment that the test chooses: hooks, threads, and programs with plain `sqlite3`."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

from store import Store
from store.opened.sentinels import MISSING

Action = Callable[[], Any]


def hook(owner: Any, method: str, *, before: Action | None = None, after: Action | None = None) -> None:
    """Run something before or after the next call of an object's method, once."""
    original = getattr(owner, method)

    def hooked(*args: Any, **options: Any) -> Any:
        setattr(owner, method, original)
        if before is not None:
            before()
        result = original(*args, **options)
        if after is not None:
            after()
        return result

    setattr(owner, method, hooked)


def in_thread(action: Action) -> None:
    """Run something in another thread, to its end."""
    thread = threading.Thread(target=action)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def write_beside(store: Store, name: str, value: Any) -> None:
    """Update a record as another program would: plain `sqlite3`, and a row that was sealed before."""
    row = store.opened.pack(name, value, None)
    with closing(sqlite3.connect(store.location, isolation_level=None)) as conn:
        conn.execute(
            "UPDATE records SET body = ?, seal = ?, crc = ? WHERE namespace = ? AND name = ?",
            (row.body, row.seal, row.crc, row.namespace, row.name),
        )


def stored(store: Store, name: str) -> Any:
    """What the file holds, whatever is cached; None where it holds nothing."""
    row = store.opened.find(name)
    return None if row is None else store.opened.value_of(row)


def warm(store: Store, *names: str) -> None:
    """Have names, or all, cached."""
    for name in names or list(store):
        store[name]
        assert is_cached(store, name)


def is_cached(store: Store, name: str) -> bool:
    return store.opened.cache.value(name, store.opened.clock()) is not MISSING
