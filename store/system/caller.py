"""Warnings that point at the line of the program, skipping the frames of this library."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

from store.system import running

_BETWEEN = {"contextlib", "functools", "_collections_abc", "copy", "typing", "threading", "concurrent.futures.thread"}


class Site(NamedTuple):
    """A line of the program; `registry` is its module's record of the warnings that were shown."""

    file: str
    line: int
    module: str
    registry: dict[Any, Any]


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warns at the line outside this package that led here, also from another thread."""
    site = site_of_caller() or getattr(running.greenlet() or _handed_over, "site", None)
    if site is None:
        warnings.warn(message, category, stacklevel=2)
    else:
        warnings.warn_explicit(message, category, site.file, site.line, site.module, site.registry)


def site_of_caller() -> Site | None:
    """The line outside this package that led here; None if there is none, as in a thread of the library."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_between(frame):
        frame = frame.f_back
    if frame is None:
        return None
    names = frame.f_globals
    module = str(names.get("__name__", "<string>"))
    return Site(frame.f_code.co_filename, frame.f_lineno, module, names.setdefault("__warningregistry__", {}))


@contextmanager
def working_for(site: Site | None) -> Iterator[None]:
    """In the block, this thread or greenlet works for that line, which waits for it."""
    worker = running.greenlet() or _handed_over
    worker.site = site
    try:
        yield
    finally:
        worker.site = None


_handed_over = threading.local()


def _is_between(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__", ""))
    return name == "store" or name.startswith("store.") or name in _BETWEEN
