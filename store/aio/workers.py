"""Which worker an `AsyncStore` has: by the scheme of its location."""

from __future__ import annotations

import os
from typing import Any

from store.aio.thread_worker import ThreadWorker
from store.aio.worker import Worker
from store.engines.registry import awaited_schemes
from store.opened.arguments import locate
from store.system.registry import Registry

_of_loops = Registry("AsyncStore on")
"""URL scheme → the class of the worker that needs no thread, imported when it is first used: it needs greenlet."""
for _scheme in awaited_schemes:
    _of_loops.register(_scheme, "store.aio.loop_worker:LoopWorker", install="greenlet")


def new_worker(location: str | os.PathLike[str] | None, timeout: float, kind: str) -> Worker:
    """A worker of the running event loop; None is a store that is open already, whose calls block a thread.

    Raises: as `locate`. CodecUnavailable: greenlet is not installed. StorageError: there can be no further thread.
    """
    scheme = "" if location is None else locate(location)[0]
    make: Any = _of_loops.load(scheme) if scheme in _of_loops else ThreadWorker
    worker: Worker = make(timeout, f"{kind} on {location or 'an open store'}")
    return worker
