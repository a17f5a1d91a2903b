"""`Commits`: whether anything was committed to the store, for the page that shows all of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from store.engines.capabilities import CommitMonitor
from store.engines.registry import supported
from store.errors import LockTimeout, StoreError
from store.mapping.store import Store

Wake = Callable[[], object]


class Commits:
    """Marks of the store, which pages and streams of events compare. Safe across threads.

    The monitor that it looks by is open from the first mark until the last user has left, or the store is closed.
    """

    def __init__(self, store: Store[Any]) -> None:
        self._store = store
        self._id = os.urandom(6).hex()  # the marks of an earlier server say nothing
        self._number = 0
        self._version: object = None
        self._monitor: CommitMonitor | None = None
        self._users: list[Wake] = []
        self._lock = threading.Lock()

    def mark(self) -> str:
        """Equal to an earlier one only if nothing was committed in between.

        Raises: LockTimeout: the store cannot be read now; try again. StoreError: changes of it cannot be seen.
        """
        with self._lock:
            try:
                version = self._opened().version()
            except LockTimeout:
                raise
            except StoreError:
                self._close()
                raise
            if self._number == 0 or version != self._version:
                self._number += 1
                self._version = version
            return f"{self._id}-{self._number}"

    def use(self, wake: Wake) -> None:
        """Keep the marks comparable until `leave`. `wake` is called soon after commits, where the engine tells."""
        with self._lock:
            self._users.append(wake)

    def leave(self, wake: Wake) -> None:
        """The user with that `wake` needs no more marks."""
        with self._lock:
            self._users.remove(wake)
            if not self._users:
                self._close()

    def _opened(self) -> CommitMonitor:
        if self._monitor is None:
            engine = self._store.opened.engine
            self._monitor = supported(engine.changes, engine.kind, "watching").watch_all()
            self._monitor.wake_by(self._wake)
            self._version = None  # one of another monitor is not comparable
        return self._monitor

    def _close(self) -> None:
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            monitor.close()

    def _wake(self) -> None:
        for wake in list(self._users):
            wake()
