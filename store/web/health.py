"""`Health`: checks of a whole store on request, one at a time; the last result is kept with its time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from store.care.verify import Verification, verify
from store.errors import StoreError
from store.mapping.store import Store

WAIT_SECONDS = 1.0  # that a page waits for the result, which a small store has by then


@dataclass(frozen=True, slots=True)
class Check:
    """A check that has ended. `found` is None where the store could not be checked, and `problem` says why.

    `began` and `ended` are Unix seconds.
    """

    began: float
    ended: float
    found: Verification | None
    problem: str | None = None


@dataclass(slots=True)
class Running:
    """A check that runs. `began` is Unix seconds; `done` are the records that it has read."""

    began: float
    done: int = 0
    is_stopped: bool = False

    def progress(self, done: int) -> None:
        """Note how many records are read. Raises: Stopped: somebody asked for it."""
        self.done = done
        if self.is_stopped:
            raise Stopped


class Stopped(Exception):
    """A check was stopped before its end."""


class Health:
    """The checks of one application, as `Store.verify(quick=True)` makes them. Safe across threads.

    A check runs in a thread of its own: it takes minutes on a large store, and pages do not wait for it.
    """

    def __init__(self, wait: float = WAIT_SECONDS) -> None:
        self._wait = wait
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._running: Running | None = None
        self._last: Check | None = None
        self._count = 0

    @property
    def count(self) -> int:
        """How many checks have ended."""
        return self._count

    @property
    def last(self) -> Check | None:
        """The check that ended last, if there was any."""
        return self._last

    @property
    def running(self) -> Running | None:
        """The check that runs now, if one does."""
        return self._running

    def check(self, s: Store[Any], clock: Callable[[], float], number: int) -> bool:
        """Begins a check if `number` have ended so far, and waits a little for its end; returns whether it did begin.

        A page that is loaded again asks with the same number, so that it shows the result and runs nothing. While a
        check runs none is begun.
        """
        with self._lock:
            if self._running is not None or number != self._count:
                return False
            running = self._running = Running(clock())
            self._thread = threading.Thread(target=self._run, args=(s, clock, running), name="check", daemon=True)
            self._thread.start()
        self.join(self._wait)
        return True

    def stop(self, number: int) -> None:
        """End the check before which `number` have ended, if it runs; what it has found is dropped."""
        with self._lock:
            if self._running is not None and number == self._count:
                self._running.is_stopped = True
        self.join(self._wait)

    def end(self, seconds: float) -> None:
        """Stop the check that runs, as the store is to be closed, and wait for its end."""
        with self._lock:
            if self._running is not None:
                self._running.is_stopped = True
        self.join(seconds)

    def join(self, seconds: float | None = None) -> None:
        """Wait for the end of the check that runs, for so many seconds at most."""
        if (thread := self._thread) is not None:
            thread.join(seconds)

    def _run(self, s: Store[Any], clock: Callable[[], float], running: Running) -> None:
        found: Verification | None = None
        problem: str | None = "a mistake in the program ended the check; its terminal shows where"
        try:
            found, problem = verify(s.opened, quick=True, progress=running.progress), None
        except Stopped:
            problem = "the check was stopped"
        except StoreError as exc:  # such as a lock of another program; the page shows it
            problem = str(exc)
        finally:
            with self._lock:
                self._last = Check(running.began, clock(), found, problem)
                self._count += 1
                self._running = None
