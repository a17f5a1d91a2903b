"""The caches and sessions that this process has open: one for each place and options, for all of its threads.

Django makes a cache object for each thread and a session object for each request. These share the handles here, which
are safe across threads, greenlets and forks. There is no lock, so that gevent may patch after this is imported.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

H = TypeVar("H")


class Handle(NamedTuple):
    """A handle, and what it was opened with."""

    kind: Callable[..., Any]
    location: str
    options: dict[str, Any]
    opened: Any

    def is_of(self, kind: Callable[..., Any], location: str, options: dict[str, Any]) -> bool:
        return (self.kind, self.location, self.options) == (kind, location, options)


_handles: list[Handle] = []


def handle(kind: Callable[..., H], location: str, options: dict[str, Any]) -> H:
    """The open `kind(location, **options)` of this process; it is opened by the first call."""
    for one in list(_handles):
        if one.is_of(kind, location, options):
            return one.opened
    mine = Handle(kind, location, dict(options), kind(location, **options))
    _handles.append(mine)
    first = next(one for one in list(_handles) if one.is_of(kind, location, options))
    if first is not mine:  # two threads at once: the appended order is the same to both
        _handles[:] = [one for one in list(_handles) if one is not mine]
        mine.opened.close()
    return first.opened


def close_all() -> None:
    """Closes all of them, in tests that remove their files for example; the next use opens them again."""
    while _handles:
        with suppress(IndexError):  # another thread took the last one
            _handles.pop().opened.close()


atexit.register(close_all)
